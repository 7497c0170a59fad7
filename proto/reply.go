package proto

import (
	"encoding/binary"
	"strings"
)

// maxText bounds the text of an exception that is kept or sent, in bytes.
const maxText = 1000

// AppendLogReply appends the answer to a Log call, without a frame length; 20 bytes, old style whatever the call's style was.
func AppendLogReply(dst []byte, seqID int32, code ResultCode) []byte {
	dst = appendHeader(dst, logMethod, TypeReply, seqID)
	dst = append(dst, typeI32, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(code))
	return append(dst, typeStop)
}

// AppendException appends the answer that call cannot be served (a TApplicationException), without a frame length.
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

// DecodeLogReply reads the answer to a Log call, strict or old style. An answer that the peer cannot serve the call comes back as
// an *ApplicationError; every other error wraps ErrMalformed.
func DecodeLogReply(frame []byte) (seqID int32, code ResultCode, err error) {
	call, err := DecodeCall(frame)
	if err != nil {
		return 0, 0, err
	}
	d := decoder{call.Args}
	switch {
	case call.Type == TypeException:
		err = d.exception()
	case call.Type == TypeReply && call.Method == logMethod:
		code, err = d.result()
	default:
		err = malformed("a message of type %d instead of a reply to Log", call.Type)
	}
	return call.SeqID, code, err
}

// result reads the struct that a reply to Log holds, to the end of the frame.
func (d *decoder) result() (code ResultCode, err error) {
	found := false
	for {
		typ, id, err := d.field()
		switch {
		case err != nil:
			return 0, err
		case typ == typeStop && !found:
			return 0, malformed("a reply without a result")
		case typ == typeStop && len(d.data) > 0:
			return 0, malformed("%d bytes behind a reply", len(d.data))
		case typ == typeStop:
			return code, nil
		case typ == typeI32 && id == 0:
			var v int32
			v, err = d.i32()
			code, found = ResultCode(v), true
		default:
			err = d.skip(typ, maxDepth)
		}
		if err != nil {
			return 0, err
		}
	}
}

// exception reads a TApplicationException and returns it, or why it cannot be read.
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
