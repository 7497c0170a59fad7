package plain

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"inkwell/store"
)

// recover brings the directory to where a saved state says it stood. known is false when there is none, or its file is gone.
func (f *File) recover(saved store.Marks) (st state, known bool, err error) {
	if data, ok := saved[f.path]; ok {
		if err := json.Unmarshal(data, &st); err != nil {
			return st, false, fmt.Errorf("read the state of %s: %w", f.path, err)
		}
		if err := f.show(st); err != nil {
			return st, false, err
		}
		_, err := f.dir.Lstat(st.File)
		switch {
		case err == nil:
			known = true
		case !errors.Is(err, fs.ErrNotExist):
			return st, false, fmt.Errorf("look for %s: %w", filepath.Join(f.dir.Path(), st.File), err)
		case st.Bytes > 0:
			f.o.Stats.Overall("bytes lost").Add(st.Bytes)
			f.log.Error("a file that was being written is gone", "file", filepath.Join(f.dir.Path(), st.File), "bytes", st.Bytes)
		}
	}
	return st, known, f.sweep()
}

// show gives the files that a saved state names their names, and writes its lines of statistics; what is done already is left alone.
func (f *File) show(st state) error {
	for _, name := range st.Begun {
		err := f.dir.Rename(hidden(name), name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("publish %s: %w", filepath.Join(f.dir.Path(), name), err)
		}
	}
	if len(st.Begun) > 0 {
		last := st.Begun[len(st.Begun)-1]
		if !f.o.NoSymlink {
			if err := f.dir.Symlink(last, f.o.Symlink+"_current"); err != nil {
				return fmt.Errorf("link %s_current in %s: %w", f.o.Symlink, f.dir.Path(), err)
			}
		}
		if err := f.syncDir(); err != nil {
			return err
		}
	}
	return f.tell(st.Stats)
}

// sweep removes hidden files of the series: no saved state names them, so what is in them will be appended again.
func (f *File) sweep() error {
	list, err := f.dir.ReadDir()
	if err != nil {
		return fmt.Errorf("list %s: %w", f.dir.Path(), err)
	}
	for _, e := range list {
		if !f.own(shown(e.Name())) {
			continue
		}
		if err := f.dir.Remove(e.Name()); err != nil {
			return fmt.Errorf("remove what will be written again, %s: %w", filepath.Join(f.dir.Path(), e.Name()), err)
		}
	}
	return nil
}

// own says whether a name is one of the series, of any date.
func (f *File) own(name string) bool {
	stem := f.o.Base
	if rest, ok := strings.CutPrefix(name, f.o.Base+"-"); ok && len(rest) > len("2006-01-02") {
		stem += "-" + rest[:len("2006-01-02")]
	}
	n, ok := number(stem, name)
	return ok && name == fileName(stem, n)
}

// statsName is the file that tells of rotations.
const statsName = "scribe_stats"

// tell appends lines to scribe_stats, but for those that are there already. Several series of a directory share it.
func (f *File) tell(lines []string) (err error) {
	if len(lines) == 0 {
		return nil
	}
	there, err := f.dir.ReadFile(statsName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read %s in %s: %w", statsName, f.dir.Path(), err)
	}
	var add strings.Builder
	for _, line := range lines {
		if !strings.Contains(string(there), line+"\n") {
			add.WriteString(line + "\n")
		}
	}
	file, err := f.dir.OpenFile(statsName, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("open %s in %s: %w", statsName, f.dir.Path(), err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.Write([]byte(add.String())); err != nil {
		return fmt.Errorf("write %s in %s: %w", statsName, f.dir.Path(), err)
	}
	return nil
}

// retain removes files of the series that are too old; the open one is none of them.
func (f *File) retain() {
	if f.o.Keep == 0 {
		return
	}
	list, err := f.dir.ReadDir()
	if err != nil {
		f.log.Error("look for old files", "directory", f.dir.Path(), "error", err)
		return
	}
	for _, e := range list {
		info, err := e.Info()
		if err != nil || e.Name() == f.name || !f.own(e.Name()) || f.o.Now().Sub(info.ModTime()) < f.o.Keep {
			continue
		}
		if err := f.dir.Remove(e.Name()); err != nil {
			f.log.Error("remove old file", "file", filepath.Join(f.dir.Path(), e.Name()), "error", err)
			continue
		}
		f.log.Info("removed old file", "file", filepath.Join(f.dir.Path(), e.Name()))
	}
}
