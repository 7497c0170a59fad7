package books

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store"
	"inkwell/store/stream"
)

// maxCounts bounds the sums of a destination between two checkpoints.
const maxCounts = 256

// Refusal describes entries of one category that were answered OK and discarded.
type Refusal struct {
	Category []byte
	Stream   stream.ID // zero = they have no numbers
	First    int64     // the number of the first; the numbers are consecutive
	Entries  int64
	Why      string
}

// noFile counts the entries that are in no file of a destination, for audits, in ROOT/.counts. The file is rewritten when
// it is opened and when it has grown, with the lines of each hour added up. A crash loses what was counted since the last
// checkpoint.
type noFile struct {
	path  string
	inj   faultfs.Injector
	log   *slog.Logger
	swept bool           // what a killed process has left is removed
	dir   *faultfs.Dir   // nil = not open; this and lines are used by publish and close only
	lines *faultfs.Lines // nil = not open

	mu     sync.Mutex
	counts Counts
}

// Counter counts entries that are in no file, for every destination. It may be used before the Books are open. Safe for
// concurrent use.
type Counter struct{ all []*noFile }

// NewCounter returns a Counter for destinations. It does not access their directories before the first Publish of the
// Books that get it.
func NewCounter(destinations []Destination, log *slog.Logger, inj faultfs.Injector) *Counter {
	c := new(Counter)
	for _, d := range destinations {
		if !slices.ContainsFunc(c.all, func(n *noFile) bool { return n.path == d.Root }) {
			c.all = append(c.all, &noFile{path: d.Root, inj: inj, log: log})
		}
	}
	return c
}

// Refused counts entries that were discarded.
func (c *Counter) Refused(r Refusal) {
	n := Count{Category: string(r.Category), What: Refused, Why: r.Why, Entries: r.Entries}
	if r.Stream != (stream.ID{}) {
		n.Stream = r.Stream.String()
	}
	c.count(n, r.First)
}

// Twice counts entries that were stored already.
func (c *Counter) Twice(id stream.ID, category string, entries int64) {
	c.count(Count{Category: category, Stream: id.String(), What: Duplicate, Entries: entries}, 0)
}

func (c *Counter) count(n Count, first int64) {
	for _, of := range c.all {
		of.count(n, first)
	}
}

// close releases the files.
func (c *Counter) close() error {
	var errs []error
	for _, of := range c.all {
		errs = append(errs, of.close())
	}
	return errors.Join(errs...)
}

func (n *noFile) count(c Count, first int64) {
	c.Hour = time.Unix(time.Now().Unix()/3600*3600, 0).UTC()
	if c.Category != "" && !store.SafeCategory([]byte(c.Category)) {
		c.Category = store.UnsafeCategory
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.counts.Has(c) && n.counts.Len() >= maxCounts { // a peer may send any names
		c.Category, c.Stream = store.OverflowCategory, ""
	}
	if c.What != Duplicate && c.Stream != "" {
		n.counts.AddNumbers(c, first)
	} else {
		n.counts.Add(c)
	}
}

// publish writes what was counted. After an error the counts are kept for the next call.
func (n *noFile) publish() error {
	n.mu.Lock()
	counts := n.counts
	n.counts = Counts{}
	n.mu.Unlock()
	if !n.swept {
		n.swept = true
		n.sweep()
	}
	if counts.Len() == 0 {
		return nil
	}
	err := n.write(&counts)
	if err == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.counts.Merge(&counts)
	return fmt.Errorf("write %s: %w", filepath.Join(n.path, CountsName), errors.Join(err, n.close()))
}

// sweep removes what a process has left that was killed while it rewrote the file. There may be nothing to count for
// days, in which nobody would rewrite it again.
func (n *noFile) sweep() {
	dir, err := faultfs.LookBeneath(n.path, n.path)
	if err != nil {
		return // it is not made yet, or the stores below it report the error
	}
	if err := errors.Join(dir.Sweep(CountsName), dir.Close()); err != nil {
		n.log.Warn("remove what a killed process has left", "directory", n.path, "error", err)
	}
}

// write appends counts to the file. If the file is due to be rewritten, that is done before and without the new counts:
// so it makes no difference whether a rewriting that failed has replaced the file.
func (n *noFile) write(counts *Counts) error {
	if n.dir != nil && n.dir.Standing() != nil {
		_ = n.close() // its path names another directory now
	}
	if n.lines == nil || n.lines.Due() {
		var all Counts
		if err := n.open(&all); err != nil {
			return err
		}
		bodies, err := all.Bodies(store.OverflowCategory)
		if err != nil {
			return err
		}
		if err := n.lines.Rewrite(slices.Values(bodies)); err != nil {
			return err
		}
	}
	bodies, err := counts.Bodies(store.OverflowCategory)
	if err != nil {
		return err
	}
	if err := n.lines.Append(bodies...); err != nil {
		return err
	}
	return n.lines.Sync()
}

// open opens the file and reads its lines into counts. The file must be rewritten with them before anything is appended.
func (n *noFile) open(counts *Counts) error {
	err := n.close()
	if err != nil {
		return err
	}
	if n.dir, err = faultfs.OpenDir(n.path, n.inj); err != nil {
		return err
	}
	var damage faultfs.Damage
	n.lines, damage, err = faultfs.OpenLines(n.dir, CountsName, CountsHeader, func(body []byte) error {
		c, err := ParseCount(body)
		if err == nil {
			counts.Add(c)
		}
		return err
	})
	if damage.Lines > 0 {
		n.log.Warn("damaged lines are skipped; audits do not know what they counted", "file", filepath.Join(n.path,
			CountsName), "lines", damage.Lines, "kept as", damage.Aside)
	}
	return err
}

func (n *noFile) close() error {
	var errs []error
	if n.lines != nil {
		errs = append(errs, n.lines.Close())
	}
	if n.dir != nil {
		errs = append(errs, n.dir.Close())
	}
	n.lines, n.dir = nil, nil
	return errors.Join(errs...)
}
