package columns

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"runtime"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// A page ends when it has so many bytes of text, or rows.
const (
	pageBytes = 1 << 20
	pageRows  = 1 << 17
)

// encoder makes pages. Not safe for concurrent use.
type encoder struct {
	ints   []int32
	levels []byte // of a page
	values []byte
	packed []byte // the values, compressed
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

// compressor is that of all pages. It is safe for concurrent use.
var compressor = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false),
		zstd.WithEncoderConcurrency(2*runtime.GOMAXPROCS(0)))
})

// ones are the levels of rows that all have values.
var ones = bytes.Repeat([]byte{1}, pageRows)

// end makes the pages of rows. Memory that was needed for the values is kept, for the next group.
func (c *chunk) end(rows int, e *encoder) error {
	if c.rows < rows {
		c.pad(rows)
	}
	if c.repeated && c.count > 0 {
		if err := c.dictionaryPage(e); err != nil {
			return err
		}
	}
	for p := (page{}); p.row < rows; p = (page{row: p.row + p.rows, value: p.value + p.values}) {
		c.fill(&p)
		if err := c.dataPage(e, p); err != nil {
			return err
		}
	}
	return nil
}

// page is a part of a chunk.
type page struct {
	row, rows     int // the first, and how many
	value, values int // of these rows
}

// fill finds how many rows the page has.
func (c *chunk) fill(p *page) {
	p.rows = min(c.rows-p.row, pageRows)
	p.values = p.rows
	if len(c.levels) == 0 && len(c.texts) == 0 {
		return
	}
	rows, bytes := p.rows, 0
	for p.rows, p.values = 0, 0; p.rows < rows && bytes < pageBytes; p.rows++ {
		if len(c.levels) > 0 && c.levels[p.row+p.rows] == 0 {
			continue
		}
		if len(c.texts) > 0 {
			bytes += len(c.texts[p.value+p.values])
		}
		p.values++
	}
}

// dictionaryPage makes the page of the dictionary.
func (c *chunk) dictionaryPage(e *encoder) error {
	e.values = append(e.values[:0], c.plain...)
	if c.kind == status { // a number of 32 bits
		e.values = e.values[:0]
		for k := range c.starts {
			e.values = c.appendNumber(e.values, c.number(int32(k)))
		}
	}
	h := format.PageHeader{Type: format.DictionaryPage}
	h.DictionaryPageHeader.Set(format.DictionaryPageHeader{
		NumValues: int32(len(c.starts)), Encoding: format.Plain,
	})
	e.levels = e.levels[:0]
	if err := c.add(e, &h); err != nil {
		return err
	}
	c.first = len(c.pages)
	c.encodings = append(c.encodings, format.Plain)
	return nil
}

// dataPage makes a page.
func (c *chunk) dataPage(e *encoder, p page) (err error) {
	v2 := format.DataPageHeaderV2{NumValues: int32(p.rows), NumNulls: int32(p.rows - p.values), NumRows: int32(p.rows)}
	if v2.Encoding, err = c.encode(e, p); err != nil {
		return err
	}
	e.levels = e.levels[:0]
	if c.optional {
		levels := ones[:p.rows]
		if len(c.levels) > 0 {
			levels = c.levels[p.row : p.row+p.rows]
		}
		if e.levels, err = (&rle.Encoding{BitWidth: 1}).EncodeLevels(e.levels, levels); err != nil {
			return err
		}
	}
	v2.DefinitionLevelsByteLength = int32(len(e.levels))
	v2.IsCompressed.Set(p.values > 0)
	v2.Statistics.NullCount = int64(v2.NumNulls)
	h := format.PageHeader{Type: format.DataPageV2}
	h.DataPageHeaderV2.Set(v2)
	if !slices.Contains(c.encodings, v2.Encoding) {
		c.encodings = append(c.encodings, v2.Encoding)
	}
	return c.add(e, &h)
}

