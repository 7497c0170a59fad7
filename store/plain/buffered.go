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

// Buffered lists the buffer files that the original scribed left in dir for a base name, lowest number first. If dir
// does not exist, there are none.
func Buffered(dir, base string) ([]string, error) { return buffered(dir, dir, base) }

// buffered is Buffered for a dir below root; symbolic links between the two are not followed.
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
	Offset int64 // where the first unreadable record begins
	Bytes  int64 // from there to the end of the file
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("buffer file is damaged: %d bytes from offset %d on cannot be read", e.Bytes, e.Offset)
}

// BufferReader reads a buffer file of the original. A record is a little-endian u32 length and so many bytes, which are
// a message. With categories, each message follows a record "category\n". Not safe for concurrent use.
type BufferReader struct {
	r          io.ReaderAt
	size       int64
	categories bool
	offset     int64 // end of the last entry
	category   []byte
	message    []byte
}

// NewBufferReader reads a file of size bytes. category is the category of all messages; "" says that each message
// follows a record with its category.
func NewBufferReader(r io.ReaderAt, size int64, category string) *BufferReader {
	return &BufferReader{r: r, size: size, categories: category == "", category: []byte(category)}
}

// Next returns the next entry, which is valid until the next call. The error is io.EOF at the end, and a *DamageError
// where the file cannot be read.
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

// Offset returns the offset behind the last entry.
func (b *BufferReader) Offset() int64 { return b.offset }

// fail returns to the beginning of the entry and converts the error.
func (b *BufferReader) fail(start int64, err error) error {
	b.offset = start
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &DamageError{Offset: start, Bytes: b.size - start}
	}
	return err
}

// record reads a record into dst, growing it if necessary, but never by more than the file has.
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

// readAt fills p. A file that has become shorter counts as damaged, not as read to its end.
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
