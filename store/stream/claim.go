package stream

import (
	"cmp"
	"context"
	"slices"
	"time"

	"inkwell/proto"
)

// claim is an Append in progress: the pieces of its batch, and the streams that are locked for it.
type claim struct {
	pieces []piece
	owned  []*streamState
	fresh  proto.Batch // the entries that are not duplicates
	part   proto.Batch
}

// piece is a run of entries of one span and one category.
type piece struct {
	stream       ID
	category     []byte // aliases the batch
	first, count int64  // the numbers first … first+count-1
	index        int    // index of the first entry in the batch
	duplicates   int64  // how many of the entries were taken before, or appear earlier in the batch
}

// split lists the pieces of b that have numbers.
func (c *claim) split(b *proto.Batch) {
	c.pieces = c.pieces[:0]
	for p := range b.Pieces {
		if s := &p.Span; s.Numbered() && len(p.Category) <= maxName {
			c.pieces = append(c.pieces, piece{stream: s.Stream, category: p.Category, first: s.First,
				count: int64(s.Count), index: p.Index})
		}
	}
}

// Append calls write with the entries of b that were not taken before, if there are any, and records them as taken if
// write succeeds. The streams of b are locked meanwhile: entries that are sent again while the first attempt is in
// progress wait for its result. ctx bounds that wait.
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
	switch twice := c.duplicates(); {
	case twice == 0:
		err = write(ctx, b)
	case twice == int64(b.Count()):
	default:
		t.filter(c, b)
		err = write(ctx, &c.fresh)
	}
	t.release(c, err == nil)
	return err
}

// take locks the streams of c and counts the duplicates.
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
	if t.ranges >= t.o.Max {
		t.evict()
	}
	c.owned = c.owned[:0]
	for i := range c.pieces {
		p := &c.pieces[i]
		e := t.state(p.stream)
		if e.owner != c {
			e.owner = c
			c.owned = append(c.owned, e)
		}
		p.duplicates = p.count - t.category(e, p.category).claim(p.first, p.first+p.count)
	}
	return nil
}

// claim adds the numbers first … end-1 to those claimed by the Append in progress, and returns how many of them are
// neither present nor claimed already. The latter happens when a sender replays a spool that contains a batch twice.
func (pl *categorySet) claim(first, end int64) (fresh int64) {
	if k := len(pl.present) - 1; k < 0 || first >= pl.present[k].End { // the usual case: the next numbers of a stream
		fresh = end - first - pl.claimed.Overlap(first, end)
		pl.claimed.addBounded(first, end)
		return fresh
	}
	for _, m := range pl.present.Missing(first, end) {
		fresh += m.End - m.First - pl.claimed.Overlap(m.First, m.End)
		pl.claimed.addBounded(m.First, m.End)
	}
	return fresh
}

// busy reports whether another Append has locked one of the streams of c.
func (t *Table) busy(c *claim) bool {
	return slices.ContainsFunc(c.pieces, func(p piece) bool {
		e := t.streams[p.stream]
		return e != nil && e.owner != nil
	})
}

// release unlocks the streams of c. If written is true, its entries are recorded as taken.
func (t *Table) release(c *claim, written bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now().Unix()
	for i := range c.pieces {
		p := &c.pieces[i]
		pl := t.category(t.state(p.stream), p.category)
		pl.release()
		if !written {
			continue
		}
		t.add(pl, p)
		if p.duplicates > 0 {
			t.o.Twice(p.stream, pl.category, p.duplicates)
			t.duplicates.Add(p.duplicates)
		}
	}
	for i, e := range c.owned {
		e.owner, c.owned[i] = nil, nil
		e.seen = max(e.seen, now)
	}
	t.freed.Broadcast()
}

// duplicates returns the number of entries that are duplicates.
func (c *claim) duplicates() (sum int64) {
	for i := range c.pieces {
		sum += c.pieces[i].duplicates
	}
	return sum
}

// filter copies the entries of b that are not duplicates to c.fresh, with their numbers.
func (t *Table) filter(c *claim, b *proto.Batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.fresh.Reset()
	for i := range c.pieces {
		pl := t.category(t.streams[c.pieces[i].stream], c.pieces[i].category)
		pl.claimed = pl.claimed[:0] // the loop below claims them again, one by one
	}
	var from, to proto.Place // bounds of the entries to be copied next
	keep := func() {
		if to.Entries > from.Entries {
			c.part.SetPart(b, from, to)
			c.fresh.AppendBatch(&c.part)
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
		if n := p.first + int64(index-p.index); t.category(t.streams[p.stream], p.category).claim(n, n+1) == 0 {
			keep()
			from = cur.Place()
		}
	}
	keep()
	c.part.Reset()
}

// release forgets the numbers claimed by the Append in progress.
func (pl *categorySet) release() {
	if pl.claimed = pl.claimed[:0]; cap(pl.claimed) > fewCategories {
		pl.claimed = nil
	}
}

// evict frees an eighth of the table. It first forgets streams that use more than a sixteenth of the table, which no
// proper sender does, then those that were silent longest.
func (t *Table) evict() {
	type old struct {
		*streamState
		hog bool
	}
	all := make([]old, 0, len(t.streams))
	for _, e := range t.streams {
		cost := 0
		for _, p := range e.categories {
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
		if t.ranges <= t.o.Max*7/8 {
			break
		}
		if e.owner == nil {
			t.drop(e.id)
			forgotten++
		}
	}
	t.forgotten.Add(int64(forgotten))
	t.o.Logger.Warn("too many streams: those that were silent longest are forgotten; what they send again is "+
		"written again",
		"limit", t.o.Max, "forgotten", forgotten)
}
