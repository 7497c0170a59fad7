package proto

import (
	"encoding/binary"
	"strings"
)

// maxText bounds the text of an exception that is kept or sent, in bytes.
const maxText = 1000

// Reply is the answer to a Log call.
type Reply struct {
	SeqID   int32
	Code    ResultCode
	Inkwell bool // the server is an Inkwell; sent only in answer to spans, which only an Inkwell sends
	Senders int  // with Inkwell, in answer to Batch.Asks: how many senders that ask it has
	Leaving bool // likewise: it is about to stop, and senders are to go elsewhere; everything is still taken
	// with Inkwell: number of entries of the call that were discarded, because they are not allowed or too long
	Refused int
}

// The optional fields of a reply. Peers that do not know them skip them.
const (
	inkwellField = 2
	refusedField = 3
	sendersField = 4
	leavingField = 5
)

// AppendLogReply appends the answer to a Log call, without a frame length. It has 20 bytes, and 7 more for each of the
// optional fields, and is in the old style whatever the style of the call was.
func AppendLogReply(dst []byte, r Reply) []byte {
	dst = appendHeader(dst, logMethod, TypeReply, r.SeqID)
	dst = append(dst, typeI32, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.Code))
	if r.Inkwell {
		dst = append(dst, typeI32, 0, inkwellField, 0, 0, 0, 1)
	}
	if r.Inkwell && r.Refused > 0 {
		dst = append(dst, typeI32, 0, refusedField)
		dst = binary.BigEndian.AppendUint32(dst, uint32(r.Refused))
	}
	if r.Inkwell && r.Senders > 0 {
		dst = append(dst, typeI32, 0, sendersField)
		dst = binary.BigEndian.AppendUint32(dst, uint32(r.Senders))
	}
	if r.Inkwell && r.Leaving {
		dst = append(dst, typeI32, 0, leavingField, 0, 0, 0, 1)
	}
	return append(dst, typeStop)
}

// AppendException appends the answer that a call cannot be served (a TApplicationException), without a frame length.
func AppendException(dst []byte, call Call, kind int32, text string) []byte {
	text = strings.ToValidUTF8(text[:min(len(text), maxText)], "?")
	dst = appendHeader(dst, call.Method, TypeException, call.SeqID)
	dst = append(dst, typeString, 0, 1)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(text)))
	dst = append(dst, text...)
	dst = append(dst, typeI32, 0, 2)
	dst = binary.BigEndian.AppendUint32(dst, uint32(kind))
	return append(dst, typeStop)
}

// DecodeLogReply decodes the answer to a Log call, strict or old style. If the peer answered that it cannot serve the
// call, the error is an *ApplicationError; every other error wraps ErrMalformed.
func DecodeLogReply(frame []byte) (Reply, error) {
	call, err := DecodeCall(frame)
	if err != nil {
		return Reply{}, err
	}
	r := Reply{SeqID: call.SeqID}
	d := decoder{call.Args}
	switch {
	case call.Type == TypeException:
		err = d.exception()
	case call.Type == TypeReply && call.Method == logMethod:
		err = d.result(&r)
	default:
		err = malformed("a message of type %d instead of a reply to Log", call.Type)
	}
	return r, err
}

// result reads the struct of a reply to Log, up to the end of the frame.
func (d *decoder) result(r *Reply) error {
	found := false
	for {
		typ, id, err := d.field()
		switch {
		case err != nil:
			return err
		case typ == typeStop && !found:
			return malformed("a reply without a result")
		case typ == typeStop && len(d.data) > 0:
			return malformed("%d bytes behind a reply", len(d.data))
		case typ == typeStop && !r.Inkwell:
			// the other fields are Inkwell's: from anybody else they say nothing
			*r = Reply{SeqID: r.SeqID, Code: r.Code}
			return nil
		case typ == typeStop:
			return nil
		case typ == typeI32 && (id == 0 || id >= inkwellField && id <= leavingField):
			var v int32
			v, err = d.i32()
			switch id {
			case 0:
				r.Code, found = ResultCode(v), true
			case inkwellField:
				r.Inkwell = v != 0
			case refusedField:
				r.Refused = int(max(v, 0))
			case sendersField:
				r.Senders = int(max(v, 0))
			default:
				r.Leaving = v != 0
			}
		default:
			err = d.skip(typ, maxDepth)
		}
		if err != nil {
			return err
		}
	}
}

// exception reads a TApplicationException and returns it, or the reason why it cannot be read.
func (d *decoder) exception() error {
	e := new(ApplicationError)
	for {
		typ, id, err := d.field()
		switch {
		case err != nil:
			return err
		case typ == typeStop:
			return e
		case typ == typeString && id == 1:
			var text []byte
			text, err = d.bytes()
			e.Text = string(text[:min(len(text), maxText)])
		case typ == typeI32 && id == 2:
			e.Kind, err = d.i32()
		default:
			err = d.skip(typ, maxDepth)
		}
		if err != nil {
			return err
		}
	}
}
