package stream

import (
	"fmt"

	"inkwell/internal/faultfs"
	"inkwell/proto"
)

// Merge adds the numbers of another table, given the content of its file. They count as drained: the next Save includes
// them.
func (t *Table) Merge(file []byte) error {
	other := &Table{streams: make(map[ID]*streamState)}
	damaged, err := faultfs.ParseLines(FileName, fileHeader, file, other.read)
	if err == nil && damaged > 0 {
		err = fmt.Errorf("%d lines of a table of streams are damaged", damaged)
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, of := range other.streams {
		e := t.state(id)
		e.seen = max(e.seen, of.seen)
		for _, p := range of.categories {
			pl := t.category(e, []byte(p.category))
			for _, r := range p.present {
				t.add(pl, &piece{first: r.First, count: r.End - r.First})
				pl.drained.addBounded(r.First, r.End)
			}
			if !pl.changed {
				pl.changed = true
				t.changed = append(t.changed, pl)
			}
		}
	}
	return nil
}

// Forget takes the numbers of b out of the table: another journal has taken the entries over, and says from now on
// which of them are there. The next Save includes that.
func (t *Table) Forget(b *proto.Batch) {
	c := t.claims.Get().(*claim)
	defer t.claims.Put(c)
	t.mu.Lock()
	defer t.mu.Unlock()
	c.split(b)
	for i := range c.pieces {
		p := &c.pieces[i]
		pl := t.category(t.state(p.stream), p.category)
		holes, cost := pl.holes(), pl.cost()
		pl.present = pl.present.without(p.first, p.first+p.count)
		pl.drained = pl.drained.without(p.first, p.first+p.count)
		pl.presentCount = pl.present.Count()
		t.holes += pl.holes() - holes
		t.ranges += pl.cost() - cost
		if !pl.changed {
			pl.changed = true
			t.changed = append(t.changed, pl)
		}
	}
}

// without returns the numbers of r that are not first … end-1.
func (r Ranges) without(first, end int64) (rest Ranges) {
	for _, one := range r {
		if one.First < first {
			rest = append(rest, Range{one.First, min(one.End, first)})
		}
		if one.End > end {
			rest = append(rest, Range{max(one.First, end), one.End})
		}
	}
	return rest
}
