package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/rotate"
	"inkwell/store"
	"inkwell/store/manifest"
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
var ErrNoCollector = errors.New("no category here has a manifest (give the directory of a collector, as in inkwell collect --dir DIR: a server with a configuration file writes none)")

// collector is one directory while it is read.
type collector struct {
	*Audit
	path  string
	open  map[string]map[string][]manifest.Contents // what open files hold, by category and file
	plain map[string][]plainRecord                  // entries without numbers in the journal, by category
	found bool                                      // there is something of a collector
	told  bool                                      // manifests or contents of open files were read
	other bool                                      // there are files that nothing is told of
}

// plainRecord is entries without numbers of one record.
type plainRecord struct {
	end   uint64
	count int64
}

// Collector adds what the collector whose files are in path has; its state is in state, "" for path/.inkwell. It may be running.
func (a *Audit) Collector(path, state string) error {
	a.dirs = append(a.dirs, path)
	c := &collector{Audit: a, path: path, open: make(map[string]map[string][]manifest.Contents), plain: make(map[string][]plainRecord)}
	if state == "" {
		state = filepath.Join(path, StateName)
	}
	if err := c.state(state); err != nil {
		return err
	}
	list, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for i, e := range list {
		a.o.Progress("manifests of "+path, int64(i), int64(len(list)))
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			if err := c.category(e.Name()); err != nil {
				return err
			}
		}
	}
	for category, files := range c.open {
		for name, lines := range files { // their directory is gone
			c.lost(category, name, lines)
		}
	}
	if err := c.counts(); err != nil {
		return err
	}
	if !c.found || c.other && !c.told {
		return fmt.Errorf("%s: %w", path, ErrNoCollector)
	}
	return nil
}

// state reads journal, contents and checkpoint, in this order: entries move so.
func (c *collector) state(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		c.note(fmt.Sprintf("%s: there is no state directory %s: what open files and the journal hold is not counted", c.path, path))
		return nil
	} else if err != nil {
		return err
	}
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		return err
	}
	defer dir.Close()
	c.found = true
	if err := c.journal(filepath.Join(path, journalName)); err != nil {
		return err
	}
	lines, bad, err := manifest.ReadLedger(dir)
	if err != nil {
		return err
	}
	c.damaged(filepath.Join(path, manifest.Ledger), bad)
	c.told = len(lines) > 0
	through := make(map[string]uint64)
	for _, l := range lines {
		if c.open[l.Category] == nil {
			c.open[l.Category] = make(map[string][]manifest.Contents)
		}
		c.open[l.Category][l.File] = append(c.open[l.Category][l.File], l)
		through[l.Category] = max(through[l.Category], l.Through)
	}
	if err := c.checkpointed(dir, through); err != nil {
		return err
	}
	for category, records := range c.plain {
		for _, r := range records {
			if r.end > through[keptAs(category, through)] {
				c.tally(category, stream.ID{}).plainJournal += r.count
			}
		}
	}
	return nil
}

// keptAs is the category under which the files have what was sent for another.
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
	var saved struct {
		Categories map[string]struct {
			Through uint64 `json:"through"`
		} `json:"categories"`
	}
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&saved); err != nil {
		c.note(fmt.Sprintf("%s is damaged: entries of the journal that have no numbers may be counted twice", filepath.Join(dir.Path(), checkpoint)))
	}
	for category, m := range saved.Categories {
		through[category] = max(through[category], m.Through)
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
		c.place(c.tally(p.category, p.id)).journal.Add(p.first, p.first+p.count)
	})
}

