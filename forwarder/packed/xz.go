package packed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// checkXz refuses a file that says that it needs a window of more than MaxWindow: the library would allocate it. The
// size is in the header of the first block, behind the stream header of 12 bytes:
//
//	SIZE/4 FLAGS [compressed size] [uncompressed size] {FILTER LENGTH PROPERTIES}… padding CRC32
//
// The properties of the filter 0x21, LZMA2, are one byte: the size of the window.
func checkXz(file io.ReaderAt) error {
	var head [12 + 1024]byte
	n, err := file.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	block := head[min(n, 12):n]
	if len(block) < 2 || block[0] == 0 {
		return nil // the library tells what is wrong, or the file is empty
	}
	flags := block[1]
	block = block[2:min(len(block), 4*int(block[0]))]
	number := func() uint64 {
		v, size := binary.Uvarint(block)
		block = block[max(size, 0):]
		return v
	}
	for _, bit := range []byte{0x40, 0x80} {
		if flags&bit != 0 {
			number()
		}
	}
	for range flags&3 + 1 {
		filter, length := number(), number()
		if filter == 0x21 && length == 1 && len(block) > 0 {
			if bits := block[0] & 63; bits > xzWindow {
				return fmt.Errorf("it needs a window of more than %d bytes", MaxWindow)
			}
		}
		block = block[min(length, uint64(len(block))):]
	}
	return nil
}

// xzWindow is how xz writes MaxWindow: 2 | bits&1, shifted by bits/2 + 11.
const xzWindow = 30
