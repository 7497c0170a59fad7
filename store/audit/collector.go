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

	"inkwell/internal/faultfs"
	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/books"
	"inkwell/store/spool"
	"inkwell/store/stream"
)

// The names of what a collector keeps beside its files.
const (
	// The names of the files of a collector.
	StateName   = ".inkwell" // in the first directory of its files, unless configured otherwise
	journalName = "journal"
	checkpoint  = "checkpoint"
)

// ErrNoCollector says that a directory contains nothing that a collector has written.
var ErrNoCollector = errors.New("nothing here was written by a collector that keeps books (give the directory of " +
	"its files, or its configuration)")

// Source describes a collector to be audited.
type Source struct {
	Name  string   // in the report; "" = the first of Dirs
	Dirs  []string // the directories that contain its files, at any depth
	State string   // state directory; "" = .inkwell in the first of Dirs
	// Topic reads what a topic has on its way into Dirs, in the place of a state directory; nil = there is no topic. It
	// is called before Dirs are read.
	Topic func(Topic) error
}

// Topic is who learns of entries in a topic, with the names of their categories.
type Topic struct {
	Record func(*proto.Batch)      // entries that are not in a file yet
	File   func(name, line []byte) // the name and the line of a manifest of a file that may not be there yet
	Step   func(done, total int64) // how much of the topic was read
}

// collector is the state of reading one collector.
type collector struct {
	*Audit
	Source
	held        map[string]*store.Added  // content of open files, by path
	plain       map[string][]plainRecord // entries without numbers in the journal, by category
	taken       map[string]bool          // categories in the table of streams
	writes      map[string]bool          // categories in files
	found       bool                     // something that a collector has written was found
	hasBooks    bool                     // manifests, or the content of open files, were found
	hasUnlisted bool                     // there are files that no manifest lists
	hasRecent   bool                     // there are files that were written to just now and are not listed yet
	seen        map[string]bool          // directories that were read
}

// plainRecord is the number of entries without numbers in one record of the journal.
type plainRecord struct {
	end   uint64
	count int64
}

// Collector adds everything that a collector has. The collector may be running.
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
	if err := c.readMoving(); err != nil {
		return err
	}
	for _, dir := range s.Dirs {
		if err := c.addTree(dir); err != nil {
			return err
		}
		if err := c.readCounts(dir); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(c.held)) { // those whose directory does not exist or is not audited
		c.addRemoved(c.held[path])
	}
	c.dropTaken()
	if !c.found || (c.hasUnlisted || c.hasRecent) && !c.hasBooks && len(c.taken)+len(c.plain) == 0 {
		return fmt.Errorf("%s: %w%s", s.Name, ErrNoCollector, c.hint())
	}
	return nil
}

// readMoving reads what is on its way into the files: from a topic, or else from the state directory.
func (c *collector) readMoving() error {
	if c.Topic == nil {
		return c.readState()
	}
	c.found = true
	add := func(p piece) {
		for _, name := range c.names(p.category) {
			t := c.categoryStream(name, p.id)
			if p.id == (stream.ID{}) {
				t.plainJournal += p.count
			} else {
				c.holdings(t).journal.Add(p.first, p.first+p.count)
			}
		}
	}
	return c.Topic(Topic{Record: func(b *proto.Batch) {
		for p := range b.Pieces {
			add(piece{category: string(p.Category), id: p.Span.Stream, first: p.Span.First, count: int64(p.Span.Count)})
		}
	}, File: func(name, line []byte) {
		f, err := books.ParseFile(line)
		if err != nil {
			c.Notef("%s: %s: %v", c.Name, name, err)
			return
		}
		category, _, _ := strings.Cut(string(name), "/")
		fillCategory(category, f.Spans)
		for _, s := range f.Spans {
			if s.Numbered() { // the others are counted when the file is there
				add(piece{category: s.Category, id: s.Stream, first: s.First, count: s.Count})
			}
		}
	}, Step: func(done, total int64) { c.o.Progress("records of the topic", done, total) }})
}

// hint returns a text that is appended to ErrNoCollector when the first files were just begun.
func (c *collector) hint() string {
	if !c.hasRecent {
		return ""
	}
	return "; if its first files have just been begun, try again in some seconds"
}

// readState reads the journal, the books, the checkpoint and the streams, in the order in which entries move.
func (c *collector) readState() error {
	if _, err := os.Stat(c.State); errors.Is(err, fs.ErrNotExist) {
		c.Notef("%s: there is no state directory %s: what open files and the journal hold is not counted",
			c.Name,
			c.State)
		return nil
	} else if err != nil {
		return err
	}
	dir, err := faultfs.Look(c.State)
	if err != nil {
		return err
	}
	defer dir.Close()
	c.found = true
	if err := c.readJournal(filepath.Join(c.State, journalName)); err != nil {
		return err
	}
	held, err := books.ReadHeld(dir)
	if err != nil {
		return err
	}
	for name, bad := range held.Bad {
		c.noteDamaged(filepath.Join(c.State, name), bad)
	}
	c.addSources(held.Sources)
	c.hasBooks = len(held.Files) > 0
	for i := range held.Files {
		f := &held.Files[i]
		f.Open = f.Open || f.Dir == "" // the books of older versions do not say whether a file is open
		if f.Dir = held.DirOf(f, c.firstDir()); f.Dir != "" {
			c.held[filepath.Join(absolute(f.Dir), f.File)] = f
		}
	}
	if err := c.readCheckpoint(dir, held.Through); err != nil {
		return err
	}
	for category, records := range c.plain {
		for _, r := range records {
			if r.end > held.Through[keptAs(category, held.Through)] {
				for _, name := range c.names(category) {
					c.categoryStream(name, stream.ID{}).plainJournal += r.count
				}
			}
		}
	}
	return c.readStreams(dir)
}

