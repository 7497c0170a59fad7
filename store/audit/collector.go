package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/rotate"
	"inkwell/store"
	"inkwell/store/books"
	"inkwell/store/spool"
	"inkwell/store/stream"
)

// The names of what a collector keeps beside its files.
const (
	StateName   = ".inkwell" // in the directory of its files, unless it was told another place
	journalName = "journal"
	checkpoint  = "checkpoint"
)

// ErrNoCollector says that a directory has nothing that a collector leaves.
var ErrNoCollector = errors.New("nothing here was written by a collector that keeps books (give the directory of its files, or its configuration)")

// Source is one collector.
type Source struct {
	Name  string   // in reports; "" = the first of Dirs
	Dirs  []string // its files are in these directories and beneath them
	State string   // "" = .inkwell in the first of Dirs
}

// collector is one while it is read.
type collector struct {
	*Audit
	Source
	held   map[string]*store.Added  // what open files hold, by path
	plain  map[string][]plainRecord // entries without numbers in the journal, by category
	taken  map[string]bool          // categories of which the table of streams knows something
	writes map[string]bool          // categories of its files
	found  bool                     // there is something of a collector
	told   bool                     // manifests or contents of open files were read
	other  bool                     // there are files that nothing is told of
	seen   map[string]bool          // directories
}

// plainRecord is entries without numbers of one record.
type plainRecord struct {
	end   uint64
	count int64
}

// Collector adds what a collector has. It may be running.
func (a *Audit) Collector(s Source) error {
	if s.Name == "" {
		s.Name = s.Dirs[0]
	}
	if s.State == "" {
		s.State = filepath.Join(s.Dirs[0], StateName)
	}
	a.dirs = append(a.dirs, s.Name)
	c := &collector{Audit: a, Source: s, held: make(map[string]*store.Added), plain: make(map[string][]plainRecord), taken: make(map[string]bool),
		writes: make(map[string]bool), seen: make(map[string]bool)}
	if err := c.state(); err != nil {
		return err
	}
	for _, dir := range s.Dirs {
		if err := c.below(dir); err != nil {
			return err
		}
		if err := c.counts(dir); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(c.held)) { // their directory is gone, or not audited
		c.lost(c.held[path])
	}
	c.handedOn()
	if !c.found || c.other && !c.told && len(c.taken) == 0 {
		return fmt.Errorf("%s: %w", s.Name, ErrNoCollector)
	}
	return nil
}

// state reads journal, books, checkpoint and streams, in this order: entries move so.
func (c *collector) state() error {
	if _, err := os.Stat(c.State); errors.Is(err, fs.ErrNotExist) {
		c.note(fmt.Sprintf("%s: there is no state directory %s: what open files and the journal hold is not counted", c.Name, c.State))
		return nil
	} else if err != nil {
		return err
	}
	dir, err := faultfs.OpenDir(c.State, nil)
	if err != nil {
		return err
	}
	defer dir.Close()
	c.found = true
	if err := c.journal(filepath.Join(c.State, journalName)); err != nil {
		return err
	}
	held, err := books.ReadHeld(dir)
	if err != nil {
		return err
	}
	for name, bad := range held.Bad {
		c.damaged(filepath.Join(c.State, name), bad)
	}
	c.told = len(held.Files) > 0
	for i := range held.Files {
		f := &held.Files[i]
		if f.Dir = held.DirOf(f, c.firstDir()); f.Dir != "" {
			c.held[filepath.Join(absolute(f.Dir), f.File)] = f
		}
	}
	if err := c.checkpointed(dir, held.Through); err != nil {
		return err
	}
	for category, records := range c.plain {
		for _, r := range records {
			if r.end > held.Through[keptAs(category, held.Through)] {
				for _, name := range c.names(category) {
					c.tally(name, stream.ID{}).plainJournal += r.count
				}
			}
		}
	}
	return c.streams(dir)
}

func (c *collector) firstDir() string {
	if len(c.Dirs) == 0 {
		return ""
	}
	return c.Dirs[0]
}

// keptAs is the category under which the files have what was sent for another, by a collector of before.
func keptAs(category string, through map[string]uint64) string {
	if _, own := through[category]; own {
		return category
	}
	if !store.SafeCategory([]byte(category)) {
		return store.UnsafeCategory
	}
	return store.OverflowCategory
}

