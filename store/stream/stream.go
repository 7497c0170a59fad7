// Package stream keeps a collector from writing an entry twice: it records which numbers of each stream were taken.
//
//	batch with spans ─► Append: duplicates are left out ─► write (the journal) ─► the rest is recorded as taken
//	journal record   ─► Drained ─► Save: durable before the journal is acknowledged
//
// A stream is the ordered entries of one input (proto.Span), numbered by category. For each stream and category, the
// table holds the set of the numbers that were taken, not only the next one, because entries may arrive out of order:
// over two paths from one sender, through a bucket, or from a buffer that new entries may overtake. Nothing may be
// dropped that was not taken. Skipped numbers are counted as missing until they arrive.
//
// At the start, the table is made of what Save wrote and of what the journal holds. Save writes only numbers that were
// drained from the journal, so it never records entries that a power cut may remove from the end of the journal.
//
// Limitations: streams that were silent for TTL are forgotten. When there are Max ranges, streams with excessively many
// ranges are forgotten, then those that were silent longest. Entries of a forgotten stream that are sent again are
// written again. At most maxRanges ranges are kept for each stream and category; the lowest are forgotten. The time and
// memory for a batch are proportional to its length, whatever numbers a peer sends.
package stream

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store/spool"
)

// ID identifies a stream. The zero ID stands for no stream.
type ID [16]byte

// String returns the ID in hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID parses the result of String.
func ParseID(s string) (id ID, err error) {
	if n, err := hex.Decode(id[:], []byte(s[:min(len(s), 32)])); err != nil || n != len(id) || len(s) != 32 {
		return ID{}, fmt.Errorf("%q is no name of a stream", s)
	}
	return id, nil
}

// Options configure a Table; the zero value of a field is its default.
type Options struct {
	TTL time.Duration // a stream that was silent for so long is forgotten; default: 30 days
	// Max limits the ranges of numbers in the table, at least one for each stream and category. Default: 1 Mi.
	Max    int
	Logger *slog.Logger // nil = none
	Stats  *stats.Set   // nil = a new set; has "duplicates", "streams forgotten", and gauges "missing" and "streams"
	// Twice is called with the number of entries that were left out as duplicates; may be nil.
	Twice func(id ID, category string, entries int64)
	// Own is the prefix of streams that begin on this machine (see Lanes) and need not be recorded. Zero = none.
	Own [8]byte
}

const (
	// DefaultTTL is how long a silent stream is remembered.
	DefaultTTL    = 30 * 24 * time.Hour
	defaultMax    = 1 << 20
	maxName       = 255 // bytes of a category; entries of longer ones are treated as if they had no numbers
	maxRanges     = 1024
	fewCategories = 16 // of a stream; up to so many, a linear search is as fast as a map
	fileHeader    = "inkwell streams 1"
)

// FileName is the name of the file in which a Table is stored.
const FileName = "streams"

// Table records which entries were taken. Safe for concurrent use, except that Save and Close must be called by one
// goroutine.
type Table struct {
	o          Options
	lines      *faultfs.Lines
	duplicates *atomic.Int64
	forgotten  *atomic.Int64
	claims     sync.Pool // *claim

	mu         sync.Mutex
	freed      *sync.Cond // signalled when an Append has unlocked its streams
	streams    map[ID]*streamState
	changed    []*categorySet // those whose drained has grown since the last Save
	categories int
	ranges     int // number of ranges, as limited by Options.Max
	holes      int64
}

// streamState is the state of one stream.
type streamState struct {
	id         ID
	owner      *claim // the Append that has locked the stream; nil: none
	seen       int64  // when the stream was last used, in Unix seconds
	categories []*categorySet
	byName     map[string]*categorySet // index of categories; nil if there are only few
}

// categorySet is the set of the numbers that were taken of one stream in one category.
type categorySet struct {
	stream       *streamState
	category     string
	present      Ranges // taken: in the journal, or drained from it
	presentCount int64  // how many numbers are in present
	drained      Ranges // drained from the journal
	claimed      Ranges // new numbers in the Append in progress
	changed      bool   // the set is in Table.changed
}

