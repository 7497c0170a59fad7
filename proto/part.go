package proto

import "iter"

// Part is some entries of a batch that follow each other.
type Part struct {
	From, Size   int // their bytes
	First, Count int // their entries
}

// SetPart makes b a part of o, with the spans of its entries. b aliases o.
func (b *Batch) SetPart(o *Batch, p Part) {
	end := p.From + p.Size
	b.SetEntries(o.data[p.From:end:end], p.Count)
	b.spans = AppendSpanPart(b.spans, o.spans, p.First, p.Count)
}

// PartFrom is the part of b behind the part that is done: so many entries and bytes at most, but one entry at least, if there is one.
func (b *Batch) PartFrom(done Part, entries, bytes int) Part {
	p := Part{From: done.From + done.Size, First: done.First + done.Count}
	if p.Count, p.Size = b.count-p.First, len(b.data)-p.From; p.Count <= entries && p.Size <= bytes {
		return p
	}
	p.Count, p.Size = 0, 0
	for c := (Cursor{data: b.data, end: p.From}); c.Next() && (p.Count == 0 || p.Count < entries && c.end-p.From <= bytes); {
		p.Count, p.Size = p.Count+1, c.end-p.From
	}
	return p
}

// Parts goes through b in parts of so many entries and bytes, as PartFrom. Each is valid until the next; it aliases b.
func (b *Batch) Parts(entries, bytes int) iter.Seq[*Batch] {
	return func(yield func(*Batch) bool) {
		var one Batch
		for p := b.PartFrom(Part{}, entries, bytes); p.Count > 0; p = b.PartFrom(p, entries, bytes) {
			if one.SetPart(b, p); !yield(&one) {
				return
			}
		}
	}
}

// Section returns count entries of b from one on, with their spans; it aliases b.
func (b *Batch) Section(from, count int) *Batch {
	c := b.Cursor()
	for range from {
		c.Next()
	}
	start := c.End()
	for range count {
		c.Next()
	}
	part := new(Batch)
	part.SetPart(b, Part{From: start, Size: c.End() - start, First: from, Count: count})
	return part
}