// checkpointed raises through to the journal offset below which the files have everything of a category. What stands behind the object,
// as its checksum, is passed over: what is read decides only about entries without numbers, and those of the journal.
func (c *collector) checkpointed(dir *faultfs.Dir, through map[string]uint64) error {
	data, err := dir.ReadFile(checkpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	type place struct {
		Name    string `json:"name"` // of the category
		Through uint64 `json:"through"`
	}
	var saved struct {
		Categories map[string]place `json:"categories"` // of a collector of before: by category
		Queues     map[string]place `json:"queues"`     // likewise
		Outlets    map[string]place `json:"outlets"`
	}
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&saved); err != nil {
		c.note(fmt.Sprintf("%s is damaged: entries of the journal that have no numbers may be counted twice", filepath.Join(dir.Path(), checkpoint)))
	}
	for category, m := range saved.Categories {
		through[category] = max(through[category], m.Through)
	}
	for _, places := range []map[string]place{saved.Queues, saved.Outlets} {
		for _, m := range places {
			if m.Name != "" {
				through[m.Name] = max(through[m.Name], m.Through)
			}
		}
	}
	return nil
}

// journal reads what is not behind a checkpoint yet.
func (c *collector) journal(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		return err
	}
	defer dir.Close()
	return c.records(dir, "journal", func(p piece, rec spool.Record) {
		if p.id == (stream.ID{}) {
			c.plain[p.category] = append(c.plain[p.category], plainRecord{end: rec.End, count: p.count})
			return
		}
		for _, name := range c.names(p.category) {
			c.place(c.tally(name, p.id)).journal.Add(p.first, p.first+p.count)
		}
	})
}

// streams reads what was taken.
func (c *collector) streams(dir *faultfs.Dir) error {
	bad, err := stream.Read(dir, func(id stream.ID, category string, there stream.Ranges) {
		c.taken[category] = true
		for _, name := range c.names(category) {
			merge(&c.place(c.tally(name, id)).taken, there)
		}
	})
	c.damaged(filepath.Join(c.State, stream.FileName), bad)
	return err
}

// handedOn forgets what was taken of the categories that are written to files here: there it has to be in those.
func (c *collector) handedOn() {
	for category := range c.taken {
		for _, d := range c.destinations(category) {
			if !d.HandsOn {
				c.forgetTaken(nameAt(category, d))
			}
		}
		if c.destinations(category) == nil && c.writesFiles(category) {
			c.forgetTaken(category)
		}
	}
}

// writesFiles says whether the only destination of a category here is files.
func (c *collector) writesFiles(category string) bool {
	if c.o.Destinations != nil {
		if all := c.o.Destinations(category); len(all) == 1 {
			return !all[0].HandsOn
		}
	}
	return c.writes[category] || c.writes[keptAs(category, nil)]
}

func (c *collector) forgetTaken(name string) {
	for k, t := range c.tallies {
		if k.category == name {
			c.place(t).taken = nil
		}
	}
}

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
	states, err := statesOf(dir)
	if err != nil {
		return err
	}
	for i := range files {
		f := &files[i]
		of(filepath.Base(path), f.Spans)
		st, there := states[f.Name]
		delete(states, f.Name)
		key := filepath.Join(absolute(path), f.Name)
		held := c.held[key]
		delete(c.held, key)
		asHeld, asListed := books.Believe(f, held, st == Open)
		if asHeld {
			c.open(path, held, there)
		}
		if !there {
			st = Removed
		}
		if asListed {
			c.file(path, f, st)
		}
	}
	for name := range states {
		key := filepath.Join(absolute(path), name)
		if held := c.held[key]; held != nil {
			delete(c.held, key)
			delete(states, name)
			c.open(path, held, true)
		}
	}
	for key, held := range c.held {
		if filepath.Dir(key) == absolute(path) {
			delete(c.held, key)
			c.lost(held)
		}
	}
	c.found, c.told = c.found || len(files) > 0, c.told || len(files) > 0
	c.unknown(path, states)
	return nil
}

