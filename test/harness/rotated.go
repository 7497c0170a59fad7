package harness

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

// Rotated is a log that is written and rotated all the time, in all styles that lose nothing.
type Rotated struct {
	Source string // of its lines
	Path   string

	next      atomic.Int64 // number of the next line
	rotations atomic.Int64
	file      *os.File
}

// NewRotated returns a log that is not there yet.
func NewRotated(source, path string) *Rotated { return &Rotated{Source: source, Path: path} }

// Lines returns the number of lines that were written.
func (l *Rotated) Lines() int { return int(l.next.Load()) }

// Rotations returns how often the log was rotated.
func (l *Rotated) Rotations() int { return int(l.rotations.Load()) }

// Run writes until going, which waits for a duration, returns false.
func (l *Rotated) Run(going func(time.Duration) bool) (err error) {
	if err := l.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.file.Close()) }()
	for turn := 1; going(50 * time.Millisecond); turn++ {
		n := 15
		if turn%97 == 0 {
			n = 3000 // a burst
		}
		if err := l.write(n, turn%3 == 0); err != nil {
			return err
		}
		if turn%60 == 0 {
			if err := l.rotate(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *Rotated) open() (err error) {
	l.file, err = os.OpenFile(l.Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	return err
}

// write appends lines, in two writes that meet within a line if torn is set.
func (l *Rotated) write(n int, torn bool) error {
	from := int(l.next.Load())
	text := Lines(l.Source, from, from+n)
	cut := 0
	if torn {
		cut = len(text) / 2
	}
	for _, part := range [][]byte{text[:cut], text[cut:]} {
		if _, err := l.file.Write(part); err != nil {
			return err
		}
	}
	l.next.Add(int64(n))
	return nil
}

// rotate has six styles, in turn. Only the first two have a writer that goes on with the old file for a while, as
// servers do until they are told: what it would write meanwhile is in no file with the others.
func (l *Rotated) rotate() error {
	n := l.rotations.Add(1)
	name := l.Path + "." + strconv.FormatInt(n, 10)
	switch n % 6 {
	case 1: // rename
		return errors.Join(os.Rename(l.Path, name), l.lag())
	case 2: // rename, create
		return errors.Join(os.Rename(l.Path, name), os.WriteFile(l.Path, nil, 0o644), l.lag())
	case 3: // three renames at once
		for _, suffix := range []string{".a", ".b", ".c"} {
			if err := errors.Join(os.Rename(l.Path, name+suffix), l.reopen(), l.write(5, false)); err != nil {
				return err
			}
			time.Sleep(20 * time.Millisecond) // so that their times tell which is older
		}
		return nil
	case 4: // copytruncate
		return errors.Join(l.copyTo(name), os.Truncate(l.Path, 0))
	case 5: // another file in its place, as by rsync and sed -i
		return errors.Join(l.copyTo(l.Path+".tmp"), os.Rename(l.Path+".tmp", l.Path), l.reopen())
	}
	old := filepath.Join(filepath.Dir(l.Path), "old")
	return errors.Join(os.MkdirAll(old, 0o755), os.Rename(l.Path, filepath.Join(old, filepath.Base(name))), l.reopen())
}

// lag writes to the file that is open for a while, and then to what stands at the path.
func (l *Rotated) lag() error {
	for range 10 {
		if err := l.write(3, false); err != nil {
			return err
		}
		time.Sleep(30 * time.Millisecond)
	}
	return l.reopen()
}

func (l *Rotated) reopen() error { return errors.Join(l.file.Close(), l.open()) }

func (l *Rotated) copyTo(name string) error {
	data, err := os.ReadFile(l.Path)
	if err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o644)
}
