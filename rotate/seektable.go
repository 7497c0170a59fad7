package rotate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The zstd format: RFC 8878 §3.1. The seek table: contrib/seekable_format/zstd_seekable_compression_format.md of the
// zstd repository.
const (
	zstdMagic      = 0xFD2FB528
	skippableMagic = 0x184D2A50 // the last four bits are free
	seekMagic      = 0x184D2A5E
	seekFooter     = 0x8F92EAB1

	maxFrameHeader = 18
	minFrame       = 9 // bytes: magic, descriptor, window or size, a block header
	checksumSize   = 4
)

// tableError says that a seek table could not be made.
type tableError struct{ err error }

func (e *tableError) Error() string { return "make the seek table: " + e.err.Error() }
func (e *tableError) Unwrap() error { return e.err }

// seekTable makes the seek table of the frames in r up to m, which it finds by walking over them: nothing has to be
// kept in memory while a file is written, and after a crash it is found the same way.
func seekTable(r io.ReaderAt, m Mark) ([]byte, error) {
	if m.Blocks < 0 || m.Blocks > m.Bytes/minFrame {
		return nil, fmt.Errorf("%d frames in %d bytes cannot be", m.Blocks, m.Bytes)
	}
	size := tailSize(Zstd, m.Blocks)
	table := make([]byte, 0, size)
	table = binary.LittleEndian.AppendUint32(table, seekMagic)
	table = binary.LittleEndian.AppendUint32(table, uint32(size-8))
	var frames, raw int64
	for off := int64(0); off < m.Bytes; frames++ {
		packed, content, err := walkFrame(r, off)
		if err != nil {
			return nil, fmt.Errorf("frame %d at byte %d: %w", frames, off, err)
		}
		off += packed
		raw += content
		table = binary.LittleEndian.AppendUint32(table, uint32(packed))
		table = binary.LittleEndian.AppendUint32(table, uint32(content))
		if off > m.Bytes {
			return nil, fmt.Errorf("frame %d ends at byte %d, behind the end of the data at %d", frames, off, m.Bytes)
		}
	}
	if frames != m.Blocks || raw != m.Raw {
		return nil, fmt.Errorf("found %d frames of %d bytes, wrote %d of %d", frames, raw, m.Blocks, m.Raw)
	}
	table = binary.LittleEndian.AppendUint32(table, uint32(frames))
	table = append(table, 0) // descriptor: no checksums, the frames have their own
	return binary.LittleEndian.AppendUint32(table, seekFooter), nil
}

// ErrUnsized says that a frame does not say how long its content is.
var ErrUnsized = errors.New("it does not say how long its content is")

// Frame finds out how long the zstd frame at off is, packed and unpacked, by its headers. Skippable ones have no
// content.
func Frame(r io.ReaderAt, off int64) (packed, content int64, err error) {
	var head [8]byte
	if n, _ := r.ReadAt(head[:], off); n == len(head) && binary.LittleEndian.Uint32(head[:])&^0xf == skippableMagic {
		return 8 + int64(binary.LittleEndian.Uint32(head[4:])), 0, nil
	}
	return walkFrame(r, off)
}

// walkFrame is Frame for frames that have content.
func walkFrame(r io.ReaderAt, off int64) (packed, content int64, err error) {
	var buf [maxFrameHeader]byte
	if n, err := r.ReadAt(buf[:], off); n < 5 {
		return 0, 0, noEOF(err)
	}
	h, err := parseFrameHeader(buf[:])
	if err != nil {
		return 0, 0, err
	}
	if !h.sized {
		return 0, 0, ErrUnsized
	}
	packed = int64(h.size)
	for last := false; !last; {
		if _, err := r.ReadAt(buf[:3], off+packed); err != nil {
			return 0, 0, noEOF(err)
		}
		var n int
		n, last = parseBlockHeader(buf[:3])
		packed += 3 + int64(n)
	}
	if h.checksum {
		packed += checksumSize
	}
	return packed, int64(h.content), nil
}

// frameHeader is what matters here of the header of a zstd frame.
type frameHeader struct {
	size     int // of the header
	sized    bool
	content  uint64 // if sized
	checksum bool
}

// frameHeaderSize is the size of the header whose first five bytes are b.
func frameHeaderSize(b []byte) int {
	d := b[4]
	single := int(d >> 5 & 1)
	return 5 + 1 - single + [...]int{0, 1, 2, 4}[d&3] + [...]int{single, 2, 4, 8}[d>>6]
}

func parseFrameHeader(b []byte) (frameHeader, error) {
	if magic := binary.LittleEndian.Uint32(b); magic != zstdMagic {
		return frameHeader{}, fmt.Errorf("it begins with %#08x, which is no zstd frame", magic)
	}
	d := b[4]
	h := frameHeader{size: frameHeaderSize(b), sized: d>>6 != 0 || d>>5&1 != 0, checksum: d>>2&1 != 0}
	switch field := b[:h.size]; d >> 6 {
	case 0:
		h.content = uint64(field[len(field)-1]) // when sized
	case 1:
		h.content = uint64(binary.LittleEndian.Uint16(field[len(field)-2:])) + 256
	case 2:
		h.content = uint64(binary.LittleEndian.Uint32(field[len(field)-4:]))
	case 3:
		h.content = binary.LittleEndian.Uint64(field[len(field)-8:])
	}
	return h, nil
}

// parseBlockHeader says how many bytes follow the three of the header of a zstd block, and whether it is the frame's
// last.
func parseBlockHeader(b []byte) (size int, last bool) {
	v := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
	const rle = 1
	if v>>1&3 == rle {
		return 1, v&1 != 0
	}
	return v >> 3, v&1 != 0
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
