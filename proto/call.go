package proto

import "encoding/binary"

const (
	versionMask = 0xffff0000
	version1    = 0x80010000
	maxMethod   = 256 // bytes of a method's name; the longest of Scribe and fb303 has 16
)

// logMethod is the method name that decoding does not have to copy out of a frame.
const logMethod = "Log"

// Call is the header of one message in a frame.
type Call struct {
	Method string
	Type   byte // TypeCall …
	SeqID  int32
	Strict bool   // the version word was there
	Args   []byte // everything behind the header, further messages included; aliases the frame
}

// DecodeCall reads the header of the first message of frame, strict or old style.
func DecodeCall(frame []byte) (Call, error) {
	d := decoder{frame}
	word, err := d.i32()
	if err != nil {
		return Call{}, err
	}
	var c Call
	n := int(word)
	if word < 0 {
		if uint32(word)&versionMask != version1 {
			return Call{}, malformed("message version %#08x", uint32(word))
		}
		c.Strict, c.Type = true, byte(word)
		if n, err = d.size(); err != nil {
			return Call{}, err
		}
	}
	if n > maxMethod {
		return Call{}, malformed("a method name of %d bytes", n)
	}
	name, err := d.take(n)
	if err != nil {
		return Call{}, err
	}
	if c.Method = logMethod; string(name) != logMethod {
		c.Method = string(name)
	}
	if !c.Strict {
		if c.Type, err = d.byte(); err != nil {
			return Call{}, err
		}
	}
	if c.SeqID, err = d.i32(); err != nil {
		return Call{}, err
	}
	if c.Type < TypeCall || c.Type > TypeOneway {
		return Call{}, malformed("message type %d", c.Type)
	}
	c.Args = d.data
	return c, nil
}

// SplitArgs returns the arguments of a call of any method, and the bytes after them; both alias data.
func SplitArgs(data []byte) (args, rest []byte, err error) {
	d := decoder{data}
	if err := d.skipStruct(maxDepth); err != nil {
		return nil, nil, err
	}
	return data[:len(data)-len(d.data)], d.data, nil
}

// appendHeader appends the header of a message in the old style.
func appendHeader(dst []byte, method string, typ byte, seqID int32) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(method)))
	dst = append(dst, method...)
	dst = append(dst, typ)
	return binary.BigEndian.AppendUint32(dst, uint32(seqID))
}

// AppendLogHeader appends the beginning of a Log call, up to the first of its count entries, without a frame length.
func AppendLogHeader(dst []byte, seqID int32, count int) []byte {
	dst = appendHeader(dst, logMethod, TypeCall, seqID)
	dst = append(dst, typeList, 0, 1, typeStruct)
	return binary.BigEndian.AppendUint32(dst, uint32(count))
}

// Trailer is the part of a Log call after its entries. Old peers skip it.
type Trailer struct {
	Spans   []Span
	Namings []byte // elements as AppendNaming makes them
	Sources int    // how many they are
	Report  []byte // how the sender is, as JSON; of MaxReport bytes at most
	Asks    bool   // the sender can go elsewhere, and asks how the collector is
}

// MaxReport is the longest report, in bytes.
const MaxReport = 64 << 10

// AppendLogTrailer appends the part of a Log call after its entries.
func AppendLogTrailer(dst []byte, t Trailer) []byte {
	if len(t.Spans) > 0 {
		dst = appendSpanList(dst, t.Spans)
	}
	if t.Sources > 0 {
		dst = appendNamings(dst, t.Sources, t.Namings)
	}
	if len(t.Report) > 0 {
		dst = append(dst, typeString, 0, 4)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(t.Report)))
		dst = append(dst, t.Report...)
	}
	if t.Asks {
		dst = append(dst, typeI32, 0, 5, 0, 0, 0, 1)
	}
	return append(dst, typeStop)
}

// appendSpanList appends field 2 of the arguments of a Log call.
func appendSpanList(dst []byte, spans []Span) []byte {
	dst = append(dst, typeList, 0, 2, typeStruct)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(spans)))
	for i := range spans {
		dst = append(dst, typeString, 0, 1, 0, 0, 0, 16)
		dst = append(dst, spans[i].Stream[:]...)
		dst = append(dst, typeI64, 0, 2)
		dst = binary.BigEndian.AppendUint64(dst, uint64(spans[i].First))
		dst = append(dst, typeI32, 0, 3)
		dst = binary.BigEndian.AppendUint32(dst, uint32(spans[i].Count))
		dst = append(dst, typeStop)
	}
	return dst
}
