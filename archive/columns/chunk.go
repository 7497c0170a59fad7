package columns

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/parquet-go/parquet-go/format"
)

// chunk is the values of a column in a row group.
type chunk struct {
	column
	rows   int     // so far; those behind the last with a value are not counted
	count  int     // of them have a value
	levels []uint8 // of each row: 1 = it has a value; empty: all have one, so far

	// The values: in one of these. A float is a number by its bits.
	repeated bool // in the dictionary
	dictionary
	texts   [][]byte
	numbers []int64

	pages     []byte // with their headers
	first     int    // where the first page is that is not of the dictionary
	raw       int64  // bytes of the pages as if they were not compressed
	encodings []format.Encoding
	least     int64 // of the numbers
	most      int64
}

// begin makes the chunk one of a column, without values.
func (c *chunk) begin(of column) {
	old := *c
	*c = chunk{column: of, levels: old.levels[:0], dictionary: old.dictionary, texts: old.texts[:0],
		numbers: old.numbers[:0], pages: old.pages[:0], encodings: old.encodings[:0],
		least: math.MaxInt64, most: math.MinInt64}
	c.repeated = of.kind == text || of.kind == status || of.kind == size || of.kind == duration
	c.dictionary.clear()
}

// forget drops what the chunk retains of its rows, but not its memory.
func (c *chunk) forget() {
	clear(c.texts)
	c.texts = c.texts[:0]
}

// mark says that a row has a value, and those before it none that have got none.
func (c *chunk) mark(row int) {
	if c.rows < row {
		c.pad(row)
	}
	if c.rows++; len(c.levels) > 0 {
		c.levels = append(c.levels, 1)
	}
	c.count++
}

// pad says that the rows up to another have no value.
func (c *chunk) pad(rows int) {
	if len(c.levels) == 0 {
		c.levels = append(c.levels, slices.Repeat([]uint8{1}, c.rows)...)
	}
	for ; c.rows < rows; c.rows++ {
		c.levels = append(c.levels, 0)
	}
}

// addText adds the value of a row.
func (c *chunk) addText(row int, value []byte) {
	c.mark(row)
	if !c.repeated {
		c.texts = append(c.texts, value)
	} else if !c.dictionary.addText(value) {
		c.repeated = false
		for _, k := range c.indexes {
			c.texts = append(c.texts, c.text(k))
		}
	}
}

// addNumber adds the value of a row.
func (c *chunk) addNumber(row int, value int64) {
	if c.mark(row); c.kind != duration {
		c.least, c.most = min(c.least, value), max(c.most, value)
	}
	if !c.repeated {
		c.numbers = append(c.numbers, value)
	} else if !c.dictionary.addNumber(value) {
		c.repeated = false
		for _, k := range c.indexes {
			c.numbers = append(c.numbers, c.number(k))
		}
	}
}

// appendNumber adds a number as the column has it in the file.
func (c *chunk) appendNumber(to []byte, n int64) []byte {
	if c.kind == status {
		return binary.LittleEndian.AppendUint32(to, uint32(n))
	}
	return binary.LittleEndian.AppendUint64(to, uint64(n))
}

// meta describes the chunk, which stands at an offset of the file.
func (c *chunk) meta(at int64) format.ColumnMetaData {
	m := format.ColumnMetaData{
		Type: *c.node().Type().PhysicalType(), Encoding: slices.Clone(c.encodings), PathInSchema: []string{c.name},
		Codec: format.Zstd, NumValues: int64(c.rows), TotalUncompressedSize: c.raw,
		TotalCompressedSize: int64(len(c.pages)), DataPageOffset: at + int64(c.first),
	}
	if c.first > 0 {
		m.DictionaryPageOffset = at
	}
	m.Statistics.NullCount = int64(c.rows - c.count)
	if c.least <= c.most { // there are numbers
		m.Statistics.MinValue, m.Statistics.MaxValue = c.appendNumber(nil, c.least), c.appendNumber(nil, c.most)
	}
	return m
}