// statesOf are the files of series in a directory, by their final names.
func statesOf(dir *faultfs.Dir) (map[string]State, error) {
	list, err := dir.ReadDir()
	if err != nil {
		return nil, err
	}
	states := make(map[string]State)
	for _, e := range list {
		name, st := e.Name(), Published
		if inner, hidden := strings.CutPrefix(name, "."); hidden {
			if name, hidden = strings.CutSuffix(inner, ".open"); !hidden {
				continue
			}
			st = Open
		}
		if _, ok := rotate.BaseOf(name); ok && e.Type().IsRegular() && states[name] != Published {
			states[name] = st
		}
	}
	return states, nil
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
	if !there {
		c.lost(held)
		return
	}
	of(filepath.Base(dir), held.Spans)
	f := books.File{Name: held.File, Start: held.Start, First: time.Unix(held.First, 0).UTC(), Last: time.Unix(held.Last, 0).UTC(), Spans: held.Spans}
	for _, s := range held.Spans {
		f.Entries += s.Count
		f.Raw += s.Bytes
	}
	c.file(dir, &f, Open)
}

// lost notes that an open file is not there: what it held is not counted. Entries without bytes are in no file before one comes. A file of
// a directory that is not audited is passed over.
func (c *collector) lost(held *store.Added) {
	if held.File == "" {
		c.filed(held.Dir, held.Spans)
		return
	}
	if !slices.ContainsFunc(c.Dirs, func(root string) bool { return beneath(root, held.Dir) }) {
		c.note(fmt.Sprintf("%s: an open file is in %s, which is not audited: %s", c.Name, held.Dir, held.File))
		return
	}
	entries, category := int64(0), filepath.Base(held.Dir)
	for _, s := range held.Spans {
		entries += s.Count
		category = s.Category
	}
	c.notes = append(c.notes, Finding{Kind: Lost, Fault: true, Category: category, Entries: entries, Directories: []string{held.Dir}, File: held.File})
}

// unknown notes files of which no line says what they hold.
func (c *collector) unknown(path string, states map[string]State) {
	published, open := 0, 0
	for _, st := range states {
		if st == Published {
			published++
		} else {
			open++
		}
	}
	c.other = c.other || published > 0
	if published > 0 {
		c.note(fmt.Sprintf("%s: files without a line in the manifest, so that what they hold is not counted: %d", path, published))
	}
	if open > 0 {
		c.note(fmt.Sprintf("%s: open files of which it is not known yet what they hold, but for what the journal has: %d", path, open))
	}
}

func (c *collector) damaged(path string, bad int) {
	if bad > 0 {
		c.note(fmt.Sprintf("%s: damaged lines that are passed over and not counted: %d", path, bad))
	}
}

// counts adds what is in no file.
func (c *collector) counts(path string) error {
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		return err
	}
	defer dir.Close()
	counts, bad, err := books.ReadCounts(dir)
	if err != nil {
		return err
	}
	c.damaged(filepath.Join(path, books.CountsName), bad)
	c.found = c.found || len(counts) > 0
	for i := range counts {
		if names := c.names(counts[i].Category); len(names) == 1 {
			c.count(names[0], &counts[i], path)
		} else {
			c.count(c.nameIn(counts[i].Category, path), &counts[i], path)
		}
	}
	return nil
}

// count adds one of them.
func (c *collector) count(name string, n *books.Count, path string) {
	var id stream.ID
	if n.Stream != "" {
		var err error
		if id, err = stream.ParseID(n.Stream); err != nil {
			c.note(fmt.Sprintf("%s: %v", path, err))
		}
	}
	at := n.Hour.Unix() / 3600
	h := c.tally(name, id).hour(at)
	numbers, _ := stream.ParseRanges(n.Numbers) // it was parsed before
	switch n.What {
	case books.Duplicate:
		h.sums.Duplicated += n.Entries
	case books.Empty:
		h.sums.Written += n.Entries
		merge(&c.place(c.tally(name, id)).written, numbers)
	case books.Refused:
		h.sums.Refused += n.Entries
		c.why[cause{name, n.Why, at}] += n.Entries
		if len(numbers) > 0 {
			merge(&c.tally(name, id).refused, numbers)
		} else if id != (stream.ID{}) {
			c.refused[id] += n.Entries
		}
	default:
		c.note(fmt.Sprintf("%s: %d entries of %q are %q, which this program does not know", path, n.Entries, n.Category, n.What))
	}
}
