package stream

import (
	"cmp"
	"context"
	"slices"
	"time"

	"inkwell/proto"
)

// claim is one Append: the pieces of its batch, and the streams it has for itself.
type claim struct {
	pieces []piece
	owned  []*entry
	rest   proto.Batch // what is not there yet
	part   proto.Batch
}

// piece is entries of one span and one category, in their order.
type piece struct {
	stream       ID
	category     []byte // aliases the batch
	first, count int64  // numbers
	index        int    // of the first entry in the batch
	twice        int64  // how many are there already, or came earlier in the batch
}

// split lists the numbered pieces of b.
func (c *claim) split(b *proto.Batch) {
	c.pieces = c.pieces[:0]
	for p := range b.Pieces {
		if s := &p.Span; s.Numbered() && len(p.Category) <= maxName {
			c.pieces = append(c.pieces, piece{stream: s.Stream, category: p.Category, first: s.First, count: int64(s.Count), index: p.Index})
		}
	}
}

// Append gives the entries of b that are not there yet to write, if there are any, and notes that they are there when
// it succeeds. A stream is one Append's at a time: what is sent again while its first attempt is in progress waits for
// the outcome of that. ctx bounds the wait.
func (t *Table) Append(ctx context.Context, b *proto.Batch, write func(context.Context, *proto.Batch) error) error {
	if len(b.Spans()) == 0 {
		return write(ctx, b)
	}
	c := t.claims.Get().(*claim)
	defer t.claims.Put(c)
	c.split(b)
	if err := t.take(ctx, c); err != nil {
		return err
	}
	var err error
	switch twice := c.twice(); {
	case twice == 0:
		err = write(ctx, b)
	case twice == int64(b.Count()):
	default:
		t.leaveOut(c, b)
		err = write(ctx, &c.rest)
	}
	t.release(c, err == nil)
	return err
}

// take makes the streams of c its own and finds out what is there.
func (t *Table) take(ctx context.Context, c *claim) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy(c) {
		stop := context.AfterFunc(ctx, func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.freed.Broadcast()
		})
		defer stop()
		for t.busy(c) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			t.freed.Wait()
		}
	}
	if t.size >= t.o.Max {
		t.evict()
	}
	c.owned = c.owned[:0]
	for i := range c.pieces {
		p := &c.pieces[i]
		e := t.entry(p.stream)
		if e.owner != c {
			e.owner = c
			c.owned = append(c.owned, e)
		}
		p.twice = p.count - t.place(e, p.category).claim(p.first, p.first+p.count)
	}
	return nil
}

// claim adds the numbers first … end-1 to those that the Append in progress brings, and says how many of them are
// neither there nor brought already: a sender that replays a spool may have a batch in it twice.
func (pl *place) claim(first, end int64) (fresh int64) {
	if k := len(pl.there) - 1; k < 0 || first >= pl.there[k].End { // the next of a stream, nearly always
		fresh = end - first - pl.claimed.Overlap(first, end)
		pl.claimed.addBounded(first, end)
		return fresh
	}
	for _, m := range pl.there.Missing(first, end) {
		fresh += m.End - m.First - pl.claimed.Overlap(m.First, m.End)
		pl.claimed.addBounded(m.First, m.End)
	}
	return fresh
}

// busy says whether another Append has one of the streams of c.
func (t *Table) busy(c *claim) bool {
	return slices.ContainsFunc(c.pieces, func(p piece) bool {
		e := t.streams[p.stream]
		return e != nil && e.owner != nil
	})
}

// release ends c; with written what it brought is there.
func (t *Table) release(c *claim, written bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now().Unix()
	for i := range c.pieces {
		p := &c.pieces[i]
		pl := t.place(t.entry(p.stream), p.category)
		pl.release()
		if !written {
			continue
		}
		t.add(pl, p)
		if p.twice > 0 {
			t.o.Twice(p.stream, pl.category, p.twice)
			t.duplicates.Add(p.twice)
		}
	}
	for i, e := range c.owned {
		e.owner, c.owned[i] = nil, nil
		e.seen = max(e.seen, now)
	}
	t.freed.Broadcast()
}

// twice is how many entries are there already.
func (c *claim) twice() (sum int64) {
	for i := range c.pieces {
		sum += c.pieces[i].twice
	}
	return sum
}

// leaveOut leaves in c.rest the entries of b that are not there yet, with their numbers.
func (t *Table) leaveOut(c *claim, b *proto.Batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.rest.Reset()
	for i := range c.pieces {
		pl := t.place(t.streams[c.pieces[i].stream], c.pieces[i].category)
		pl.claimed = pl.claimed[:0] // they are claimed once more, one by one
	}
	var from, to proto.Place // of the stretch that is to be kept
	keep := func() {
		if to.Entries > from.Entries {
			c.part.SetPart(b, from, to)
			c.rest.AppendBatch(&c.part)
		}
	}
	k := 0
	for cur := b.Cursor(); cur.Next(); to = cur.Place() {
		index := to.Entries
		for k < len(c.pieces) && index >= c.pieces[k].index+int(c.pieces[k].count) {
			k++
		}
		if k == len(c.pieces) || index < c.pieces[k].index {
			continue
		}
		p := &c.pieces[k]
		if n := p.first + int64(index-p.index); t.place(t.streams[p.stream], p.category).claim(n, n+1) == 0 {
			keep()
			from = cur.Place()
		}
	}
	keep()
	c.part.Reset()
}

// release ends what claim began.
func (pl *place) release() {
	if pl.claimed = pl.claimed[:0]; cap(pl.claimed) > fewPlaces {
		pl.claimed = nil
	}
}

// evict makes room: it forgets streams that have more than a sixteenth of it, which no sender needs, then those that
// were silent longest.
func (t *Table) evict() {
	type old struct {
		*entry
		hog bool
	}
	all := make([]old, 0, len(t.streams))
	for _, e := range t.streams {
		cost := 0
		for _, p := range e.places {
			cost += p.cost()
		}
		all = append(all, old{e, cost > t.o.Max/16})
	}
	slices.SortFunc(all, func(a, b old) int {
		if a.hog != b.hog {
			return map[bool]int{true: -1, false: 1}[a.hog]
		}
		return cmp.Compare(a.seen, b.seen)
	})
	forgotten := 0
	for _, e := range all {
		if t.size <= t.o.Max*7/8 {
			break
		}
		if e.owner == nil {
			t.drop(e.id)
			forgotten++
		}
	}
	t.forgotten.Add(int64(forgotten))
	t.o.Logger.Warn("too many streams: those that were silent longest are forgotten; what they send again is written again", "limit", t.o.Max, "forgotten", forgotten)
}
