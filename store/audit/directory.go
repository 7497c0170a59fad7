package audit

import (
	"io/fs"
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

// addTree adds the files in a directory and its subdirectories.
func (c *collector) addTree(path string) error {
	if c.seen[absolute(path)] {
		return nil
	}
	c.seen[absolute(path)] = true
	list, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	if err := c.addDirectory(path); err != nil {
		return err
	}
	for i, e := range list {
		c.o.Progress("manifests of "+path, int64(i), int64(len(list)))
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !rotate.IsPartition(e.Name()) {
			if err := c.addTree(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// addDirectory adds the files in one directory.
func (c *collector) addDirectory(path string) error {
	dir, err := faultfs.Look(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	files, bad, err := books.ReadFiles(dir)
	if err != nil {
		return err
	}
	c.noteDamaged(filepath.Join(path, books.Manifest), bad)
	there, err := existingFiles(dir)
	if err != nil {
		return err
	}
	for i := range files {
		f := &files[i]
		fillCategory(filepath.Base(path), f.Spans)
		c.addSources(f.Sources)
		st, stands := there[f.Name]
		delete(there, f.Name)
		key := filepath.Join(absolute(path), f.Name)
		held := c.held[key]
		delete(c.held, key)
		asHeld, asListed := books.Believe(f, held, st.State == Open)
		if asHeld {
			c.addOpen(path, held, stands)
		}
		switch {
		case !asListed:
		case stands:
			c.addFile(path, f, st.State)
		case f.Bytes == 0 && f.Raw > 0: // the file was missing when its line was written
			c.addLost(&store.Added{Dir: path, File: f.Name, Last: f.Last.Unix(), Spans: f.Spans})
		default:
			c.addFile(path, f, Removed)
		}
	}
	for name := range there {
		key := filepath.Join(absolute(path), name)
		if held := c.held[key]; held != nil {
			delete(c.held, key)
			delete(there, name)
			c.addOpen(path, held, true)
		}
	}
	for key, held := range c.held {
		if filepath.Dir(key) == absolute(path) {
			delete(c.held, key)
			c.addRemoved(held)
		}
	}
	c.found, c.hasBooks = c.found || len(files) > 0, c.hasBooks || len(files) > 0
	c.noteUnlisted(path, there)
	return nil
}

// existingFile is a file that exists in a directory.
type existingFile struct {
	State
	empty  bool // the file has no bytes
	recent bool // the file was written to less than youngTime ago
}

// youngTime is how long a file may be unlisted after a write: the books are written with the next checkpoint, which
// takes a while with many files.
const youngTime = time.Minute

// existingFiles returns the files of series in a directory and its partitions, by their final names.
func existingFiles(dir *faultfs.Dir) (map[string]existingFile, error) {
	list, err := dir.ReadDir()
	if err != nil {
		return nil, err
	}
	there := make(map[string]existingFile)
	add := func(_ string, list []fs.DirEntry) error {
		for _, e := range list {
			name, st := e.Name(), existingFile{State: Published}
			if inner, hidden := strings.CutPrefix(name, "."); hidden {
				if name, hidden = strings.CutSuffix(inner, ".open"); !hidden {
					continue
				}
				st.State = Open
			}
			if _, ok := rotate.BaseOf(name); ok && e.Type().IsRegular() && there[name].State != Published {
				if info, err := e.Info(); err == nil {
					st.empty, st.recent = info.Size() == 0, time.Since(info.ModTime()) < youngTime
				}
				there[name] = st
			}
		}
		return nil
	}
	if err := add("", list); err != nil {
		return nil, err
	}
	return there, rotate.EachPartition(dir, list, add)
}

// fillCategory sets the category of spans without one to that of their directory.
func fillCategory(category string, spans []store.Span) {
	for i := range spans {
		if spans[i].Category == "" {
			spans[i].Category = category
		}
	}
}

// addFile adds a finished file, or one that was removed.
func (c *collector) addFile(dir string, f *books.File, st State) {
	name := c.addEntries(dir, f.Spans)
	c.files[name] = append(c.files[name], File{Directory: dir, File: *f, State: st})
}

// addListed adds a file that is listed in the books.
func (c *collector) addListed(dir string, held *store.Added, st State) {
	fillCategory(filepath.Base(dir), held.Spans)
	f := books.FileOf(held)
	c.addFile(dir, &f, st)
}

// addEntries adds the entries of a file and returns the category under which the file is reported.
func (c *collector) addEntries(dir string, spans []store.Span) (name string) {
	c.written(dir, spans)
	name = filepath.Base(dir)
	for i, s := range spans {
		c.writes[s.Category] = true
		if i == 0 || s.Category == spans[0].Category {
			name = c.nameIn(s.Category, dir)
		} else {
			return filepath.Base(dir) // the file has several categories
		}
	}
	return name
}

// addOpen adds a file that the books list as open, or that was open when they were written.
func (c *collector) addOpen(dir string, held *store.Added, there bool) {
	if there {
		c.addListed(dir, held, Open)
	} else {
		c.addRemoved(held)
	}
}

// addRemoved adds a file of the books that does not exist. If it was finished, its manifest may have been removed
// together with it, for example with the whole directory.
func (c *collector) addRemoved(held *store.Added) {
	if held.Open || held.File == "" || !c.audited(held.Dir) {
		c.addLost(held)
		return
	}
	c.addListed(held.Dir, held, Removed)
}

// audited reports whether a directory belongs to the audited ones.
func (c *collector) audited(dir string) bool {
	return slices.ContainsFunc(c.Dirs, func(root string) bool { return beneath(root, dir) })
}

// addLost adds a finding on an open file that does not exist, whose entries are not counted. Entries without bytes need
// no file. A file in a directory that is not audited is only noted.
func (c *collector) addLost(held *store.Added) {
	if held.File == "" {
		c.addEntries(held.Dir, held.Spans)
		return
	}
	if !c.audited(held.Dir) {
		c.Notef("%s: an open file is in %s, which is not audited: %s", c.Name, held.Dir, held.File)
		return
	}
	entries, category := int64(0), filepath.Base(held.Dir)
	for _, s := range held.Spans {
		entries += s.Count
		category = s.Category
		c.writes[category], c.Audit.writes[c.nameIn(category, held.Dir)] = true, true // so it was not handed on
	}
	if !c.recent(held.Last / 3600) {
		return
	}
	c.notes = append(c.notes, Finding{Kind: Lost, Fault: true, Category: category, Entries: entries,
		Directories: []string{held.Dir}, File: held.File})
}

// noteUnlisted adds notes on files that no manifest and no books list.
func (c *collector) noteUnlisted(path string, there map[string]existingFile) {
	published, open, young := 0, 0, 0
	for _, f := range there {
		switch {
		case f.empty:
		case f.recent:
			young++
		case f.State == Published:
			published++
		default:
			open++
		}
	}
	c.hasRecent = c.hasRecent || young > 0
	c.hasUnlisted = c.hasUnlisted || published > 0
	if young > 0 {
		c.Notef("%s: files that were written to in the last minute: %d. What they hold is counted as "+
			"soon as the collector has noted it, in some seconds; until then it counts as being in the journal",
			path, young)
	}
	if published > 0 {
		c.Notef("%s: files without a line in the manifest, so that what they hold is not counted: %d", path,
			published)
	}
	if open > 0 {
		c.Notef("%s: open files of which it is not known yet what they hold, but for what the journal "+
			"has: %d",
			path, open)
	}
}

func (c *collector) noteDamaged(path string, bad int) {
	if bad > 0 {
		c.Notef("%s: damaged lines that are passed over and not counted: %d", path, bad)
	}
}
