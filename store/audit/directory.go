package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/rotate"
	"inkwell/store"
	"inkwell/store/books"
)

// below adds the files in a directory and beneath it.
func (c *collector) below(path string) error {
	if c.seen[absolute(path)] {
		return nil
	}
	c.seen[absolute(path)] = true
	list, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	if err := c.directory(path); err != nil {
		return err
	}
	for i, e := range list {
		c.o.Progress("manifests of "+path, int64(i), int64(len(list)))
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			if err := c.below(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// directory adds the files in one directory.
func (c *collector) directory(path string) error {
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		return err
	}
	defer dir.Close()
	files, bad, err := books.ReadFiles(dir)
	if err != nil {
		return err
	}
	c.damaged(filepath.Join(path, books.Manifest), bad)
	there, err := standingIn(dir)
	if err != nil {
		return err
	}
	for i := range files {
		f := &files[i]
		of(filepath.Base(path), f.Spans)
		c.named(f.Sources)
		st, stands := there[f.Name]
		delete(there, f.Name)
		key := filepath.Join(absolute(path), f.Name)
		held := c.held[key]
		delete(c.held, key)
		asHeld, asListed := books.Believe(f, held, st.State == Open)
		if asHeld {
			c.open(path, held, stands)
		}
		switch {
		case !asListed:
		case stands:
			c.file(path, f, st.State)
		case f.Bytes == 0 && f.Raw > 0: // it was not there when its line was written
			c.lost(&store.Added{Dir: path, File: f.Name, Last: f.Last.Unix(), Spans: f.Spans})
		default:
			c.file(path, f, Removed)
		}
	}
	for name := range there {
		key := filepath.Join(absolute(path), name)
		if held := c.held[key]; held != nil {
			delete(c.held, key)
			delete(there, name)
			c.open(path, held, true)
		}
	}
	for key, held := range c.held {
		if filepath.Dir(key) == absolute(path) {
			delete(c.held, key)
			c.gone(held)
		}
	}
	c.found, c.told = c.found || len(files) > 0, c.told || len(files) > 0
	c.unknown(path, there)
	return nil
}

// standing is a file that is there.
type standing struct {
	State
	empty bool // it has no bytes
	young bool // it was written to less than youngTime ago
}

// youngTime is how long after something was written to a file nobody wonders that no books say what that was: they are
// written behind the next checkpoint, which with many files takes its time.
const youngTime = time.Minute

// standingIn are the files of series in a directory, by their final names.
func standingIn(dir *faultfs.Dir) (map[string]standing, error) {
	list, err := dir.ReadDir()
	if err != nil {
		return nil, err
	}
	there := make(map[string]standing)
	for _, e := range list {
		name, st := e.Name(), standing{State: Published}
		if inner, hidden := strings.CutPrefix(name, "."); hidden {
			if name, hidden = strings.CutSuffix(inner, ".open"); !hidden {
				continue
			}
			st.State = Open
		}
		if _, ok := rotate.BaseOf(name); ok && e.Type().IsRegular() && there[name].State != Published {
			if info, err := e.Info(); err == nil {
				st.empty, st.young = info.Size() == 0, time.Since(info.ModTime()) < youngTime
			}
			there[name] = st
		}
	}
	return there, nil
}

// of gives the spans of lines that name no category that of their directory.
func of(category string, spans []store.Span) {
	for i := range spans {
		if spans[i].Category == "" {
			spans[i].Category = category
		}
	}
}

// file adds a finished file, or one that was.
func (c *collector) file(dir string, f *books.File, st State) {
	name := c.filed(dir, f.Spans)
	c.files[name] = append(c.files[name], File{Directory: dir, File: *f, State: st})
}

// listed adds a file of which the books speak.
func (c *collector) listed(dir string, held *store.Added, st State) {
	of(filepath.Base(dir), held.Spans)
	f := books.FileOf(held)
	c.file(dir, &f, st)
}

// filed adds the entries of a file, and says under which category it is listed.
func (c *collector) filed(dir string, spans []store.Span) (name string) {
	c.written(dir, spans)
	name = filepath.Base(dir)
	for i, s := range spans {
		c.writes[s.Category] = true
		if i == 0 || s.Category == spans[0].Category {
			name = c.nameIn(s.Category, dir)
		} else {
			return filepath.Base(dir) // of several
		}
	}
	return name
}

// open adds what the books say of a file that is open, or was when they were written.
func (c *collector) open(dir string, held *store.Added, there bool) {
	if there {
		c.listed(dir, held, Open)
	} else {
		c.gone(held)
	}
}

// gone adds what the books say of a file that is not there. One that was finished may have taken the manifest that
// spoke of it along, when somebody removed the directory.
func (c *collector) gone(held *store.Added) {
	if held.Open || held.File == "" || !c.audited(held.Dir) {
		c.lost(held)
		return
	}
	c.listed(held.Dir, held, Removed)
}

// audited says whether a directory is one of those that are looked at.
func (c *collector) audited(dir string) bool {
	return slices.ContainsFunc(c.Dirs, func(root string) bool { return beneath(root, dir) })
}

// lost notes that an open file is not there: what it held is not counted. Entries without bytes are in no file before
// one comes. A file of a directory that is not audited is passed over.
func (c *collector) lost(held *store.Added) {
	if held.File == "" {
		c.filed(held.Dir, held.Spans)
		return
	}
	if !c.audited(held.Dir) {
		c.note(fmt.Sprintf("%s: an open file is in %s, which is not audited: %s", c.Name, held.Dir, held.File))
		return
	}
	entries, category := int64(0), filepath.Base(held.Dir)
	for _, s := range held.Spans {
		entries += s.Count
		category = s.Category
		c.writes[category], c.Audit.writes[c.nameIn(category, held.Dir)] = true, true // it was not handed on
	}
	if !c.recent(held.Last / 3600) {
		return
	}
	c.notes = append(c.notes, Finding{Kind: Lost, Fault: true, Category: category, Entries: entries,
		Directories: []string{held.Dir}, File: held.File})
}

// unknown notes files of which no line says what they hold.
func (c *collector) unknown(path string, there map[string]standing) {
	published, open, young := 0, 0, 0
	for _, f := range there {
		switch {
		case f.empty:
		case f.young:
			young++
		case f.State == Published:
			published++
		default:
			open++
		}
	}
	c.young = c.young || young > 0
	c.other = c.other || published > 0
	if young > 0 {
		c.note(fmt.Sprintf("%s: files that were written to in the last minute: %d. What they hold is counted as soon as the "+
			"collector has noted it, in some seconds; until then it counts as being in the journal", path, young))
	}
	if published > 0 {
		c.note(fmt.Sprintf("%s: files without a line in the manifest, so that what they hold is not counted: %d", path,
			published))
	}
	if open > 0 {
		c.note(fmt.Sprintf("%s: open files of which it is not known yet what they hold, but for what the journal has: %d",
			path, open))
	}
}

func (c *collector) damaged(path string, bad int) {
	if bad > 0 {
		c.note(fmt.Sprintf("%s: damaged lines that are passed over and not counted: %d", path, bad))
	}
}
