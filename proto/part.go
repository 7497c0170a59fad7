package proto

import "iter"

// PlaceBehind is the place behind so many entries and bytes, at most, that follow a place; behind one entry at least,
// if there is one.
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

// Parts goes through b in parts of so many entries and bytes, as PlaceBehind. Each is valid until the next; it aliases
// b.
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

// Section returns count entries of b from one on, with their numbers; it aliases b.
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
