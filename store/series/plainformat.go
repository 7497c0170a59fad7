package series

import (
	"encoding/binary"
	"strconv"
)

// format appends a message to the gathered bytes in the form that it has in the file.
func (f *Plain) format(dst, category, message []byte) []byte {
	at := len(dst)
	switch {
	case f.o.Thrift && !f.o.Simple:
		dst = append(dst, 0, 0, 0, 0)
		dst = f.message(dst, category, message)
		binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	case f.o.Thrift:
		dst = f.message(dst, category, message)
	default:
		if f.o.WriteCategory {
			dst = append(append(dst, category...), '\n')
		}
		dst = f.o.Form.Append(dst, category, message)
	}
	pad := f.padding(at, len(dst)-at)
	if pad == 0 {
		return dst
	}
	n := len(dst) - at
	dst = append(dst, make([]byte, pad)...)
	copy(dst[at+pad:], dst[at:at+n])
	clear(dst[at : at+pad])
	return dst
}

// message appends a message of a thriftfile, in which it does not end with a newline.
func (f *Plain) message(dst, category, message []byte) []byte {
	if f.o.Form.Quote {
		dst = append(strconv.AppendQuote(dst, string(category)), ' ')
	}
	return append(dst, message...)
}

// padding returns how many zero bytes must precede a message of n bytes at an offset of the gathered bytes, so that it
// does not extend over the end of a chunk. A message that is longer than a chunk begins at the beginning of one. In a
// thriftfile a whole chunk is left empty even before a long message that would begin there anyway, as Thrift's
// transport does.
func (f *Plain) padding(at, n int) int {
	if f.o.Chunk == 0 || f.o.Simple {
		return 0
	}
	within := (f.size + int64(at)) % f.o.Chunk
	if within == 0 && !f.o.Thrift || int64(n) <= f.o.Chunk-within {
		return 0
	}
	return int(f.o.Chunk - within)
}
