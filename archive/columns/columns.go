// Package columns writes log lines as Parquet.
//
//	lines, in their order ─► fields of the format ─► chunks: the columns of a row group of some 100,000 ─► pages ─► file
//
// Columns: line, arrival (when its block was received), source, file and number (of the line in the file), and the
// fields of the format: time, status, bytes and duration (in seconds) in their own types, all others as text. If a line
// lacks a field, or has another format, the value is null.
//
// How values are encoded is a matter of what they are. Text and numbers go by a dictionary as long as values repeat;
// text that does not, as the lines, is its lengths and then its bytes (DELTA_LENGTH_BYTE_ARRAY), numbers are differences
// (DELTA_BINARY_PACKED). Pages are of the second version and compressed with zstd. The encodings and the metadata are
// those of github.com/parquet-go/parquet-go; its writer is not used, which would copy each value three times.
//
// A Group is filled and encoded without an allocation for each row, and several of them beside each other; a Writer puts
// them behind each other.
//
// Limitations: the rows of the groups that are being made are held in memory.
package columns

import (
	"encoding/binary"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
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
	file    []byte
	columns []column // in the order of the schema
	fields  []int    // of each field, which column it is; -1: it is no column of its own
	place   places
	w       io.Writer
	at      int64 // where the file ends
	meta    format.FileMetaData
	Rows    int64 // that were committed
}

// column is a column of the file.
type column struct {
	name     string
	kind     kind
	optional bool
}

// kind is what the values of a column are.
type kind int

const (
	text     kind = iota // by dictionary, if values repeat
	lines                // text of which no two are alike
	status               // 32 bits
	size                 // 64 bits
	duration             // seconds, as a float
	moment               // milliseconds since 1970
	ordinal              // a number that is greater by one in each row, about
)

// kinds are those of the fields that are not text.
var kinds = map[string]kind{"status": status, "bytes": size, "duration": duration}

// own are the columns beside the fields.
var own = map[string]column{
	"line":    {"line", lines, false},
	"number":  {"number", ordinal, false},
	"file":    {"file", text, false},
	"arrival": {"arrival", moment, true},
	"time":    {"time", moment, true},
	"source":  {"source", text, true},
}

// places are where the own columns are.
type places struct{ line, number, file, arrival, time, source int }

// node describes the type of a column.
func (c column) node() parquet.Node {
	switch c.kind {
	case status:
		return parquet.Int(32)
	case size, ordinal:
		return parquet.Int(64)
	case duration:
		return parquet.Leaf(parquet.DoubleType)
	case moment:
		return parquet.Timestamp(parquet.Millisecond)
	}
	return parquet.String()
}

// element describes the column in the schema.
func (c column) element() format.SchemaElement {
	e := format.SchemaElement{Name: c.name}
	e.RepetitionType.Set(format.Required)
	if c.optional {
		e.RepetitionType.Set(format.Optional)
	}
	t := c.node().Type()
	e.Type.Set(*t.PhysicalType())
	if logical := t.LogicalType(); logical != nil {
		e.LogicalType = *logical
	}
	if converted := t.ConvertedType(); converted != nil {
		e.ConvertedType.Set(*converted)
	}
	return e
}

// magic is how a file begins and ends.
const magic = "PAR1"

// New returns a Writer for the lines of another file; about goes into the metadata.
func New(w io.Writer, file string, fields []string, about map[string]string) *Writer {
	all := maps.Clone(own)
	for _, f := range fields {
		if _, there := own[f]; !there {
			all[f] = column{f, kinds[f], true}
		}
	}
	names := slices.Sorted(maps.Keys(all))
	c := &Writer{file: []byte(file), w: w}
	c.meta = format.FileMetaData{Version: 2, CreatedBy: "inkwell"}
	root := format.SchemaElement{Name: "log"}
	root.NumChildren.Set(int32(len(names)))
	c.meta.Schema = append(c.meta.Schema, root)
	for _, name := range names {
		c.columns = append(c.columns, all[name])
		c.meta.Schema = append(c.meta.Schema, all[name].element())
		c.meta.ColumnOrders = append(c.meta.ColumnOrders, format.ColumnOrder{Value: new(format.TypeDefinedOrder)})
	}
	for _, key := range slices.Sorted(maps.Keys(about)) {
		c.meta.KeyValueMetadata = append(c.meta.KeyValueMetadata, format.KeyValue{Key: key, Value: about[key]})
	}
	place := func(name string) int { return slices.Index(names, name) }
	c.place = places{place("line"), place("number"), place("file"), place("arrival"), place("time"), place("source")}
	for _, f := range fields {
		k := place(f)
		if _, there := own[f]; there {
			k = -1
		}
		c.fields = append(c.fields, k)
	}
	return c
}

// write writes behind what was written.
func (c *Writer) write(data []byte) error {
	n, err := c.w.Write(data)
	c.at += int64(n)
	return err
}

// begin writes what is in front of the first group.
func (c *Writer) begin() error {
	if c.at > 0 {
		return nil
	}
	return c.write([]byte(magic))
}

// Commit writes a group that has ended behind those before it.
func (c *Writer) Commit(g *Group) error {
	if err := c.begin(); err != nil {
		return err
	}
	group := format.RowGroup{NumRows: int64(g.rows), FileOffset: c.at, Ordinal: int16(len(c.meta.RowGroups))}
	for i := range g.chunks {
		chunk := &g.chunks[i]
		meta := chunk.meta(c.at)
		group.TotalByteSize += meta.TotalUncompressedSize
		group.TotalCompressedSize += meta.TotalCompressedSize
		group.Columns = append(group.Columns, format.ColumnChunk{MetaData: meta})
		if err := c.write(chunk.pages); err != nil {
			return err
		}
	}
	c.meta.RowGroups = append(c.meta.RowGroups, group)
	c.Rows += int64(g.rows)
	g.release()
	return nil
}

// Close ends the file.
func (c *Writer) Close() error {
	if err := c.begin(); err != nil {
		return err
	}
	c.meta.NumRows = c.Rows
	footer, err := thrift.Marshal(new(thrift.CompactProtocol), &c.meta)
	if err != nil {
		return err
	}
	footer = binary.LittleEndian.AppendUint32(footer, uint32(len(footer)))
	return c.write(append(footer, magic...))
}

// spare lends groups, with the memory of their chunks. Groups of all files share it.
var spare = sync.Pool{New: func() any { return new(Group) }}