// Open reads the table stored in dir. Recover adds what the journal holds beyond it.
func Open(dir *faultfs.Dir, o Options) (*Table, error) {
	o.TTL, o.Max = cmp.Or(o.TTL, DefaultTTL), cmp.Or(o.Max, defaultMax)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.Stats = cmp.Or(o.Stats, stats.New())
	if o.Twice == nil {
		o.Twice = func(ID, string, int64) {}
	}
	t := &Table{o: o, streams: make(map[ID]*streamState), duplicates: o.Stats.Overall("duplicates"),
		forgotten: o.Stats.Overall("streams forgotten"), claims: sync.Pool{New: func() any { return new(claim) }}}
	t.freed = sync.NewCond(&t.mu)
	var err error
	var damage faultfs.Damage
	if t.lines, damage, err = faultfs.OpenLines(dir, FileName, fileHeader, t.read); err != nil {
		return nil, err
	}
	if damage.Lines > 0 {
		o.Logger.Warn("damaged lines of the table of streams are skipped; what is sent again may be written twice",
			"file", filepath.Join(dir.Path(), FileName), "lines", damage.Lines, "kept as", damage.Aside)
	}
	for _, e := range t.streams {
		for _, p := range e.categories {
			t.holes += p.holes()
		}
	}
	o.Stats.Gauge(stats.Overall+":streams", func() int64 {
		t.mu.Lock()
		defer t.mu.Unlock()
		return int64(t.categories)
	})
	o.Stats.Gauge(stats.Overall+":missing", func() int64 { t.mu.Lock(); defer t.mu.Unlock(); return t.holes })
	return t, nil
}

// read parses a line of the file: STREAM SEEN RANGES "CATEGORY". A later line replaces an earlier one of the same
// stream and category.
func (t *Table) read(body []byte) error {
	f := strings.SplitN(string(body), " ", 4)
	if len(f) != 4 {
		return fmt.Errorf("%d fields", len(f))
	}
	id, err := ParseID(f[0])
	if err != nil {
		return err
	}
	seen, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return err
	}
	r, err := ParseRanges(f[2])
	if err != nil {
		return err
	}
	category, err := strconv.Unquote(f[3])
	if err != nil {
		return err
	}
	e := t.state(id)
	e.seen = max(e.seen, seen)
	p := t.category(e, []byte(category))
	t.ranges -= p.cost()
	p.present, p.presentCount, p.drained = r, r.Count(), append(Ranges(nil), r...)
	t.ranges += p.cost()
	return nil
}

func (p *categorySet) appendTo(dst []byte) []byte {
	dst = append(dst, p.stream.id.String()...)
	dst = strconv.AppendInt(append(dst, ' '), p.stream.seen, 10)
	dst = append(append(dst, ' '), p.drained.String()...)
	return strconv.AppendQuote(append(dst, ' '), p.category)
}

// state returns the state of a stream, creating it if necessary.
func (t *Table) state(id ID) *streamState {
	e := t.streams[id]
	if e == nil {
		e = &streamState{id: id}
		t.streams[id] = e
	}
	return e
}

// category returns the set of a category, creating it if necessary.
func (t *Table) category(e *streamState, category []byte) *categorySet {
	if e.byName != nil {
		if p := e.byName[string(category)]; p != nil {
			return p
		}
	} else if i := slices.IndexFunc(e.categories, func(p *categorySet) bool {
		return p.category == string(category)
	}); i >= 0 {
		return e.categories[i]
	}
	p := &categorySet{stream: e, category: string(category)}
	e.categories = append(e.categories, p)
	t.categories++
	t.ranges += p.cost()
	switch {
	case e.byName != nil:
		e.byName[p.category] = p
	case len(e.categories) > fewCategories:
		e.byName = make(map[string]*categorySet)
		for _, p := range e.categories {
			e.byName[p.category] = p
		}
	}
	return p
}

// cost returns how much p counts against Options.Max.
func (p *categorySet) cost() int { return max(1, len(p.present)) }

// holes returns how many numbers are missing between the lowest and the highest.
func (p *categorySet) holes() int64 {
	if len(p.present) == 0 {
		return 0
	}
	return p.present[len(p.present)-1].End - p.present[0].First - p.presentCount
}

