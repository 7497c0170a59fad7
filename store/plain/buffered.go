package plain

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"inkwell/internal/faultfs"
)

// Buffered lists the buffer files that the original left in dir for a base name, lowest number first. A dir that is not
// there has none.
func Buffered(dir, base string) ([]string, error) { return buffered(dir, dir, base) }

// buffered is Buffered for a dir beneath root, to which no link may lead.
func buffered(root, dir, base string) (_ []string, err error) {
	d, err := faultfs.LookBeneath(root, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for buffer files: %w", err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	list, err := d.ReadDir()
	if err != nil {
		return nil, fmt.Errorf("look for buffer files: %w", err)
	}
	type found struct {
		name string
		n    int
	}
	var files []found
	for _, e := range list {
		if n, ok := Number(base, e.Name()); ok && e.Type().IsRegular() && e.Name() == FileName(base, n) {
			files = append(files, found{e.Name(), n})
		}
	}
	slices.SortFunc(files, func(a, b found) int { return cmp.Compare(a.n, b.n) })
	var names []string
	for _, f := range files {
		names = append(names, f.name)
	}
	return names, nil
}

// DamageError says that a buffer file cannot be read from an offset on.
type DamageError struct {
	Offset int64 // of the first byte that makes no sense
	Bytes  int64 // from there to the end of the file
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("buffer file is damaged: %d bytes from offset %d on cannot be read", e.Bytes, e.Offset)
}

// BufferReader reads a buffer file of the original: records of a u32 little-endian length and so many bytes. A record
// is a message; with categories, a record "category\n" stands before each. Not safe for concurrent use.
type BufferReader struct {
	r          io.ReaderAt
	size       int64
	categories bool
	offset     int64 // behind what was read
	category   []byte
	message    []byte
}

// NewBufferReader reads the size bytes of r from an offset on. category is that of all messages; "" says that each has
// its own before it.
func NewBufferReader(r io.ReaderAt, size int64, category string) *BufferReader {
	return &BufferReader{r: r, size: size, categories: category == "", category: []byte(category)}
}

// Next returns the next entry, valid until the next call; io.EOF at the end, a *DamageError where the file makes no
// sense any more.
func (b *BufferReader) Next() (category, message []byte, err error) {
	start := b.offset
	if b.categories {
		name, err := b.record(b.category[:0])
		if err != nil {
			return nil, nil, b.fail(start, err)
		}
		trimmed, ok := bytes.CutSuffix(name, []byte{'\n'})
		if !ok {
			return nil, nil, b.fail(start, io.ErrUnexpectedEOF)
		}
		b.category = trimmed
	}
	message, err = b.record(b.message[:0])
	if err == io.EOF && b.categories {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, nil, b.fail(start, err)
	}
	b.message = message
	return b.category, message, nil
}

// Offset is behind the last entry.
func (b *BufferReader) Offset() int64 { return b.offset }

// fail goes back to where an entry began and says what is wrong.
func (b *BufferReader) fail(start int64, err error) error {
	b.offset = start
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &DamageError{Offset: start, Bytes: b.size - start}
	}
	return err
}

// record reads one into dst, whose memory is used again. No more is taken than the file has.
func (b *BufferReader) record(dst []byte) ([]byte, error) {
	left := b.size - b.offset
	if left == 0 {
		return nil, io.EOF
	}
	var head [4]byte
	if left < 4 {
		return nil, io.ErrUnexpectedEOF
	}
	if err := b.readAt(head[:], b.offset); err != nil {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(head[:]))
	if n > left-4 {
		return nil, io.ErrUnexpectedEOF
	}
	dst = slices.Grow(dst, int(n))[:n]
	if err := b.readAt(dst, b.offset+4); err != nil {
		return nil, err
	}
	b.offset += 4 + n
	return dst, nil
}

// readAt reads all of p. A file that has become shorter is damaged, not at its end.
func (b *BufferReader) readAt(p []byte, off int64) error {
	n, err := b.r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return err
}
