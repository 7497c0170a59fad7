// Package stream keeps a collector from writing an entry twice: it knows which numbers of each stream it has.
//
//	Log with spans ─► Append: what is there already is left out ─► write (the journal) ─► the rest is there
//	journal record ─► Drained ─► Save: durable before the journal may forget the record
//
// A stream is the ordered entries of one input (proto.Span). Which entries are there is kept by stream and category, as
// a set of numbers, not only as the next one: two ways from one sender to here, a bucket, or a buffer that lets new
// entries overtake may bring numbers out of order, and nothing may be dropped that is not there. Numbers that are
// skipped are counted as missing until they come.
//
// What is known is what the journal holds, from which it is read again at the start, and what Save wrote. Save knows
// only what was drained from the journal, so that it never claims entries which a power cut took away with the end of
// the journal.
//
// Limitations: a stream that was silent for TTL is forgotten, and so are those that were silent longest when there are
// Max stretches, after those that have too many of them: what comes again after that is written again. At most
// maxRanges stretches are remembered for a stream and category; the lowest are forgotten. What peers send costs time
// and memory in proportion to its length, whatever numbers it has.
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

// ID names a stream. The zero ID is none.
type ID [16]byte

// String is the ID in hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String wrote.
func ParseID(s string) (id ID, err error) {
	if n, err := hex.Decode(id[:], []byte(s[:min(len(s), 32)])); err != nil || n != len(id) || len(s) != 32 {
		return ID{}, fmt.Errorf("%q is no name of a stream", s)
	}
	return id, nil
}

// Options are the choices of a Table; the zero value of a field is its default.
type Options struct {
	TTL    time.Duration // 30 days; a stream that was silent for so long is forgotten
	Max    int           // stretches of numbers, of which a stream has one for each category, and more where numbers are missing; 1 Mi
	Logger *slog.Logger  // nil = none
	Stats  *stats.Set    // nil = own; "duplicates" and "streams forgotten" overall, the gauges "missing" and "streams"
	// Twice is told of entries that were left out because they are there; nil = nobody is.
	Twice func(id ID, category string, entries int64)
	// Own are the first bytes of streams that need not be known, because they begin here: see Lanes. Zero = none are.
	Own [8]byte
}

const (
	// DefaultTTL is for how long a silent stream is remembered.
	DefaultTTL = 30 * 24 * time.Hour
	defaultMax = 1 << 20
	maxName    = 255 // bytes of a category; entries of longer ones are taken as if they had no numbers
	maxRanges  = 1024
	fewPlaces  = 16 // of a stream, among which looking is as fast as a map
	fileHeader = "inkwell streams 1"
)

// FileName is the name of the file of a Table.
const FileName = "streams"

// Table knows which entries are there. Safe for concurrent use, but for Save and Close, which are one goroutine's.
type Table struct {
	o          Options
	lines      *faultfs.Lines
	duplicates *atomic.Int64
	forgotten  *atomic.Int64
	claims     sync.Pool // *claim

	mu      sync.Mutex
	freed   *sync.Cond // an owner has gone
	streams map[ID]*entry
	changed []*place // drained has grown since the last Save
	places  int
	size    int // stretches, as Max counts them
	holes   int64
}

// entry is one stream.
type entry struct {
	id     ID
	owner  *claim // whose Append is in progress; nil: nobody's
	seen   int64  // when something came last, Unix seconds
	places []*place
	byName map[string]*place // places, when they are many
}

// place is what is there of a stream in one category.
type place struct {
	of       *entry
	category string
	there    Ranges // in the journal or behind it
	held     int64  // numbers in there
	drained  Ranges // behind it
	claimed  Ranges // what the Append in progress brings and is not there yet
	changed  bool   // it is in Table.changed
}

// Open reads the table that is kept in dir. What the journal holds beyond it is learnt by Recover.
func Open(dir *faultfs.Dir, o Options) (*Table, error) {
	o.TTL, o.Max = cmp.Or(o.TTL, DefaultTTL), cmp.Or(o.Max, defaultMax)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Stats == nil {
		o.Stats = stats.New()
	}
	if o.Twice == nil {
		o.Twice = func(ID, string, int64) {}
	}
	t := &Table{o: o, streams: make(map[ID]*entry), duplicates: o.Stats.Overall("duplicates"), forgotten: o.Stats.Overall("streams forgotten"), claims: sync.Pool{New: func() any { return new(claim) }}}
	t.freed = sync.NewCond(&t.mu)
	var err error
	var damage faultfs.Damage
	if t.lines, damage, err = faultfs.OpenLines(dir, FileName, fileHeader, t.read); err != nil {
		return nil, err
	}
	if damage.Lines > 0 {
		o.Logger.Warn("damaged lines of the table of streams are passed over; what is sent again may be written twice", "file", filepath.Join(dir.Path(), FileName), "lines", damage.Lines, "kept as", damage.Aside)
	}
	for _, e := range t.streams {
		for _, p := range e.places {
			t.holes += p.holes()
		}
	}
	o.Stats.Gauge(stats.Overall+":streams", func() int64 { t.mu.Lock(); defer t.mu.Unlock(); return int64(t.places) })
	o.Stats.Gauge(stats.Overall+":missing", func() int64 { t.mu.Lock(); defer t.mu.Unlock(); return t.holes })
	return t, nil
}

