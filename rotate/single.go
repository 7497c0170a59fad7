package rotate

import (
	"errors"
	"fmt"

	"inkwell/internal/faultfs"
)

// Single writes one file of a chosen name, in the format of a series.
type Single struct {
	dir  *faultfs.Dir
	enc  *Encoder
	w    *file
	open bool
}

// Create begins a file in dir, which stays the caller's. There must be none of that name.
func Create(dir *faultfs.Dir, name string, c Codec) (*Single, error) {
	taken, err := exists(dir, name)
	if err == nil && taken {
		err = errors.New("there is a file of that name already (choose another directory)")
	}
	if err != nil {
		return nil, fmt.Errorf("create %s in %s: %w", name, dir.Path(), err)
	}
	enc, err := NewEncoder(c, 0)
	if err != nil {
		return nil, err
	}
	w, err := create(dir, Mark{File: name}, c)
	if err != nil {
		return nil, fmt.Errorf("create %s in %s: %w", name, dir.Path(), err)
	}
	return &Single{dir: dir, enc: enc, w: w, open: true}, nil
}

// Append adds a block. It does not retain chunk.
func (s *Single) Append(chunk []byte) error {
	if len(chunk) == 0 {
		return nil
	}
	b, err := s.enc.encode(chunk)
	if err == nil {
		err = s.w.append(b)
	}
	if err != nil {
		return fmt.Errorf("write %s in %s: %w", s.w.File, s.dir.Path(), err)
	}
	return nil
}

// Finish ends the file and gives it its name, durably.
func (s *Single) Finish() error {
	err := s.w.finish()
	if err == nil {
		err = s.w.f.Sync()
	}
	if err == nil {
		err = s.dir.Rename(Hidden(s.w.File), s.w.File)
	}
	if err == nil {
		err = s.dir.Sync()
	}
	if err != nil {
		return fmt.Errorf("finish %s in %s: %w", s.w.File, s.dir.Path(), err)
	}
	s.open = false
	return nil
}

// Close releases the file; one that was not finished is removed.
func (s *Single) Close() error {
	err := s.w.f.Close()
	if s.open {
		err = errors.Join(err, s.dir.Remove(Hidden(s.w.File)))
	}
	return err
}
