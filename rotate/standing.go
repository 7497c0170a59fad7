package rotate

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"inkwell/internal/faultfs"
)

// Standing fails when what is being written is not where readers and the next start look for it: the open file or the
// directory was removed, replaced, cut or moved away, or another file system is mounted over it. After an error the
// series is broken (ErrBroken).
func (s *Series) Standing() error {
	if s.broken != nil {
		return s.broken
	}
	err := s.look(s.cur)
	if s.cur == nil {
		err = s.dir.Standing()
	}
	if err != nil {
		s.broken = astrayError{err}
	}
	return s.broken
}

// astrayError is ErrBroken, and says only what happened: no fsync has failed.
type astrayError struct{ error }

func (e astrayError) Unwrap() []error { return []error{e.error, ErrBroken} }

// standing does the same for every file that is not published.
func (s *Series) standing() error {
	errs := []error{s.look(s.cur)}
	if s.cur == nil {
		errs[0] = s.dir.Standing()
	}
	for _, f := range s.sealed {
		name := f.name
		if !f.visible {
			name = Hidden(name)
		}
		errs = append(errs, faultfs.StillThere(s.path(name), f.id, f.size))
	}
	return errors.Join(errs...)
}

// look looks for the open file, if there is one. To find it is to find the directory.
func (s *Series) look(w *file) error {
	if w == nil {
		return nil
	}
	name := w.File
	if !w.visible {
		name = Hidden(name)
	}
	return faultfs.StillThere(s.path(name), w.f.ID(), w.Bytes)
}

// tailBytes is how much of the end of a file says whether it is the one that was written.
const tailBytes = 1024

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// TailSum is the checksum of the last bytes before an offset.
func TailSum(f io.ReaderAt, end int64) (uint32, error) {
	buf := make([]byte, min(end, tailBytes))
	if _, err := f.ReadAt(buf, end-int64(len(buf))); err != nil {
		return 0, fmt.Errorf("read the last bytes: %w", err)
	}
	return crc32.Checksum(buf, castagnoli), nil
}