// Recover adds the entries that the journal holds from an offset on. It must be called before the first Append.
func (t *Table) Recover(journal *spool.Log, from uint64) error {
	var b proto.Batch
	r := journal.Reader(from)
	for {
		rec, ok, err := r.TryNext()
		var corrupt *spool.CorruptError
		switch {
		case errors.As(err, &corrupt): // whoever drains the journal reports it
			continue
		case err != nil || !ok:
			return errors.Join(err, r.Close())
		}
		if b.SetRecord(rec.Data) == nil {
			t.note(&b, false)
		}
	}
}

// Drained records that b was drained from the journal: the next Save includes it.
func (t *Table) Drained(b *proto.Batch) { t.note(b, true) }

func (t *Table) note(b *proto.Batch, drained bool) {
	if len(b.Spans()) == 0 {
		return
	}
	c := t.claims.Get().(*claim)
	defer t.claims.Put(c)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now().Unix()
	c.split(b)
	for i := range c.pieces {
		p := &c.pieces[i]
		if t.o.Own != [8]byte{} && t.o.Own == [8]byte(p.stream[:8]) {
			continue
		}
		e := t.state(p.stream)
		e.seen = max(e.seen, now)
		pl := t.category(e, p.category)
		t.add(pl, p)
		if !drained {
			continue
		}
		pl.drained.addBounded(p.first, p.first+p.count)
		if !pl.changed {
			pl.changed = true
			t.changed = append(t.changed, pl)
		}
	}
}

// add records the numbers of a piece as present.
func (t *Table) add(pl *categorySet, p *piece) {
	holes, cost := pl.holes(), pl.cost()
	pl.presentCount += p.count - pl.present.Overlap(p.first, p.first+p.count) - pl.present.addBounded(p.first,
		p.first+p.count)
	t.holes += pl.holes() - holes
	t.ranges += pl.cost() - cost
}

// Save makes durable what was drained before the call.
func (t *Table) Save() error {
	t.mu.Lock()
	anew := t.lines.Due()
	var bodies [][]byte
	if anew {
		t.forget(time.Now().Add(-t.o.TTL).Unix())
		for _, e := range t.streams {
			for _, p := range e.categories {
				if len(p.drained) > 0 {
					bodies = append(bodies, p.appendTo(nil))
				}
			}
		}
	} else {
		for _, p := range t.changed {
			bodies = append(bodies, p.appendTo(nil))
		}
	}
	for _, p := range t.changed {
		p.changed = false
	}
	t.changed = t.changed[:0]
	t.mu.Unlock()
	switch {
	case anew:
		return t.lines.Rewrite(slices.Values(bodies))
	case len(bodies) == 0:
		return nil
	}
	if err := t.lines.Append(bodies...); err != nil {
		return err
	}
	return t.lines.Sync()
}

// forget drops the streams that were last used before a time.
func (t *Table) forget(before int64) {
	for id, e := range t.streams {
		if e.seen < before && e.owner == nil {
			t.drop(id)
		}
	}
}

func (t *Table) drop(id ID) {
	for _, p := range t.streams[id].categories {
		t.holes -= p.holes()
		t.ranges -= p.cost()
		t.categories--
	}
	delete(t.streams, id)
}

// Close releases the file.
func (t *Table) Close() error { return t.lines.Close() }

// Each calls visit with each stream, category and set of numbers. visit must not retain the set or call t.
func (t *Table) Each(visit func(id ID, category string, there Ranges)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, e := range t.streams {
		for _, p := range e.categories {
			visit(id, p.category, p.present)
		}
	}
}

// Read calls visit like Each, for the table stored in a directory, which may be in use; without a file there is nothing
// to visit. bad counts damaged lines.
func Read(dir *faultfs.Dir, visit func(id ID, category string, there Ranges)) (bad int, err error) {
	t := &Table{streams: make(map[ID]*streamState)}
	if bad, err = faultfs.ReadLines(dir, FileName, fileHeader, t.read); err == nil {
		t.Each(visit)
	}
	return bad, err
}
