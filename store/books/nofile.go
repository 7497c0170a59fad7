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

// maxCounts bounds what is counted apart between two checkpoints.
const maxCounts = 256

// Refusal is entries of one category that were answered OK and thrown away.
type Refusal struct {
	Category []byte
	Stream   stream.ID // zero: they have no numbers
	First    int64     // the number of the first; they follow each other
	Entries  int64
	Why      string
}

// noFile counts entries that are in no file of a destination, for audits: in ROOT/.counts, which is written anew, with the lines of an hour
// added up, at first and when it has grown. Counts that no checkpoint has written go with a crash.
type noFile struct {
	path  string
	inj   faultfs.Injector
	log   *slog.Logger
	dir   *faultfs.Dir   // nil: not open; these two belong to whoever publishes
	lines *faultfs.Lines // nil: not open

	mu     sync.Mutex
	counts Counts
}

// Refused counts entries that were thrown away. Safe for concurrent use.
func (b *Books) Refused(r Refusal) {
	c := Count{Category: string(r.Category), What: Refused, Why: r.Why, Entries: r.Entries}
	if r.Stream != (stream.ID{}) {
		c.Stream = r.Stream.String()
	}
	b.count(c, r.First)
}

// Twice counts entries that came again. Safe for concurrent use.
func (b *Books) Twice(id stream.ID, category string, entries int64) {
	b.count(Count{Category: category, Stream: id.String(), What: Duplicate, Entries: entries}, 0)
}

func (b *Books) count(c Count, first int64) {
	for _, n := range b.none {
		n.count(c, first)
	}
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

// publish writes what was counted. It is counted on after an error.
func (n *noFile) publish() error {
	n.mu.Lock()
	counts := n.counts
	n.counts = Counts{}
	n.mu.Unlock()
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

// write appends counts to the file, which is written anew before that when it is due: by itself, so that it does not matter whether one that
// failed has replaced it.
func (n *noFile) write(counts *Counts) error {
	if n.dir != nil && n.dir.Standing() != nil {
		_ = n.close() // another directory is there now
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

// open reads the lines of the file into counts. They have to be written anew then.
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
		n.log.Warn("damaged lines are passed over; audits do not know what they counted", "file", filepath.Join(n.path, CountsName), "lines", damage.Lines, "kept as", damage.Aside)
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
