package proto

import "iter"

// PlaceBehind returns the place after as many entries and bytes as allowed that follow a place. If any entry follows,
// it passes at least one, even if that is larger than allowed.
func (b *Batch) PlaceBehind(from Place, entries, bytes int) Place {
	if count := b.count - from.Entries; count <= entries && len(b.data)-from.Bytes <= bytes {
		from.Bytes = len(b.data)
		from.pass(b.spans, count)
		return from
	}
	to := from
	for c := b.CursorAt(from); c.Next(); to = c.at {
		if to != from && (c.at.Entries-from.Entries > entries || c.at.Bytes-from.Bytes > bytes) {
			break
		}
	}
	return to
}

// Parts splits b into parts of at most so many entries and bytes, as PlaceBehind counts them. Each part is valid until
// the next one; it aliases b.
func (b *Batch) Parts(entries, bytes int) iter.Seq[*Batch] {
	return func(yield func(*Batch) bool) {
		var one Batch
		for from := (Place{}); from.Entries < b.count; {
			to := b.PlaceBehind(from, entries, bytes)
			if one.SetPart(b, from, to); !yield(&one) {
				return
			}
			from = to
		}
	}
}

// Section returns count entries of b with their numbers, beginning with entry from, counted from 0. It aliases b.
func (b *Batch) Section(from, count int) *Batch {
	c := b.Cursor()
	for range from {
		c.Next()
	}
	start := c.at
	for range count {
		c.Next()
	}
	part := new(Batch)
	part.SetPart(b, start, c.at)
	return part
}