// category adds the files of one.
func (c *collector) category(name string) error {
	dir, err := faultfs.OpenDir(filepath.Join(c.path, name), nil)
	if err != nil {
		return err
	}
	defer dir.Close()
	files, bad, err := manifest.ReadFiles(dir)
	if err != nil {
		return err
	}
	c.damaged(filepath.Join(dir.Path(), manifest.Name), bad)
	there, err := rotate.Files(dir, name)
	if err != nil {
		return err
	}
	states := make(map[string]State)
	for _, f := range there {
		final := f.Name
		states[final] = Published
		if f.Open {
			final = strings.TrimSuffix(strings.TrimPrefix(f.Name, "."), ".open")
			delete(states, f.Name)
			states[final] = Open
		}
	}
	open := c.open[name]
	delete(c.open, name)
	for i := range files {
		f := &files[i]
		st, exists := states[f.Name]
		delete(states, f.Name)
		if st == Open && len(open[f.Name]) > 0 {
			c.contents(name, f.Name, open[f.Name])
		} else {
			if !exists {
				st = Removed
			}
			c.file(name, f, st)
		}
		delete(open, f.Name)
	}
	for file, lines := range open {
		if _, exists := states[file]; !exists {
			c.lost(name, file, lines)
			continue
		}
		delete(states, file)
		c.contents(name, file, lines)
	}
	c.found, c.told = c.found || len(files) > 0, c.told || len(files) > 0
	c.unknown(name, states)
	return nil
}

// file adds a published file, or one that was.
func (c *collector) file(category string, f *manifest.File, st State) {
	c.files[category] = append(c.files[category], File{Directory: c.path, File: *f, State: st})
	c.written(category, f.Spans)
}

// contents adds a file that is open.
func (c *collector) contents(category, name string, lines []manifest.Contents) {
	f := manifest.File{Name: name}
	for i, l := range lines {
		first, last := time.Unix(l.First, 0).UTC(), time.Unix(l.Last, 0).UTC()
		if i == 0 || first.Before(f.First) {
			f.First = first
		}
		if last.After(f.Last) {
			f.Last = last
		}
		for _, s := range l.Spans {
			f.Entries += s.Count
			f.Raw += s.Bytes
		}
		c.written(category, l.Spans)
	}
	c.files[category] = append(c.files[category], File{Directory: c.path, File: f, State: Open})
}

// lost notes that an open file is not there: what it held is not counted. Entries without bytes are in no file before one comes.
func (c *collector) lost(category, name string, lines []manifest.Contents) {
	if name == "" {
		for _, l := range lines {
			c.written(category, l.Spans)
		}
		return
	}
	entries := int64(0)
	for _, l := range lines {
		for _, s := range l.Spans {
			entries += s.Count
		}
	}
	c.notes = append(c.notes, Finding{Kind: Lost, Fault: true, Category: category, Entries: entries, Directories: []string{c.path}, File: name})
}

// unknown notes files of which no line says what they hold.
func (c *collector) unknown(category string, states map[string]State) {
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
		c.note(fmt.Sprintf("%s: files without a line in the manifest, so that what they hold is not counted: %d", filepath.Join(c.path, category), published))
	}
	if open > 0 {
		c.note(fmt.Sprintf("%s: open files of which it is not known yet what they hold, but for what the journal has: %d", filepath.Join(c.path, category), open))
	}
}

func (c *collector) damaged(path string, bad int) {
	if bad > 0 {
		c.note(fmt.Sprintf("%s: damaged lines that are passed over and not counted: %d", path, bad))
	}
}

// counts adds what is in no file.
func (c *collector) counts() error {
	dir, err := faultfs.OpenDir(c.path, nil)
	if err != nil {
		return err
	}
	defer dir.Close()
	counts, bad, err := manifest.ReadCounts(dir)
	if err != nil {
		return err
	}
	c.damaged(filepath.Join(c.path, manifest.Name), bad)
	c.found = c.found || len(counts) > 0
	for _, n := range counts {
		var id stream.ID
		if n.Stream != "" {
			if id, err = stream.ParseID(n.Stream); err != nil {
				c.note(fmt.Sprintf("%s: %v", filepath.Join(c.path, manifest.Name), err))
			}
		}
		at := n.Hour.Unix() / 3600
		h := c.tally(n.Category, id).hour(at)
		switch n.What {
		case manifest.Duplicate:
			h.sums.Duplicated += n.Entries
		case manifest.Refused:
			h.sums.Refused += n.Entries
			c.why[cause{n.Category, n.Why, at}] += n.Entries
			if numbers, err := stream.ParseRanges(n.Numbers); err == nil && len(numbers) > 0 {
				merge(&c.tally(n.Category, id).refused, numbers)
			} else if id != (stream.ID{}) {
				c.refused[id] += n.Entries
			}
		default:
			c.note(fmt.Sprintf("%s: %d entries of %q are %q, which this program does not know", c.path, n.Entries, n.Category, n.What))
		}
	}
	return nil
}
