package series

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
	"inkwell/store"
	"inkwell/store/plain"
)

// Check rotates when it is time, and makes sure that the open file and its directory still exist and can be written. It
// must be called from time to time.
func (f *Plain) Check(time.Time) error {
	if f.broken || f.dir == nil {
		return nil
	}
	if err := errors.Join(f.standing(), f.dir.Writable()); err != nil {
		return f.fail("File write error", err)
	}
	if f.o.over(f.begun, f.o.Now()) || f.full() {
		if err := f.rotate(); err != nil {
			return f.fail("File open error", err)
		}
	}
	return nil
}

// standing returns an error if the open file or its directory was removed or replaced, so that nobody would find what
// is written.
func (f *Plain) standing() error { return f.checkPath(ended{f.file, f.name, f.size}) }

// checkPath returns an error unless the path of a file, looked up from the root, still leads to that file.
func (f *Plain) checkPath(e ended) error {
	name := e.name
	if slices.Contains(f.fresh, name) {
		name = hidden(name)
	}
	path := filepath.Join(f.dir.Path(), name)
	if err := faultfs.StillThere(path, e.file.ID(), e.size); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// rotate ends the open file and begins the next.
func (f *Plain) rotate() error {
	f.quiet = false
	next, err := f.next()
	if err != nil {
		return err
	}
	if f.o.WriteStats {
		f.lines = append(f.lines, fmt.Sprintf("%s wrote <%d> bytes in <%d> events to file <%s>",
			f.o.Now().Format("2006-01-02-15:04"), f.counted(), f.events,
			f.o.written(f.name)))
	}
	if f.o.WriteMeta {
		meta := "scribe_meta<new_logfile>: " + f.o.written(next)
		if f.o.Form.Newlines != store.NewlinesNever {
			meta += "\n"
		}
		if _, err := f.file.Write([]byte(meta)); err != nil {
			return fmt.Errorf("write %s: %w", filepath.Join(f.dir.Path(), f.name), err)
		}
		f.contents.wrote(f.name, f.size, []store.Span{{Hour: f.o.Now().Unix() / 3600, Bytes: int64(len(meta))}},
			f.o.Now().Unix())
		f.size += int64(len(meta))
	}
	return f.begin()
}

// next returns the name of the file to be begun now. The name of the open file is not used again, even if the file was
// removed, because a saved state may contain it.
func (f *Plain) next() (string, error) {
	now := f.o.Now()
	stem := f.o.stem(now)
	n, _, err := newest(f.dir, stem)
	if err != nil {
		return "", err
	}
	if k, same := plain.Number(stem, f.name); same {
		n = max(n, k)
	}
	return plain.FileName(stem, n+1), nil
}

// begin begins the next file under its hidden name. The previous one stays open until it is synced.
func (f *Plain) begin() error {
	name, err := f.next()
	if err != nil {
		return err
	}
	file, err := f.dir.OpenFile(hidden(name), os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("begin %s: %w", filepath.Join(f.dir.Path(), name), err)
	}
	killpoint.Reach("plain.begun")
	f.closed = append(f.closed, ended{f.file, f.name, f.size})
	f.file, f.name, f.size, f.payload, f.events, f.begun, f.synced = file, name, 0, 0, 0, f.o.Now(), false
	f.fresh = append(f.fresh, name)
	return nil
}