func (c *collector) firstDir() string {
	if len(c.Dirs) == 0 {
		return ""
	}
	return c.Dirs[0]
}

// keptAs returns the category under which an older collector kept the entries of a category in its files.
func keptAs(category string, through map[string]uint64) string {
	if _, own := through[category]; own {
		return category
	}
	if !store.SafeCategory([]byte(category)) {
		return store.UnsafeCategory
	}
	return store.OverflowCategory
}

// readCheckpoint raises through to the journal offsets below which the files have every entry of a category. What
// follows the JSON object, such as a checksum, is ignored: the result only matters for entries without numbers in the
// journal.
func (c *collector) readCheckpoint(dir *faultfs.Dir, through map[string]uint64) error {
	data, err := dir.ReadFile(checkpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var saved struct {
		Categories map[string]struct { // of an older collector
			Through uint64 `json:"through"`
		} `json:"categories"`
		Outlets map[string]struct {
			Category string `json:"category"`
			Through  uint64 `json:"through"`
		} `json:"outlets"`
	}
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&saved); err != nil {
		c.Notef("%s is damaged: entries of the journal that have no numbers may be counted twice",
			filepath.Join(dir.Path(), checkpoint))
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

// readJournal reads the entries of the journal that are not acknowledged.
func (c *collector) readJournal(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	dir, err := faultfs.Look(path)
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
			c.holdings(c.categoryStream(name, p.id)).journal.Add(p.first, p.first+p.count)
		}
	})
}

// readStreams reads the table of streams: the numbers that were taken.
func (c *collector) readStreams(dir *faultfs.Dir) error {
	bad, err := stream.Read(dir, func(id stream.ID, category string, there stream.Ranges) {
		c.taken[category] = true
		for _, name := range c.names(category) {
			merge(&c.holdings(c.categoryStream(name, id)).taken, there)
		}
	})
	c.noteDamaged(filepath.Join(c.State, stream.FileName), bad)
	return err
}

// dropTaken drops the numbers taken of categories that are written to files here, because these entries must be in the
// files.
func (c *collector) dropTaken() {
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

// writesFiles reports whether the only destination of a category here is files.
func (c *collector) writesFiles(category string) bool {
	if c.o.Destinations != nil {
		if all := c.o.Destinations(category); len(all) == 1 {
			return !all[0].HandsOn
		}
	}
	return c.writes[category] || c.writes[keptAs(category, nil)]
}

func (c *collector) forgetTaken(name string) {
	for k, t := range c.streamsByKey {
		if k.category == name {
			c.holdings(t).taken = nil
		}
	}
}

// readCounts adds the counts of entries that are in no file.
func (c *collector) readCounts(path string) error {
	dir, err := faultfs.Look(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	counts, bad, err := books.ReadCounts(dir)
	if err != nil {
		return err
	}
	c.noteDamaged(filepath.Join(path, books.CountsName), bad)
	c.found = c.found || len(counts) > 0
	for i := range counts {
		if names := c.names(counts[i].Category); len(names) == 1 {
			c.addCount(names[0], &counts[i], path)
		} else {
			c.addCount(c.nameIn(counts[i].Category, path), &counts[i], path)
		}
	}
	return nil
}

// addCount adds one of these counts.
func (c *collector) addCount(name string, n *books.Count, path string) {
	var id stream.ID
	if n.Stream != "" {
		var err error
		if id, err = stream.ParseID(n.Stream); err != nil {
			c.Notef("%s: %v", path, err)
		}
	}
	at := n.Hour.Unix() / 3600
	h := c.categoryStream(name, id).hour(at)
	numbers, _ := stream.ParseRanges(n.Numbers) // ReadCounts has checked it
	switch n.What {
	case books.Duplicate:
		h.sums.Duplicated += n.Entries
	case books.Empty:
		p := c.holdings(c.categoryStream(name, id))
		if len(numbers) == 0 {
			h.sums.Written += n.Entries
		}
		for _, r := range numbers { // after a restart some may be counted again
			h.sums.Written += p.written.Missing(r.First, r.End).Count()
		}
		merge(&p.written, numbers)
	case books.Refused:
		h.sums.Refused += n.Entries
		c.why[cause{name, n.Why, at}] += n.Entries
		if len(numbers) > 0 {
			merge(&c.categoryStream(name, id).refused, numbers)
		} else if id != (stream.ID{}) {
			c.refused[id] += n.Entries
		}
	default:
		c.Notef("%s: %d entries of %q are %q, which this program does not know", path, n.Entries, n.Category,
			n.What)
	}
}
