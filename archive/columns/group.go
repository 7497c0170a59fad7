package columns

import (
	"bytes"
	"math"
	"slices"
	"strconv"
)

// Group is a row group. Not safe for concurrent use.
type Group struct {
	w      *Writer
	chunks []chunk
	rows   int
}

// Begin begins a row group. Safe for concurrent use.
func (c *Writer) Begin() *Group {
	g := spare.Get().(*Group)
	g.w, g.rows = c, 0
	g.chunks = slices.Grow(g.chunks[:0], len(c.columns))[:len(c.columns)]
	for i := range g.chunks {
		g.chunks[i].begin(c.columns[i])
	}
	return g
}

// Add adds a row behind the others.
func (g *Group) Add(r *Row) {
	at, row := &g.w.place, g.rows
	g.chunks[at.line].addText(row, r.Line)
	g.chunks[at.number].addNumber(row, r.Number)
	g.chunks[at.file].addText(row, g.w.file)
	if !r.Arrival.IsZero() {
		g.chunks[at.arrival].addNumber(row, r.Arrival.UnixMilli())
	}
	if !r.Time.IsZero() {
		g.chunks[at.time].addNumber(row, r.Time.UnixMilli())
	}
	if r.Source != nil {
		g.chunks[at.source].addText(row, r.Source)
	}
	for i, value := range r.Values {
		if k := g.w.fields[i]; k >= 0 && len(value) > 0 {
			g.chunks[k].addField(row, value)
		}
	}
	g.rows++
}

// addField adds the value of a field, unless it is none of the kind of the column.
func (c *chunk) addField(row int, value []byte) {
	switch c.kind {
	case text:
		c.addText(row, value)
	case status:
		if n, err := whole(value, 32); err == nil {
			c.addNumber(row, n)
		}
	case size:
		if n, err := whole(value, 64); err == nil {
			c.addNumber(row, n)
		}
	case duration:
		if s, ok := seconds(value); ok {
			c.addNumber(row, int64(math.Float64bits(s)))
		}
	}
}

// seconds is the duration that text is: seconds if it has a dot, and microseconds otherwise.
func seconds(text []byte) (s float64, ok bool) {
	if n, err := whole(text, 64); err == nil {
		return float64(n) / 1e6, true
	}
	s, err := strconv.ParseFloat(string(text), 64)
	if bytes.IndexByte(text, '.') < 0 {
		s /= 1e6
	}
	return s, err == nil
}

// whole is the whole number that text is. A few digits, as most are, cost nothing.
func whole(text []byte, bits int) (n int64, err error) {
	if len(text) == 1 && text[0] == '-' { // as servers write if there is none
		return 0, strconv.ErrSyntax
	}
	if len(text) > 9 {
		return strconv.ParseInt(string(text), 10, bits)
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return strconv.ParseInt(string(text), 10, bits)
		}
		n = 10*n + int64(c-'0')
	}
	return n, nil
}

// End makes the pages. The group is not used any more, but for Commit.
func (g *Group) End() error {
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	for i := range g.chunks {
		if err := g.chunks[i].end(g.rows, e); err != nil {
			return err
		}
	}
	return nil
}

// release gives the memory back.
func (g *Group) release() {
	for i := range g.chunks {
		g.chunks[i].forget()
	}
	g.w = nil
	spare.Put(g)
}
