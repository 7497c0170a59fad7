// Package columns writes log lines as Parquet (github.com/parquet-go/parquet-go).
//
//	lines, in their order ─► fields of the format ─► columns of a row group of some 100,000 ─► zstd ─► file
//
// Columns: line, arrival (when its block was received), source, file and number (of the line in the file), and the
// fields of the format: time, status, bytes and duration (in seconds) in their own types, all others as text. If a line
// lacks a field, or has another format, the value is null.
//
// A Group is filled and encoded without an allocation for each row, and several of them beside each other; a Writer puts
// them behind each other.
//
// Limitations: the rows of the groups that are being made are held in memory.
package columns

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// GroupRows is how many rows a row group has, about: as many as its owner puts in.
const GroupRows = 100_000

// Row is a line.
type Row struct {
	Line    []byte // retained until the group ends, as Source and Values are
	Arrival time.Time
	Source  []byte // nil = not known
	Number  int64
	Time    time.Time // of the line itself; zero = not known
	Values  [][]byte  // of the fields, nil = none
}

// Writer writes one file. Its groups are filled and encoded beside each other; all else is for one goroutine.
type Writer struct {
	file   []byte
	fields []field
	place  places
	nulls  []parquet.Value // of each column
	w      *parquet.GenericWriter[any]
	Rows   int64 // that were committed

	mu   sync.Mutex                          // guards w and what follows
	free []*parquet.ConcurrentRowGroupWriter // of groups that were committed, with their memory
}

// field is one of the format.
type field struct {
	kind   kind
	column int // -1: it is no column of its own
}

// kind is how a field is written.
type kind int

const (
	text kind = iota
	status
	size
	duration
)

// kinds are those of the fields that are not text.
var kinds = map[string]kind{"status": status, "bytes": size, "duration": duration}

// node is the column of a kind.
func (k kind) node() parquet.Node {
	switch k {
	case status:
		return parquet.Int(32)
	case size:
		return parquet.Int(64)
	case duration:
		return parquet.Leaf(parquet.DoubleType)
	}
	return parquet.String()
}

// places are the columns beside the fields.
type places struct{ line, number, file, arrival, time, source int }

// Group is a row group. Not safe for concurrent use.
type Group struct {
	w    *Writer
	rg   *parquet.ConcurrentRowGroupWriter
	slab *slab
	err  error
}

// slabRows is how many rows are given to the columns at once: few enough to stay in the cache of a core.
const slabRows = 512

// slab is the values of some rows, by column.
type slab struct {
	columns [][]parquet.Value
	rows    int
}

// slabs lends slabs, each with memory.
var slabs = sync.Pool{New: func() any { return new(slab) }}

// codec is that of all files, and keeps its encoders.
var codec = &zstd.Codec{Level: zstd.SpeedFastest}

// few are the fields that have few values, as a rule: they are written by dictionary, which costs others more than it
// saves.
var few = []string{"referer", "method", "protocol", "user", "agent", "app", "level"}

// own are the columns beside the fields.
var own = []string{"arrival", "file", "line", "number", "source", "time"}

// New returns a Writer for the lines of another file; about goes into the metadata.
func New(w io.Writer, file string, fields []string, about map[string]string) *Writer {
	group := parquet.Group{}
	for _, f := range fields {
		if group[f] = parquet.Optional(kinds[f].node()); slices.Contains(few, f) {
			group[f] = parquet.Encoded(group[f], &parquet.RLEDictionary)
		}
	}
	moment := parquet.Optional(parquet.Timestamp(parquet.Millisecond))
	group["arrival"], group["time"] = moment, moment
	group["file"] = parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
	group["source"] = parquet.Encoded(parquet.Optional(parquet.String()), &parquet.RLEDictionary)
	group["number"] = parquet.Int(64)
	group["line"] = parquet.String()
	schema := parquet.NewSchema("log", group)
	options := []parquet.WriterOption{schema, parquet.Compression(codec), parquet.CreatedBy("inkwell", "", "")}
	for _, f := range group.Fields() { // nobody looks for text by the least and the largest of a page, and it is not sorted
		if f.Type().Kind() == parquet.ByteArray {
			options = append(options, parquet.SkipPageBounds(f.Name()), parquet.SkipPageStatistics(f.Name()))
		}
	}
	for k, v := range about {
		options = append(options, parquet.KeyValueMetadata(k, v))
	}
	c := &Writer{file: []byte(file), w: parquet.NewGenericWriter[any](w, options...)}
	place := make(map[string]int)
	for i, path := range schema.Columns() {
		place[path[0]] = i
		c.nulls = append(c.nulls, parquet.NullValue().Level(0, 0, i))
	}
	c.place = places{place["line"], place["number"], place["file"], place["arrival"], place["time"], place["source"]}
	for _, f := range fields {
		one := field{kinds[f], -1}
		if !slices.Contains(own, f) {
			one.column = place[f]
		}
		c.fields = append(c.fields, one)
	}
	return c
}