// encode makes the values of a page.
func (c *chunk) encode(e *encoder, p page) (as format.Encoding, err error) {
	var numbers []int64
	if len(c.numbers) > 0 {
		numbers = c.numbers[p.value : p.value+p.values]
	}
	e.values = e.values[:0]
	switch {
	case p.values == 0:
		return format.Plain, nil
	case c.repeated:
		e.values, err = new(rle.DictionaryEncoding).EncodeInt32(e.values, c.indexes[p.value:p.value+p.values])
		return format.RLEDictionary, err
	case c.kind == duration:
		for _, n := range numbers {
			e.values = c.appendNumber(e.values, n)
		}
		return format.Plain, nil
	case c.kind == status:
		e.ints = e.ints[:0]
		for _, n := range numbers {
			e.ints = append(e.ints, int32(n))
		}
		e.values, err = new(delta.BinaryPackedEncoding).EncodeInt32(e.values, e.ints)
		return format.DeltaBinaryPacked, err
	case c.kind != text && c.kind != lines:
		e.values, err = new(delta.BinaryPackedEncoding).EncodeInt64(e.values, numbers)
		return format.DeltaBinaryPacked, err
	}
	return format.DeltaLengthByteArray, e.encodeTexts(c.texts[p.value : p.value+p.values])
}

// encodeTexts makes the values of a page of text: the lengths, and the bytes behind each other.
func (e *encoder) encodeTexts(texts [][]byte) (err error) {
	e.ints = e.ints[:0]
	for _, v := range texts {
		e.ints = append(e.ints, int32(len(v)))
	}
	if e.values, err = new(delta.BinaryPackedEncoding).EncodeInt32(e.values, e.ints); err != nil {
		return err
	}
	lengths := len(e.values)
	for _, v := range texts {
		e.values = append(e.values, v...)
	}
	if areValid(texts, e.values[lengths:]) {
		return nil
	}
	for i, v := range texts {
		texts[i] = valid(v)
	}
	e.values = e.values[:0]
	return e.encodeTexts(texts)
}

// areValid says whether texts, which are joined, are UTF-8 each.
func areValid(texts [][]byte, joined []byte) bool {
	if isASCII(joined) {
		return true
	}
	return utf8.Valid(joined) && !slices.ContainsFunc(texts, func(v []byte) bool {
		return len(v) > 0 && !utf8.RuneStart(v[0]) // a character that goes on from one to the next
	})
}

// isASCII looks at 32 bytes at once.
func isASCII(text []byte) bool {
	var all uint64
	for ; len(text) >= 32; text = text[32:] {
		all |= binary.LittleEndian.Uint64(text) | binary.LittleEndian.Uint64(text[8:]) |
			binary.LittleEndian.Uint64(text[16:]) | binary.LittleEndian.Uint64(text[24:])
	}
	for _, c := range text {
		all |= uint64(c)
	}
	return all&0x8080808080808080 == 0
}

// valid returns text as valid UTF-8, which Parquet strings must be.
func valid(text []byte) []byte {
	if utf8.Valid(text) {
		return text
	}
	return bytes.ToValidUTF8(text, []byte("\ufffd"))
}

// add adds the page of the levels and values of e behind the others.
func (c *chunk) add(e *encoder, h *format.PageHeader) error {
	e.packed = e.packed[:0]
	if len(e.values) > 0 {
		z, err := compressor()
		if err != nil {
			return err
		}
		e.packed = z.EncodeAll(e.values, e.packed)
	}
	h.UncompressedPageSize = int32(len(e.levels) + len(e.values))
	h.CompressedPageSize = int32(len(e.levels) + len(e.packed))
	h.CRC = int32(crc32.Update(crc32.ChecksumIEEE(e.levels), crc32.IEEETable, e.packed))
	header, err := thrift.Marshal(new(thrift.CompactProtocol), h)
	if err != nil {
		return err
	}
	c.pages = append(append(append(c.pages, header...), e.levels...), e.packed...)
	c.raw += int64(len(header)) + int64(h.UncompressedPageSize)
	return nil
}
