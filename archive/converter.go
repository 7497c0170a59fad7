package archive

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"

	"inkwell/archive/columns"
	"inkwell/archive/format"
)

// groupBytes bounds the text of a row group, beside its rows.
const groupBytes = 24 << 20

// converting bounds how many row groups are made at once, by all conversions.
var converting = make(chan struct{}, runtime.GOMAXPROCS(0))

// converter makes row groups of the chunks of a file, beside each other, and writes them in their order.
type converter struct {
	w       *columns.Writer
	origins *Origins
	time    int       // which field is the time; -1 = none
	parsers sync.Pool // of *parser
	ordered Ordered[*batch, encoded]
	lines   Lines
	next    *batch
	raw     int64 // bytes that came
}

// batch is the text of a row group.
type batch struct {
	parts  []batchPart
	bytes  int
	rows   int
	raw    int64 // where it begins in the content
	number int64 // of lines before it
}

// batchPart is whole lines, and when they came in.
type batchPart struct {
	text []byte
	at   time.Time
	raw  int64 // where it begins in the content
}

// lineRef is a line of a batch.
type lineRef struct {
	order    int64 // its own time, or when it came in: Unix milliseconds
	own      bool  // it is its own
	from, to int32 // in its part
	part     int32
	number   int32 // in the batch, from 1 on
}

// encoded is a row group that was encoded.
type encoded struct {
	group *columns.Group
	err   error
}

// parser reads lines, for one goroutine at a time.
type parser struct {
	reader *format.Reader // nil = there is no format
	clock  *format.Reader // finds the time only; nil = there is none
	times  format.Times
	lines  []lineRef
}

func newConverter(w *columns.Writer, origins *Origins, o Conversion, fields []string) *converter {
	v := &converter{w: w, origins: origins, time: slices.Index(fields, "time"), next: new(batch)}
	v.parsers.New = func() any {
		p := new(parser)
		if o.Format != "" {
			p.reader, _ = format.New(o.Format, fields) // which was made before
		}
		if v.time >= 0 {
			p.clock, _ = format.New(o.Format, []string{"time"})
		}
		return p
	}
	v.ordered = Ordered[*batch, encoded]{Room: converting, Ahead: cap(converting), Work: v.group, Use: func(m encoded) error {
		if m.err != nil {
			return m.err
		}
		return v.w.Commit(m.group)
	}}
	return v
}

// read converts all that r has.
func (v *converter) read(ctx context.Context, r *Reader) error {
	err := v.chunks(ctx, r)
	if err == nil && v.next.rows > 0 {
		err = v.ordered.Add(ctx, v.next)
	}
	return errors.Join(err, v.ordered.Flush())
}

func (v *converter) chunks(ctx context.Context, r *Reader) error {
	var at time.Time
	for {
		c, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		v.raw, at = v.raw+int64(len(c.Data)), c.First
		if err := v.add(ctx, batchPart{text: v.lines.Add(c.Data), at: at}); err != nil {
			return err
		}
	}
	return v.add(ctx, batchPart{text: v.lines.Rest(), at: at})
}

// add adds lines to the next batch, which is worked on when it is large enough.
func (v *converter) add(ctx context.Context, p batchPart) error {
	if len(p.text) == 0 {
		return nil
	}
	b := v.next
	p.raw = b.raw + int64(b.bytes)
	b.parts, b.bytes, b.rows = append(b.parts, p), b.bytes+len(p.text), b.rows+countLines(p.text)
	if b.rows < columns.GroupRows && b.bytes < groupBytes {
		return nil
	}
	v.next = &batch{raw: b.raw + int64(b.bytes), number: b.number + int64(b.rows)}
	return v.ordered.Add(ctx, b)
}

// countLines counts lines, a last one without an end as well.
func countLines(text []byte) int {
	n := bytes.Count(text, []byte{'\n'})
	if text[len(text)-1] != '\n' {
		n++
	}
	return n
}

// group makes the row group of a batch.
func (v *converter) group(b *batch) encoded {
	p := v.parsers.Get().(*parser)
	defer v.parsers.Put(p)
	p.sort(b)
	g := v.w.Begin()
	var row columns.Row
	var since, until int64 // of the content, where the source is that of row
	for i := range p.lines {
		l := &p.lines[i]
		part := &b.parts[l.part]
		if at := part.raw + int64(l.from); at < since || at >= until {
			row.Source, since, until = v.origins.around(at)
		}
		row.Line, row.Arrival, row.Number = withoutEnd(part.text[l.from:l.to]), part.at, b.number+int64(l.number)
		row.Time, row.Values = time.Time{}, nil
		if l.own {
			row.Time = time.UnixMilli(l.order)
		}
		if p.reader != nil {
			if values, ok := p.reader.Read(row.Line); ok {
				row.Values = values
			}
		}
		g.Add(&row)
	}
	return encoded{g, g.End()}
}

// sort lists the lines of a batch by their own times, or when they came in.
func (p *parser) sort(b *batch) {
	p.lines = slices.Grow(p.lines[:0], b.rows)
	sorted := true
	for i, part := range b.parts {
		arrival := part.at.UnixMilli()
		from := int32(0)
		for rest := part.text; len(rest) > 0; {
			end := bytes.IndexByte(rest, '\n') + 1
			if end == 0 {
				end = len(rest)
			}
			line := rest[:end]
			rest = rest[end:]
			n := len(p.lines)
			l := lineRef{order: arrival, from: from, to: from + int32(end), part: int32(i), number: int32(n + 1)}
			from = l.to
			if p.clock != nil {
				if values, ok := p.clock.Read(withoutEnd(line)); ok {
					if own := p.times.Read(values[0]); !own.IsZero() {
						l.order, l.own = own.UnixMilli(), true
					}
				}
			}
			sorted = sorted && (n == 0 || p.lines[n-1].order <= l.order)
			p.lines = append(p.lines, l)
		}
	}
	if !sorted {
		slices.SortStableFunc(p.lines, func(a, b lineRef) int { return cmp.Compare(a.order, b.order) })
	}
}