// Begin begins a row group. Safe for concurrent use.
func (c *Writer) Begin() *Group {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := &Group{w: c, slab: slabs.Get().(*slab)}
	if k := len(c.free) - 1; k >= 0 {
		g.rg, c.free = c.free[k], c.free[:k]
	} else {
		g.rg = c.w.BeginRowGroup()
	}
	g.slab.columns = slices.Grow(g.slab.columns[:0], len(c.nulls))[:len(c.nulls)]
	for i := range g.slab.columns {
		g.slab.columns[i] = slices.Grow(g.slab.columns[i][:0], slabRows)[:slabRows]
	}
	g.clear()
	return g
}

// clear makes all values null.
func (g *Group) clear() {
	g.slab.rows = 0
	for i, column := range g.slab.columns {
		for k := range column {
			column[k] = g.w.nulls[i]
		}
	}
}

// Add adds a row behind the others.
func (g *Group) Add(r *Row) {
	w, k := g.w, g.slab.rows
	columns := g.slab.columns
	set := func(column int, v parquet.Value, level int) {
		to := &columns[column][k]
		v.SetDefinitionLevel(level)
		*to = v
	}
	set(w.place.line, parquet.ByteArrayValue(valid(r.Line)), 0)
	set(w.place.number, parquet.Int64Value(r.Number), 0)
	set(w.place.file, parquet.ByteArrayValue(w.file), 0)
	if !r.Arrival.IsZero() {
		set(w.place.arrival, parquet.Int64Value(r.Arrival.UnixMilli()), 1)
	}
	if !r.Time.IsZero() {
		set(w.place.time, parquet.Int64Value(r.Time.UnixMilli()), 1)
	}
	if r.Source != nil {
		set(w.place.source, parquet.ByteArrayValue(r.Source), 1)
	}
	for i, value := range r.Values {
		f := &w.fields[i]
		if f.column < 0 || len(value) == 0 {
			continue
		}
		if v, ok := f.kind.value(value); ok {
			set(f.column, v, 1)
		}
	}
	if g.slab.rows++; g.slab.rows == slabRows {
		g.flush()
	}
}

// flush gives the rows of the slab to the columns, which copy them.
func (g *Group) flush() {
	columns := g.rg.ColumnWriters()
	for i, values := range g.slab.columns {
		if g.err == nil {
			_, g.err = columns[i].WriteRowValues(values[:g.slab.rows])
		}
	}
	g.clear()
}

// End makes the last pages. The group is not used any more, but for Commit.
func (g *Group) End() error {
	g.flush()
	slabs.Put(g.slab)
	g.slab = nil
	for _, column := range g.rg.ColumnWriters() {
		if g.err == nil {
			g.err = column.Flush()
		}
	}
	return g.err
}

// Commit writes a group that has ended behind those before it.
func (c *Writer) Commit(g *Group) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := g.rg.Commit()
	if c.Rows += n; err == nil {
		c.free = append(c.free, g.rg)
	}
	return err
}

// value is the value of a field.
func (k kind) value(text []byte) (v parquet.Value, ok bool) {
	switch k {
	case status:
		n, err := whole(text, 32)
		return parquet.Int32Value(int32(n)), err == nil
	case size:
		n, err := whole(text, 64)
		return parquet.Int64Value(n), err == nil
	case duration:
		if n, err := whole(text, 64); err == nil {
			return parquet.DoubleValue(float64(n) / 1e6), true
		}
		d, err := strconv.ParseFloat(string(text), 64)
		if bytes.IndexByte(text, '.') < 0 {
			d /= 1e6
		}
		return parquet.DoubleValue(d), err == nil
	}
	return parquet.ByteArrayValue(valid(text)), true
}

// whole is the whole number that text is. A few digits, as most are, cost nothing.
func whole(text []byte, bits int) (n int64, err error) {
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

// valid returns text as valid UTF-8, which Parquet strings must be.
func valid(text []byte) []byte {
	if utf8.Valid(text) {
		return text
	}
	return []byte(strings.ToValidUTF8(string(text), "\ufffd"))
}

// Close ends the file.
func (c *Writer) Close() error { return c.w.Close() }
