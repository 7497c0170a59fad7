package plain

import (
	"encoding/binary"
	"strconv"
)

// format appends a message as it stands in the file, behind the bytes that were gathered.
func (f *File) format(dst, category, message []byte) []byte {
	at := len(dst)
	if f.o.Thrift && !f.o.Simple {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(message)))
	}
	if f.o.WriteCategory && !f.o.Thrift {
		dst = append(append(dst, category...), '\n')
	}
	if f.o.Quote {
		dst = append(strconv.AppendQuote(dst, string(category)), ' ')
	}
	dst = append(dst, message...)
	if f.o.AddNewlines && !f.o.Thrift {
		dst = append(dst, '\n')
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

// padding is how many bytes must stand before a message of n bytes, at an offset of the gathered bytes, so that it does not cross a chunk.
// A message that is longer than a chunk begins at one; Thrift's transport leaves a chunk empty before it even where it would.
func (f *File) padding(at, n int) int {
	if f.o.Chunk == 0 || f.o.Simple {
		return 0
	}
	within := (f.size + int64(at)) % f.o.Chunk
	if within == 0 && !f.o.Thrift || int64(n) <= f.o.Chunk-within {
		return 0
	}
	return int(f.o.Chunk - within)
}
