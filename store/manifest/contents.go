package manifest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// Contents is a line of a collector's ledger, "contents" in its state directory: what one checkpoint found added to a file that was
// not published then. A category's lines follow each other by journal offset; one that begins before the end of another takes its
// place, because the category was read again from there.
type Contents struct {
	Category string
	File     string // "" for entries that have no bytes, and came when no file was open: they belong to the file that comes next
	From     uint64 // journal offsets: the entries lie between
	Through  uint64
	First    int64 // Unix seconds
	Last     int64
	// Spans are as in a File.
	Spans     []Span
	Unordered bool
}

type contentsLine struct {
	Category string `json:"category"`
	File     string `json:"file"`
	From     uint64 `json:"from"`
	Through  uint64 `json:"through"`
	First    int64  `json:"first"`
	Last     int64  `json:"last"`

	Unordered bool       `json:"unordered,omitempty"`
	Streams   []string   `json:"streams,omitempty"`
	Spans     [][5]int64 `json:"spans"`
}

// Ledger and LedgerHeader name the file of Contents.
const (
	Ledger       = "contents"
	LedgerHeader = "inkwell contents 1"
)

// Append appends the body of c's line.
func (c *Contents) Append(dst []byte) ([]byte, error) {
	line := contentsLine{Category: c.Category, File: c.File, From: c.From, Through: c.Through, First: c.First, Last: c.Last, Unordered: c.Unordered}
	line.Streams, line.Spans = encodeSpans(c.Spans)
	return appendJSON(dst, line)
}

// ParseContents reads what Append wrote.
func ParseContents(body []byte) (c Contents, err error) {
	var line contentsLine
	if err := json.Unmarshal(body, &line); err != nil {
		return Contents{}, err
	}
	if line.Category == "" || line.From > line.Through {
		return Contents{}, errors.New("no contents")
	}
	c = Contents{Category: line.Category, File: line.File, From: line.From, Through: line.Through, First: line.First, Last: line.Last, Unordered: line.Unordered}
	c.Spans, err = decodeSpans(line.Streams, line.Spans)
	return c, err
}

// AddSpan puts s behind the others; it joins the last one if it goes on where that ends.
func AddSpan(spans []Span, s Span) []Span {
	if k := len(spans) - 1; k >= 0 {
		l := &spans[k]
		if l.Hour == s.Hour && l.Stream == s.Stream && (l.End() == s.First || s.Stream == [16]byte{}) {
			l.Count += s.Count
			l.Bytes += s.Bytes
			return spans
		}
	}
	return append(spans, s)
}

// Settle gives lines about one category, in their order, that are of no file to the file that comes behind them.
func Settle(lines []Contents) {
	for i := len(lines) - 2; i >= 0; i-- {
		if next := &lines[i+1]; lines[i].File == "" && next.File != "" {
			lines[i].File, lines[i].First = next.File, next.First
		}
	}
}

// Unnumber makes one span without numbers of several.
func Unnumber(spans []Span) []Span {
	var all Span
	for _, s := range spans {
		all.Hour = s.Hour
		all.Count += s.Count
		all.Bytes += s.Bytes
	}
	return []Span{all}
}

// maxSpans is how many a line has at most in the order of the file.
const maxSpans = 1 << 14

// maxLines is how many lines about an open file are kept apart.
const maxLines = 64

// Condense makes one of the lines about an open file when there are many, or they have many spans: a file may be open for a day. The
// last line stays by itself, because a start may go back to the checkpoint before it.
func Condense(lines []Contents) []Contents {
	last := len(lines) - 1
	if last < 2 {
		return lines
	}
	first, added := &lines[0], 0
	for _, c := range lines[1:last] {
		added += len(c.Spans)
	}
	if last < maxLines && added < max(maxSpans, len(first.Spans)) {
		return lines
	}
	return condense(lines, maxSpans)
}

// Tighten does what Condense does however few they are, and joins the spans of each hour and stream. Lines about several files it
// leaves alone.
func Tighten(lines []Contents) []Contents {
	if last := len(lines) - 1; last < 1 || lines[0].File != lines[last].File {
		return lines
	}
	return condense(lines, 0)
}

// condense makes one of all lines but the last, of most spans if they can be joined.
func condense(lines []Contents, most int) []Contents {
	last, first := len(lines)-1, &lines[0]
	for _, c := range lines[1:last] {
		for _, s := range c.Spans {
			first.Spans = AddSpan(first.Spans, s)
		}
		first.Unordered = first.Unordered || c.Unordered
		first.Through, first.Last = c.Through, c.Last
	}
	if n := len(first.Spans); n > most {
		first.Spans = collapse(first.Spans)
		first.Unordered = first.Unordered || len(first.Spans) < n || most > 0
	}
	return []Contents{lines[0], lines[last]}
}

// Join makes one File of the lines about it, but for its Bytes.
func Join(lines []Contents) File {
	f := File{Name: lines[0].File, First: time.Unix(lines[0].First, 0).UTC(), Last: time.Unix(lines[len(lines)-1].Last, 0).UTC()}
	for _, c := range lines {
		f.Unordered = f.Unordered || c.Unordered
		for _, s := range c.Spans {
			f.Spans = AddSpan(f.Spans, s)
			f.Entries += s.Count
			f.Raw += s.Bytes
		}
	}
	if len(f.Spans) > maxSpans {
		f.Spans, f.Unordered = collapse(f.Spans), true
	}
	return f
}

// collapse joins the spans of each hour and stream, whatever stood between them. The numbers of a stream only grow in a file, but for
// what came late: that keeps spans of its own.
func collapse(spans []Span) []Span {
	slices.SortStableFunc(spans, func(a, b Span) int {
		return cmp.Or(cmp.Compare(a.Hour, b.Hour), bytes.Compare(a.Stream[:], b.Stream[:]), cmp.Compare(a.First, b.First))
	})
	joined := spans[:0]
	for _, s := range spans {
		joined = AddSpan(joined, s)
	}
	return slices.Clip(joined)
}
