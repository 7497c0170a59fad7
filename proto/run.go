package proto

import "bytes"

// Run is a sequence of consecutive entries of one category.
type Run struct {
	Category []byte // aliases the batch
	Count    int
	Bytes    int64 // of the messages
	From     Place // where it begins in the batch
}

// Size is the number of canonical bytes of the run.
func (r *Run) Size() int { return r.Count*(EntryOverhead+len(r.Category)) + int(r.Bytes) }

// run is a Run, or a part of one, whose category is the n bytes at data[at:].
type run struct {
	at, n, count int
	bytes        int64
	goesOn       bool // it continues the run before it
}

// shortRun is how many bytes of messages AppendShortRuns returns as one run, about.
const shortRun = 128 << 10

// categoryAt is the offset of the category in an entry.
const categoryAt = 7

// appendRun appends r to runs, or extends the last one if that has the same category and is short.
func appendRun(runs []run, data []byte, r run) []run {
	r.goesOn = false
	if k := len(runs) - 1; k >= 0 {
		if last := &runs[k]; last.n == r.n && bytes.Equal(data[last.at:last.at+last.n], data[r.at:r.at+r.n]) {
			if r.goesOn = last.bytes+r.bytes > shortRun; !r.goesOn {
				last.count += r.count
				last.bytes += r.bytes
				return runs
			}
		}
	}
	return append(runs, r)
}

// findRuns computes the runs, unless they are known.
func (b *Batch) findRuns() {
	if !b.blind {
		return
	}
	b.runs = b.runs[:0]
	for c := b.Cursor(); c.Next(); {
		b.runs = appendRun(b.runs, b.data, run{at: c.start + categoryAt, n: len(c.category), count: 1,
			bytes: int64(len(c.message))})
	}
	b.blind = false
}

// runAt returns the run r, which begins at a place.
func (b *Batch) runAt(r run, from Place) Run {
	from.Bytes = r.at - categoryAt
	return Run{Category: b.data[r.at : r.at+r.n : r.at+r.n], Count: r.count, Bytes: r.bytes, From: from}
}

// AppendRuns appends the runs of b, in order, to dst. They are valid until the batch is changed.
func (b *Batch) AppendRuns(dst []Run) []Run {
	b.findRuns()
	var at Place
	for _, r := range b.runs {
		if r.goesOn {
			last := &dst[len(dst)-1]
			last.Count, last.Bytes = last.Count+r.count, last.Bytes+r.bytes
		} else {
			dst = append(dst, b.runAt(r, at))
		}
		at.pass(b.spans, r.count)
	}
	return dst
}

// AppendShortRuns is AppendRuns, but a run of more than shortRun bytes is appended as several.
func (b *Batch) AppendShortRuns(dst []Run) []Run {
	b.findRuns()
	var at Place
	for _, r := range b.runs {
		dst = append(dst, b.runAt(r, at))
		at.pass(b.spans, r.count)
	}
	return dst
}

// AppendRun adds copies of the entries of a run of o, or of a part of one, with their numbers.
func (b *Batch) AppendRun(o *Batch, r Run) {
	if r.Count == 0 {
		return
	}
	b.own()
	for s := range o.spansFrom(r.From, r.Count) {
		b.joinSpan(s)
	}
	at := len(b.data)
	b.data = append(b.data, o.data[r.From.Bytes:r.From.Bytes+r.Size()]...)
	if !b.blind {
		b.runs = appendRun(b.runs, b.data, run{at: at + categoryAt, n: len(r.Category), count: r.Count, bytes: r.Bytes})
	}
	b.count += r.Count
}

// Behind returns the part of r, a run of b, after the first at bytes of b's entries: those of its entries that end
// later.
func (b *Batch) Behind(r Run, at int) Run {
	if at <= r.From.Bytes {
		return r
	}
	for c := b.CursorAt(r.From); r.Count > 0 && c.Next() && c.End() <= at; {
		r.Count--
		r.Bytes -= int64(len(c.Message()))
		r.From = c.Place()
	}
	return r
}

// Piece is a sequence of consecutive entries of one category with consecutive numbers.
type Piece struct {
	Category []byte // aliases the batch
	Span     Span   // their numbers; one of the zero Stream has none
	Index    int    // of the first one in the batch
}

// Pieces calls yield with the pieces of b, in order.
func (b *Batch) Pieces(yield func(Piece) bool) {
	var few [8]Run
	for _, run := range b.AppendRuns(few[:0]) {
		done := 0
		for s := range b.spansFrom(run.From, run.Count) {
			if !yield(Piece{Category: run.Category, Span: s, Index: run.From.Entries + done}) {
				return
			}
			done += int(s.Count)
		}
		if left := run.Count - done; left > 0 && !yield(Piece{Category: run.Category, Span: Span{Count: int32(left)},
			Index: run.From.Entries + done}) {
			return
		}
	}
}
