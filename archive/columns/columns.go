// Package columns writes log lines as Parquet (github.com/parquet-go/parquet-go).
//
//	lines ─► fields of the format ─► rows ─► a row group of some 100,000, sorted by time ─► zstd ─► file
//
// Columns: line, arrival (when its block was received), source, file and number (of the line in the file), and the
// fields of the format: time, status, bytes and duration (in seconds) in their own types, all others as text. If a line
// lacks a field, or has another format, the value is null.
//
// Limitations: the rows of one row group are held in memory.
package columns

import (
	"cmp"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// groupRows is the most rows of a row group.
const groupRows = 100_000

// Row is a line.
type Row struct {
	Line    []byte // retained until the row group is written
	Arrival time.Time
	Source  string
	Number  int64
	Time    time.Time // of the line itself; zero = not known
	Values  []string  // of the fields, "" = none
}

// Writer writes one file. Not safe for concurrent use.
type Writer struct {
	file   string
	fields []string
	place  map[string]int // of columns
	w      *parquet.GenericWriter[any]
	rows   []Row
	cells  []parquet.Value
	out    []parquet.Row
	Rows   int64 // that were added
}

// few are the fields that have few values, as a rule: they are written by dictionary, which costs others more than it
// saves.
var few = []string{"method", "protocol", "user", "agent", "app", "level"}

// own are the columns beside the fields.
var own = []string{"arrival", "file", "line", "number", "source", "time"}

// New returns a Writer for the lines of another file; about goes into the metadata.
func New(w io.Writer, file string, fields []string, about map[string]string) *Writer {
	group := parquet.Group{}
	text := parquet.Optional(parquet.String())
	for _, f := range fields {
		switch f {
		case "time":
		case "status":
			group[f] = parquet.Optional(parquet.Int(32))
		case "bytes":
			group[f] = parquet.Optional(parquet.Int(64))
		case "duration":
			group[f] = parquet.Optional(parquet.Leaf(parquet.DoubleType))
		default:
			if group[f] = text; slices.Contains(few, f) {
				group[f] = parquet.Encoded(text, &parquet.RLEDictionary)
			}
		}
	}
	moment := parquet.Optional(parquet.Timestamp(parquet.Millisecond))
	group["arrival"], group["time"] = moment, moment
	group["file"] = parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
	group["source"] = parquet.Encoded(text, &parquet.RLEDictionary)
	group["number"] = parquet.Int(64)
	group["line"] = parquet.String()
	schema := parquet.NewSchema("log", group)
	options := []parquet.WriterOption{
		schema, parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}), parquet.CreatedBy("inkwell", "", ""),
	}
	for k, v := range about {
		options = append(options, parquet.KeyValueMetadata(k, v))
	}
	c := &Writer{file: file, place: make(map[string]int), w: parquet.NewGenericWriter[any](w, options...)}
	for i, path := range schema.Columns() {
		c.place[path[0]] = i
	}
	for _, f := range fields {
		if !slices.Contains(own, f) {
			c.fields = append(c.fields, f)
		} else {
			c.fields = append(c.fields, "")
		}
	}
	return c
}

// Add adds a row.
func (c *Writer) Add(r Row) error {
	c.rows = append(c.rows, r)
	c.Rows++
	if len(c.rows) < groupRows {
		return nil
	}
	return c.flush()
}

// flush writes a row group.
func (c *Writer) flush() error {
	slices.SortStableFunc(c.rows, func(a, b Row) int { return cmp.Compare(order(&a), order(&b)) })
	width := len(c.place)
	if need := len(c.rows) * width; cap(c.cells) < need {
		c.cells = make([]parquet.Value, need)
	}
	c.out = c.out[:0]
	for i := range c.rows {
		cells := c.cells[i*width : (i+1)*width : (i+1)*width]
		c.fill(cells, &c.rows[i])
		c.out = append(c.out, cells)
	}
	c.rows = c.rows[:0]
	if _, err := c.w.WriteRows(c.out); err != nil {
		return err
	}
	return c.w.Flush()
}

// order is the key by which rows are sorted: their own time, or else when they were received.
func order(r *Row) int64 {
	if r.Time.IsZero() {
		return r.Arrival.UnixMilli()
	}
	return r.Time.UnixMilli()
}

// fill sets the cells of a row.
func (c *Writer) fill(cells []parquet.Value, r *Row) {
	for i := range cells {
		cells[i] = parquet.NullValue().Level(0, 0, i)
	}
	set := func(name string, v parquet.Value, level int) {
		k := c.place[name]
		cells[k] = v.Level(0, level, k)
	}
	set("line", parquet.ByteArrayValue(valid(r.Line)), 0)
	set("number", parquet.Int64Value(r.Number), 0)
	set("file", parquet.ByteArrayValue([]byte(c.file)), 0)
	if !r.Arrival.IsZero() {
		set("arrival", parquet.Int64Value(r.Arrival.UnixMilli()), 1)
	}
	if !r.Time.IsZero() {
		set("time", parquet.Int64Value(r.Time.UnixMilli()), 1)
	}
	if r.Source != "" && r.Source != "-" {
		set("source", parquet.ByteArrayValue([]byte(r.Source)), 1)
	}
	for i, f := range c.fields {
		if f == "" || i >= len(r.Values) || r.Values[i] == "" {
			continue
		}
		if v, ok := typed(f, r.Values[i]); ok {
			set(f, v, 1)
		}
	}
}

// typed converts the text of a field to the field's type.
func typed(field, text string) (v parquet.Value, ok bool) {
	switch field {
	case "status":
		n, err := strconv.ParseInt(text, 10, 32)
		return parquet.Int32Value(int32(n)), err == nil
	case "bytes":
		n, err := strconv.ParseInt(text, 10, 64)
		return parquet.Int64Value(n), err == nil
	case "duration":
		d, err := strconv.ParseFloat(text, 64)
		if !strings.Contains(text, ".") {
			d /= 1e6
		}
		return parquet.DoubleValue(d), err == nil
	}
	return parquet.ByteArrayValue(valid([]byte(text))), true
}

// valid returns text as valid UTF-8, which Parquet strings must be.
func valid(text []byte) []byte {
	if utf8.Valid(text) {
		return text
	}
	return []byte(strings.ToValidUTF8(string(text), "\ufffd"))
}

// Close ends the file.
func (c *Writer) Close() error {
	if len(c.rows) > 0 {
		if err := c.flush(); err != nil {
			return err
		}
	}
	return c.w.Close()
}
