package plain

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"inkwell/internal/killpoint"
	"inkwell/store"
)

// recover brings the directory to where a saved state says it stood, and says which file to open. known is false when nothing is known
// of that file.
func (f *File) recover(saved store.Marks) (st state, known bool, err error) {
	data, marked := saved[f.path]
	if marked {
		if err := json.Unmarshal(data, &st); err != nil {
			return st, false, fmt.Errorf("read the state of %s: %w", f.path, err)
		}
	}
	if st.File == "" {
		if marked {
			f.log.Warn("compressed files of this name were not finished when they were left: the open one stays as it is, beside the plain ones (inkwell cat reads it)", "file", f.path)
		}
		if err := f.adopt(); err != nil {
			return st, false, err
		}
		st, err = f.choose()
		return st, false, err
	}
	if err := f.show(st); err != nil {
		return st, false, err
	}
	killpoint.Reach("plain.recover.shown")
	there, err := f.stats()
	if err == nil {
		err = f.tell(st.Stats, there)
	}
	if err == nil {
		err = f.sweep()
	}
	if err != nil {
		return st, false, err
	}
	have, err := f.length(st.File)
	if err != nil || have >= st.Bytes {
		return st, have >= 0, err
	}
	f.o.Stats.Overall("bytes lost").Add(st.Bytes - max(have, 0))
	f.o.Stats.Category(f.o.Base, "bytes lost").Add(st.Bytes - max(have, 0))
	f.log.Error("a file that was being written is gone or shorter than it was: somebody removed or cut it, the series goes on with another",
		"file", filepath.Join(f.dir.Path(), st.File), "bytes", max(have, 0), "expected", st.Bytes)
	st, err = f.replace(st)
	return st, false, err
}

// length is that of a file, -1 if it is not there.
func (f *File) length(name string) (int64, error) {
	info, err := f.dir.Lstat(name)
	switch {
	case err == nil:
		return info.Size(), nil
	case errors.Is(err, fs.ErrNotExist):
		return -1, nil
	}
	return 0, fmt.Errorf("look for %s: %w", filepath.Join(f.dir.Path(), name), err)
}

// choose says which file to continue, or to begin, when nothing is known.
func (f *File) choose() (state, error) {
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
	return state{File: fileName(stem, n)}, nil
}

// replace says with which file to go on when that of a state is not what it was: a new one, or one without anything in it, which an
// earlier attempt may have left. What others have written stays as it is.
func (f *File) replace(lost state) (state, error) {
	now := f.o.Now()
	stem := f.o.stem(now)
	n, taken, err := newest(f.dir, stem)
	if err != nil {
		return state{}, err
	}
	if k, same := number(stem, lost.File); same && k > n {
		return state{File: lost.File}, nil
	}
	if n >= 0 && !taken {
		if have, err := f.length(fileName(stem, n)); err != nil || have == 0 {
			return state{File: fileName(stem, n)}, err
		}
	}
	if n++; n == 0 {
		n = f.o.first(now)
	}
	return state{File: fileName(stem, n)}, nil
}

// adopt gives hidden files their names when no state is known: the run before ended well but for that, or its state was lost. Nobody
// will append again what is in them.
func (f *File) adopt() error {
	list, err := f.dir.ReadDir()
	if err != nil {
		return fmt.Errorf("list %s: %w", f.dir.Path(), err)
	}
	var st state
	for _, e := range list {
		if name := shown(e.Name()); f.own(name) {
			f.log.Warn("a file that was begun by an earlier run gets its name", "file", filepath.Join(f.dir.Path(), name))
			st.Begun = append(st.Begun, name)
		}
	}
	return f.show(st)
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