// read takes a line of the file: STREAM SEEN RANGES "CATEGORY". The last line of a stream and category counts.
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
	e := t.entry(id)
	e.seen = max(e.seen, seen)
	p := t.place(e, []byte(category))
	t.size -= p.cost()
	p.there, p.held, p.drained = r, r.Count(), append(Ranges(nil), r...)
	t.size += p.cost()
	return nil
}

func (p *place) appendTo(dst []byte) []byte {
	dst = append(dst, p.of.id.String()...)
	dst = strconv.AppendInt(append(dst, ' '), p.of.seen, 10)
	dst = append(append(dst, ' '), p.drained.String()...)
	return strconv.AppendQuote(append(dst, ' '), p.category)
}

// entry finds or makes the entry of a stream.
func (t *Table) entry(id ID) *entry {
	e := t.streams[id]
	if e == nil {
		e = &entry{id: id}
		t.streams[id] = e
	}
	return e
}

// place finds or makes the place of a category.
func (t *Table) place(e *entry, category []byte) *place {
	if e.byName != nil {
		if p := e.byName[string(category)]; p != nil {
			return p
		}
	} else if i := slices.IndexFunc(e.places, func(p *place) bool { return p.category == string(category) }); i >= 0 {
		return e.places[i]
	}
	p := &place{of: e, category: string(category)}
	e.places = append(e.places, p)
	t.places++
	t.size += p.cost()
	switch {
	case e.byName != nil:
		e.byName[p.category] = p
	case len(e.places) > fewPlaces:
		e.byName = make(map[string]*place)
		for _, p := range e.places {
			e.byName[p.category] = p
		}
	}
	return p
}

// cost is what p counts against Max.
func (p *place) cost() int { return max(1, len(p.there)) }

// holes is how many numbers are missing between the lowest and the highest.
func (p *place) holes() int64 {
	if len(p.there) == 0 {
		return 0
	}
	return p.there[len(p.there)-1].End - p.there[0].First - p.held
}

// Recover learns what the journal holds from an offset on, beyond what Save knew. It comes before the first Append.
func (t *Table) Recover(journal *spool.Log, from uint64) error {
	var b proto.Batch
	r := journal.Reader(from)
	for {
		rec, ok, err := r.TryNext()
		var corrupt *spool.CorruptError
		switch {
		case errors.As(err, &corrupt): // whoever drains the journal tells of it
			continue
		case err != nil || !ok:
			return errors.Join(err, r.Close())
		}
		if b.SetRecord(rec.Data) == nil {
			t.note(&b, false)
		}
	}
}

// Drained says that b was read from the journal to where it belongs; the next Save will know it.
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
		e := t.entry(p.stream)
		e.seen = max(e.seen, now)
		pl := t.place(e, p.category)
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

// add notes that a piece is there.
func (t *Table) add(pl *place, p *piece) {
	holes, cost := pl.holes(), pl.cost()
	pl.held += p.count - pl.there.Overlap(p.first, p.first+p.count) - pl.there.addBounded(p.first, p.first+p.count)
	t.holes += pl.holes() - holes
	t.size += pl.cost() - cost
}

// Save makes what was drained before the call durable.
func (t *Table) Save() error {
	t.mu.Lock()
	anew := t.lines.Due()
	var bodies [][]byte
	if anew {
		t.forget(time.Now().Add(-t.o.TTL).Unix())
		for _, e := range t.streams {
			for _, p := range e.places {
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
		return t.lines.Rewrite(func(yield func([]byte) bool) {
			for _, b := range bodies {
				if !yield(b) {
					return
				}
			}
		})
	case len(bodies) == 0:
		return nil
	}
	if err := t.lines.Append(bodies...); err != nil {
		return err
	}
	return t.lines.Sync()
}

// forget forgets the streams that were silent since before.
func (t *Table) forget(before int64) {
	for id, e := range t.streams {
		if e.seen < before && e.owner == nil {
			t.drop(id)
		}
	}
}

func (t *Table) drop(id ID) {
	for _, p := range t.streams[id].places {
		t.holes -= p.holes()
		t.size -= p.cost()
		t.places--
	}
	delete(t.streams, id)
}

// Close releases the file.
func (t *Table) Close() error { return t.lines.Close() }

// Each shows what is there: stream, category and numbers. visit must neither keep there nor call t.
func (t *Table) Each(visit func(id ID, category string, there Ranges)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, e := range t.streams {
		for _, p := range e.places {
			visit(id, p.category, p.there)
		}
	}
}

// Read gives visit what the file of a Table in a directory says, which may be in use; there need not be one. bad counts
// damaged lines.
func Read(dir *faultfs.Dir, visit func(id ID, category string, there Ranges)) (bad int, err error) {
	t := &Table{streams: make(map[ID]*entry)}
	if bad, err = faultfs.ReadLines(dir, FileName, fileHeader, t.read); err == nil {
		t.Each(visit)
	}
	return bad, err
}
