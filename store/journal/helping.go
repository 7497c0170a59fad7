package journal

import "iter"

// helpingBytes is how many bytes of entries the reader gathers before it feeds them to the outlets: about as many as a
// call brings, and few enough to stay in the processor's cache. A run that is larger makes a helping of its own.
const helpingBytes = 256 << 10

// helping is what the reader feeds to the outlets next. When the categories of a record are interleaved, an outlet gets
// its entries of the whole helping at once, under one lock and one charge of the budget, instead of one by one. Only
// the reader uses it. It is valid until the next record is read.
type helping struct {
	parts   []part
	outlets []*Outlet // that have parts, each once
	bytes   int       // of entries, for however many outlets
	end     uint64    // journal offset behind the last entry
}

// part is a stretch for one outlet. The parts of an outlet form a list in the order of the journal, so that a helping
// needs no memory for outlets that have none.
type part struct {
	stretch
	next int // index of the next part of the same outlet; 0: this is the last, because the first is nobody's next
}

// partList holds the first and the last part of an outlet in the helping, as indices.
type partList struct {
	first, last int
	any         bool
}

// add adds a stretch for an outlet.
func (h *helping) add(o *Outlet, s stretch) {
	k := len(h.parts)
	h.parts = append(h.parts, part{stretch: s})
	if o.parts.any {
		h.parts[o.parts.last].next, o.parts.last = k, k
		return
	}
	o.parts = partList{first: k, last: k, any: true}
	h.outlets = append(h.outlets, o)
}

// of returns the stretches for an outlet, which may be changed. The outlet must have some.
func (h *helping) of(o *Outlet) iter.Seq[*stretch] {
	return func(yield func(*stretch) bool) {
		for k := o.parts.first; ; {
			p := &h.parts[k]
			if !yield(&p.stretch) || p.next == 0 {
				return
			}
			k = p.next
		}
	}
}

// clear empties h and keeps its memory.
func (h *helping) clear() {
	for _, o := range h.outlets {
		o.parts = partList{}
	}
	clear(h.outlets)
	h.parts, h.outlets, h.bytes = h.parts[:0], h.outlets[:0], 0
}
