package series

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"inkwell/internal/killpoint"
	"inkwell/rotate"
	"inkwell/store"
	"inkwell/store/plain"
)

// recover restores the directory to the saved state, and returns the state of the file to open. known is false when
// nothing is known of that file, so that it is used as it is.
func (f *Plain) recover(saved store.States) (st state, known bool, err error) {
	data, marked := saved[f.path]
	if marked {
		if err := json.Unmarshal(data, &st); err != nil {
			return st, false, fmt.Errorf("read the state of %s: %w", f.path, err)
		}
	}
	if st.File == "" {
		if marked {
			f.log.Warn("compressed files of this name were not finished when they were left: the open one stays as "+
				"it is, beside the plain ones (inkwell cat reads it)", "file", f.path)
		}
		if err := f.adopt(); err != nil {
			return st, false, err
		}
		st, err = f.choose()
		return st, false, err
	}
	if err := f.show(st, nil); err != nil {
		return st, false, err
	}
	killpoint.Reach("plain.recover.shown")
	there, err := f.readStats()
	if err == nil {
		err = f.writeStats(st.Stats, there)
	}
	if err == nil {
		err = f.sweep(st)
	}
	if err != nil {
		return st, false, err
	}
	have, err := f.left(st)
	if err != nil || have == st.Bytes {
		return st, err == nil, err
	}
	f.o.Stats.Overall("bytes lost").Add(st.Bytes - have)
	f.o.Stats.Category(f.o.Base, "bytes lost").Add(st.Bytes - have)
	f.log.Error("a file that was being written was changed: somebody removed, truncated or replaced it; the series "+
		"continues with another",
		"file", filepath.Join(f.dir.Path(), st.File), "bytes", have, "expected", st.Bytes)
	// What the books say of the file ends here.
	f.contents.open, f.contents.end = st.File, st.Bytes
	st, err = f.replace(st)
	return st, false, err
}

// left returns how many of the bytes that were written to the file of a state still exist; 0 if it is another file.
func (f *Plain) left(st state) (int64, error) {
	have, err := f.length(st.File)
	if err != nil || have < st.Bytes || st.Tail == 0 {
		return max(0, min(have, st.Bytes)), err
	}
	file, err := f.dir.OpenFile(st.File, os.O_RDONLY, 0)
	if err != nil {
		return 0, fmt.Errorf("look at %s: %w", filepath.Join(f.dir.Path(), st.File), err)
	}
	sum, err := rotate.TailSum(file, st.Bytes)
	if err = errors.Join(err, file.Close()); err != nil {
		return 0, fmt.Errorf("look at %s: %w", filepath.Join(f.dir.Path(), st.File), err)
	}
	if sum != st.Tail {
		return 0, nil
	}
	return st.Bytes, nil
}

// length returns the size of a file, -1 if it does not exist.
func (f *Plain) length(name string) (int64, error) {
	info, err := f.dir.Lstat(name)
	switch {
	case err == nil:
		return info.Size(), nil
	case errors.Is(err, fs.ErrNotExist):
		return -1, nil
	}
	return 0, fmt.Errorf("look for %s: %w", filepath.Join(f.dir.Path(), name), err)
}

// choose returns the file to continue or to begin when there is no saved state.
func (f *Plain) choose() (state, error) {
	now := f.o.Now()
	stem := f.o.stem(now)
	n, taken, err := newest(f.dir, stem)
	switch {
	case err != nil:
		return state{}, err
	case n < 0:
		n = f.o.first(now)
	case taken || f.o.fresh():
		n++
	}
	return state{File: plain.FileName(stem, n)}, nil
}

// replace returns the file with which to continue when somebody has changed that of a state: a new one, or an empty
// one, which an earlier attempt may have left. Files that others have written are not touched.
func (f *Plain) replace(lost state) (state, error) {
	now := f.o.Now()
	stem := f.o.stem(now)
	n, taken, err := newest(f.dir, stem)
	if err != nil {
		return state{}, err
	}
	if k, same := plain.Number(stem, lost.File); same && k >= n {
		// its name is not used again, because the file may be moved back
		return state{File: plain.FileName(stem, k+1)}, nil
	}
	if n >= 0 && !taken {
		if have, err := f.length(plain.FileName(stem, n)); err != nil || have == 0 {
			return state{File: plain.FileName(stem, n)}, err
		}
	}
	if n++; n == 0 {
		n = f.o.first(now)
	}
	return state{File: plain.FileName(stem, n)}, nil
}

// adopt gives hidden files their final names when there is no saved state. Then nobody appends their content again: the
// last run has ended before it could publish them, or its state was lost.
func (f *Plain) adopt() error {
	list, err := f.dir.ReadDir()
	if err != nil {
		return fmt.Errorf("list %s: %w", f.dir.Path(), err)
	}
	var st state
	for _, e := range list {
		if name := shown(e.Name()); f.own(name) {
			f.log.Warn("a file that was begun by an earlier run gets its name",
				"file", filepath.Join(f.dir.Path(), name))
			st.Begun = append(st.Begun, name)
		}
	}
	return f.show(st, nil)
}

// sweep removes hidden files of the series that were begun after the saved state, because their content is appended
// again. An older hidden file is set aside: it is from a directory that was moved away and has been moved back.
func (f *Plain) sweep(st state) error {
	list, err := f.dir.ReadDir()
	if err != nil {
		return fmt.Errorf("list %s: %w", f.dir.Path(), err)
	}
	for _, e := range list {
		name := shown(e.Name())
		if !f.own(name) {
			continue
		}
		if f.before(name, st.File) {
			f.log.Warn("a file that was begun long ago, and of which nothing is known, is set aside",
				"file", filepath.Join(f.dir.Path(), rotate.Orphan(name)))
			if err := f.dir.Rename(e.Name(), rotate.Orphan(name)); err != nil {
				return fmt.Errorf("set aside %s: %w", filepath.Join(f.dir.Path(), e.Name()), err)
			}
			continue
		}
		if err := f.dir.Remove(e.Name()); err != nil {
			return fmt.Errorf("remove what will be written again, %s: %w", filepath.Join(f.dir.Path(), e.Name()), err)
		}
	}
	return nil
}

// before reports whether a file of the series was begun no later than another one, by their names.
func (f *Plain) before(name, other string) bool {
	stem, n := f.parts(name)
	otherStem, k := f.parts(other)
	return stem == otherStem && n <= k || len(stem) == len(otherStem) && stem < otherStem
}

// parts splits a name of the series into the part before the number, and the number; -1 = it has none.
func (f *Plain) parts(name string) (stem string, n int) {
	stem = f.o.Base
	if rest, ok := strings.CutPrefix(name, f.o.Base+"-"); ok && len(rest) > len("2006-01-02") {
		stem += "-" + rest[:len("2006-01-02")]
	}
	n, ok := plain.Number(stem, name)
	if !ok {
		n = -1
	}
	return stem, n
}

// own reports whether a name belongs to the series, with any date.
func (f *Plain) own(name string) bool {
	stem, n := f.parts(name)
	return n >= 0 && name == plain.FileName(stem, n)
}
