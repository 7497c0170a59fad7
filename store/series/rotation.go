package plain

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"inkwell/internal/killpoint"
)

// Check rotates when it is time to. It must be called from time to time.
func (f *File) Check(time.Time) error {
	if f.broken.Load() || f.dir == nil {
		return nil
	}
	due := func() bool {
		return f.o.over(f.begun, f.o.Now()) || f.full()
	}
	if !due() {
		return nil
	}
	err := f.standing()
	if err == nil && due() {
		err = f.rotate()
	}
	if err != nil {
		return f.fail("File open error", err)
	}
	return nil
}

// standing begins a new file if the open one was removed, moved away or cut, so that nothing is written where nobody looks, or behind
// bytes that are not ours.
func (f *File) standing() error {
	name := f.name
	if f.hidden {
		name = hidden(name)
	}
	path := filepath.Join(f.dir.Path(), name)
	found, err := os.Lstat(path) // from the top: the directory may be another one now
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("look for %s: %w", path, err)
	}
	own, oerr := f.file.Stat()
	if oerr != nil {
		return fmt.Errorf("look at %s: %w", path, oerr)
	}
	if err == nil && os.SameFile(found, own) {
		if own.Size() >= f.size {
			return nil
		}
		f.log.Warn("somebody cut the open file: a new one is begun", "file", path, "bytes", own.Size(), "expected", f.size)
		return f.begin()
	}
	f.log.Warn("the open file was removed or moved: a new one is begun", "file", path)
	return f.again()
}

// again begins a file where the directory of the series is now.
func (f *File) again() error {
	dir, err := f.o.openDir()
	if err != nil {
		return fmt.Errorf("open directory of %s: %w", f.path, err)
	}
	old := f.dir
	f.dir = dir
	// Files without a name that are there still get theirs with the next mark, those in a directory that was moved away now.
	f.fresh = slices.DeleteFunc(f.fresh, func(name string) bool {
		if n, err := f.length(hidden(name)); err != nil || n >= 0 {
			return false
		}
		if err := old.Rename(hidden(name), name); err != nil && !errors.Is(err, os.ErrNotExist) {
			f.log.Error("a file in a directory that was moved away does not get its name", "file", name, "error", err)
		}
		return true
	})
	f.covered = state{}
	return errors.Join(old.Close(), f.begin())
}

// rotate ends the open file and begins the next.
func (f *File) rotate() error {
	next, err := f.next()
	if err != nil {
		return err
	}
	if f.o.WriteStats {
		f.lines = append(f.lines, fmt.Sprintf("%s wrote <%d> bytes in <%d> events to file <%s>", f.o.Now().Format("2006-01-02-15:04"), f.counted(), f.events,
			f.o.written(f.name)))
	}
	if f.o.WriteMeta {
		meta := "scribe_meta<new_logfile>: " + f.o.written(next)
		if f.o.AddNewlines {
			meta += "\n"
		}
		if _, err := f.file.Write([]byte(meta)); err != nil {
			return fmt.Errorf("write %s: %w", filepath.Join(f.dir.Path(), f.name), err)
		}
		f.size += int64(len(meta))
	}
	return f.begin()
}

// next is the name of the file to be begun now. The name of the open one does not come again, even if that was removed: a saved state
// may speak of it.
func (f *File) next() (string, error) {
	now := f.o.Now()
	stem := f.o.stem(now)
	n, _, err := newest(f.dir, stem)
	if err != nil {
		return "", err
	}
	if k, same := number(stem, f.name); same {
		n = max(n, k)
	}
	return fileName(stem, n+1), nil
}

// begin begins the next file under its hidden name; the one before is kept to be synced.
func (f *File) begin() error {
	name, err := f.next()
	if err != nil {
		return err
	}
	file, err := f.dir.OpenFile(hidden(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("begin %s: %w", filepath.Join(f.dir.Path(), name), err)
	}
	killpoint.Reach("plain.begun")
	f.closed = append(f.closed, f.file)
	f.file, f.name, f.hidden, f.size, f.payload, f.events, f.begun, f.synced = file, name, true, 0, 0, 0, f.o.Now(), false
	f.fresh = append(f.fresh, name)
	return nil
}
