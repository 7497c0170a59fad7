package store

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store/manifest"
	"inkwell/store/stream"
)

// maxCounts bounds what is counted apart between two checkpoints.
const maxCounts = 256

// inNoFile counts entries that are in no file, for audits: in DIR/.manifest, which is written anew, with the lines of an hour added up,
// at first and when it has grown. Counts that no checkpoint has written go with a crash.
type inNoFile struct {
	root  *faultfs.Dir
	lines *faultfs.Lines // belongs to the checkpoint in progress

	mu     sync.Mutex
	counts manifest.Counts
}

// Refusal is entries of one category that were answered OK and thrown away.
type Refusal struct {
	Category []byte
	Stream   stream.ID // zero: they have no numbers
	First    int64     // the number of the first; they follow each other
	Entries  int64
	Why      string
}

// look opens the file. While something else stands there, what is counted waits, and publish says so.
func (n *inNoFile) look(log *slog.Logger) error {
	damage, err := n.open(nil)
	if faultfs.IsMisplaced(err) {
		return nil
	}
	if err == nil && damage.Lines > 0 {
		log.Warn("damaged lines of a manifest are passed over; audits do not know what they counted", "file", filepath.Join(n.root.Path(), manifest.Name), "lines", damage.Lines, "kept as", damage.Aside)
	}
	return err
}

// open reads the lines of the file into counts, which may be nil. They have to be written anew then.
func (n *inNoFile) open(counts *manifest.Counts) (faultfs.Damage, error) {
	lines, damage, err := faultfs.OpenLines(n.root, manifest.Name, manifest.Header, func(body []byte) error {
		c, err := manifest.ParseCount(body)
		if err == nil && counts != nil {
			counts.Add(c)
		}
		return err
	})
	if err != nil {
		return damage, err
	}
	err = n.close()
	n.lines = lines
	return damage, err
}

// refused counts entries that were thrown away.
func (n *inNoFile) refused(r Refusal) {
	c := manifest.Count{Category: string(r.Category), What: manifest.Refused, Why: r.Why, Entries: r.Entries}
	if r.Stream != (stream.ID{}) {
		c.Stream = r.Stream.String()
	}
	n.count(c, r.First)
}

// twice counts entries that came again.
func (n *inNoFile) twice(id stream.ID, category string, entries int64) {
	n.count(manifest.Count{Category: category, Stream: id.String(), What: manifest.Duplicate, Entries: entries}, 0)
}

func (n *inNoFile) count(c manifest.Count, first int64) {
	c.Hour = hour(time.Now())
	if c.Category != "" && !SafeCategory([]byte(c.Category)) {
		c.Category = UnsafeCategory
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.counts.Has(c) && n.counts.Len() >= maxCounts { // a peer may send any names
		c.Category, c.Stream = OverflowCategory, ""
	}
	if c.What == manifest.Refused && c.Stream != "" {
		n.counts.AddNumbers(c, first)
	} else {
		n.counts.Add(c)
	}
}

// publish writes what was counted. It is counted on after an error.
func (n *inNoFile) publish() error {
	if n.lines == nil {
		if _, err := n.open(nil); err != nil {
			return fmt.Errorf("write counts: %w", err)
		}
	}
	n.mu.Lock()
	counts := n.counts
	n.counts = manifest.Counts{}
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
	return fmt.Errorf("write counts: %w", err)
}

// write appends counts to the file, which is written anew before that when it is due: by itself, so that it does not matter whether one that
// failed has replaced it.
func (n *inNoFile) write(counts *manifest.Counts) error {
	if n.lines.Due() {
		var all manifest.Counts
		if _, err := n.open(&all); err != nil {
			return err
		}
		bodies, err := all.Bodies(OverflowCategory)
		if err != nil {
			return err
		}
		if err := n.lines.Rewrite(slices.Values(bodies)); err != nil {
			return err
		}
	}
	bodies, err := counts.Bodies(OverflowCategory)
	if err != nil {
		return err
	}
	if err := n.lines.Append(bodies...); err != nil {
		return err
	}
	return n.lines.Sync()
}

func (n *inNoFile) close() error {
	if n.lines == nil {
		return nil
	}
	return n.lines.Close()
}
