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

	"inkwell/internal/faultfs"
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
	young  bool                     // there are files that were written to just now, and of which nothing is told yet
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
	c := &collector{Audit: a, Source: s, held: make(map[string]*store.Added), plain: make(map[string][]plainRecord),
		taken:  make(map[string]bool),
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
		c.gone(c.held[path])
	}
	c.handedOn()
	if !c.found || (c.other || c.young) && !c.told && len(c.taken)+len(c.plain) == 0 {
		return fmt.Errorf("%s: %w%s", s.Name, ErrNoCollector, c.early())
	}
	return nil
}

// early says that it may be too early to say that there is no collector.
func (c *collector) early() string {
	if !c.young {
		return ""
	}
	return "; if its first files have just been begun, try again in some seconds"
}

// state reads journal, books, checkpoint and streams, in this order: entries move so.
func (c *collector) state() error {
	if _, err := os.Stat(c.State); errors.Is(err, fs.ErrNotExist) {
		c.note(fmt.Sprintf("%s: there is no state directory %s: what open files and the journal hold is not counted", c.Name,
			c.State))
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
	c.named(held.Sources)
	c.told = len(held.Files) > 0
	for i := range held.Files {
		f := &held.Files[i]
		f.Open = f.Open || f.Dir == "" // the books of before do not tell
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

// checkpointed raises through to the journal offset below which the files have everything of a category. What stands
// behind the object, as its checksum, is passed over: what is read decides only about entries without numbers, and
// those of the journal.
func (c *collector) checkpointed(dir *faultfs.Dir, through map[string]uint64) error {
	data, err := dir.ReadFile(checkpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var saved struct {
		Categories map[string]struct { // of a collector of before
			Through uint64 `json:"through"`
		} `json:"categories"`
		Outlets map[string]struct {
			Category string `json:"category"`
			Through  uint64 `json:"through"`
		} `json:"outlets"`
	}
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&saved); err != nil {
		c.note(fmt.Sprintf("%s is damaged: entries of the journal that have no numbers may be counted twice",
			filepath.Join(dir.Path(), checkpoint)))
	}
	for category, m := range saved.Categories {
		through[category] = max(through[category], m.Through)
	}
	for _, m := range saved.Outlets {
		if m.Category != "" {
			through[m.Category] = max(through[m.Category], m.Through)
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
		p := c.place(c.tally(name, id))
		if len(numbers) == 0 {
			h.sums.Written += n.Entries
		}
		for _, r := range numbers { // a restart counts some again
			h.sums.Written += p.written.Missing(r.First, r.End).Count()
		}
		merge(&p.written, numbers)
	case books.Refused:
		h.sums.Refused += n.Entries
		c.why[cause{name, n.Why, at}] += n.Entries
		if len(numbers) > 0 {
			merge(&c.tally(name, id).refused, numbers)
		} else if id != (stream.ID{}) {
			c.refused[id] += n.Entries
		}
	default:
		c.note(fmt.Sprintf("%s: %d entries of %q are %q, which this program does not know", path, n.Entries, n.Category,
			n.What))
	}
}
