package rotate

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
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
	errs := []error{s.dir.Standing(), s.look(s.cur)}
	for _, f := range s.sealed {
		name := f.name
		if !f.visible {
			name = Hidden(name)
		}
		errs = append(errs, StillThere(s.path(name), f.info, f.info.Size()))
	}
	return errors.Join(errs...)
}

// look looks for the open file, if there is one.
func (s *Series) look(w *file) error {
	if w == nil {
		return nil
	}
	name := w.File
	if !w.visible {
		name = Hidden(name)
	}
	own, err := w.f.Stat()
	if err != nil {
		return err
	}
	return StillThere(s.path(name), own, w.Bytes)
}

// StillThere fails unless at path there is that file, with so many bytes. It looks from the top: the directory may be
// another one now.
func StillThere(path string, own fs.FileInfo, size int64) error {
	there, err := os.Lstat(path)
	switch {
	case err != nil:
		return fmt.Errorf("it was removed or moved away: %w", err)
	case !os.SameFile(there, own):
		return errors.New("another file was put in its place")
	case there.Size() < size:
		return fmt.Errorf("somebody cut it: it has %d bytes, %d were written", there.Size(), size)
	}
	return nil
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
