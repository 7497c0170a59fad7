package proto

import (
	"encoding/binary"
	"math"
	"slices"
)

func notCanonical(data []byte, end, count int) error {
	return malformed("entry %d, at byte %d of %d, is not canonical", count, end, len(data))
}

// scan walks over at most limit canonical entries at the front of data. It returns the offset at which it stopped and
// the number of entries. Unless runs is nil, the runs of the entries are appended to it.
func scan(data []byte, limit int, runs *[]run) (end, count int) {
	const (
		category = 0x0b0001 // type and id of a field, above a length and the byte behind it
		message  = 0x0b0002
	)
	p := data
	for count < limit && len(p) >= EntryOverhead {
		head := binary.BigEndian.Uint64(p)
		n := int(head >> 8 & math.MaxUint32)
		if head>>40 != category || n > min(len(p)-EntryOverhead, math.MaxInt32) {
			break
		}
		q := p[7+n:] // 8 bytes at least
		head = binary.BigEndian.Uint64(q)
		m := int(head >> 8 & math.MaxUint32)
		if head>>40 != message || m > min(len(q)-8, math.MaxInt32) || q[7+m] != typeStop {
			break
		}
		if runs != nil {
			*runs = appendRun(*runs, data, run{at: len(data) - len(p) + categoryAt, n: n, count: 1, bytes: int64(m)})
		}
		p = q[8+m:]
		count++
	}
	return len(data) - len(p), count
}

// DecodeLog decodes the arguments of a Log call into b and returns the bytes after the call (a frame can hold several
// calls). Canonical entries are not copied: b aliases args then. Other entries are encoded canonically in b's own
// memory, which never exceeds twice the size of args. After an error, which wraps ErrMalformed, b is empty.
func DecodeLog(args []byte, b *Batch) (rest []byte, err error) {
	b.Reset()
	d := decoder{args}
	for {
		typ, id, err := d.field()
		switch {
		case err != nil:
		case typ == typeStop:
			if err = b.checkSpans(); err == nil {
				return d.data, nil
			}
		case typ == typeList && id == 1:
			err = d.entries(b)
		case typ == typeList && id == 2:
			err = d.spans(b)
		case typ == typeList && id == 3:
			err = d.namings(b)
		case typ == typeString && id == 4:
			if b.report, err = d.bytes(); len(b.report) > MaxReport {
				b.report = nil
			}
		case typ == typeI32 && id == 5:
			var v int32
			v, err = d.i32()
			b.asks = v != 0
		default:
			err = d.skip(typ, maxDepth)
		}
		if err != nil {
			b.Reset()
			return nil, err
		}
	}
}

// LogCount returns the number of entries that the arguments of a Log call announce, without decoding them. The list
// comes first in what every client writes; if it does not, LogCount returns 0.
func LogCount(args []byte) int {
	d := decoder{args}
	if typ, id, err := d.field(); err != nil || typ != typeList || id != 1 {
		return 0
	}
	n, err := d.list(typeStruct)
	if err != nil {
		return 0
	}
	return n
}

// entries reads the list of entries into b, replacing its own.
func (d *decoder) entries(b *Batch) error {
	n, err := d.list(typeStruct)
	if err != nil {
		return err
	}
	b.runs, b.blind = b.runs[:0], false
	end, count := scan(d.data, n, &b.runs)
	b.alias(d.data[:end:end], count)
	if count == n {
		d.data = d.data[end:]
		return nil
	}
	return d.recode(b, n)
}

// recode reads a list of n entries into b's own memory, for lists that are not entirely canonical.
func (d *decoder) recode(b *Batch, n int) error {
	limit := 2*len(d.data) + 4096 // only entries without any field, 1 byte each, come to more
	d.data = d.data[len(b.data):]
	b.own()
	b.data = slices.Grow(b.data, len(d.data))
	for b.count < n {
		category, message, err := d.entry()
		if err != nil {
			return err
		}
		if len(b.data) > limit-EntryOverhead-len(category)-len(message) {
			return malformed("a list of %d entries, nearly all without any field", n)
		}
		b.Append(category, message)
	}
	return nil
}

// entry reads one entry with its fields in any order.
func (d *decoder) entry() (category, message []byte, err error) {
	for {
		typ, id, err := d.field()
		switch {
		case err != nil || typ == typeStop:
			return category, message, err
		case typ == typeString && id == 1:
			category, err = d.bytes()
		case typ == typeString && id == 2:
			message, err = d.bytes()
		default:
			err = d.skip(typ, maxDepth)
		}
		if err != nil {
			return nil, nil, err
		}
	}
}

// spans reads the list of spans into b, replacing its own.
func (d *decoder) spans(b *Batch) error {
	n, err := d.list(typeStruct)
	if err != nil {
		return err
	}
	b.ClearSpans()
	for range n {
		s, err := d.span()
		if err != nil {
			return err
		}
		if s.Count > 0 {
			b.AppendSpan(s)
		}
	}
	return nil
}

func (d *decoder) span() (s Span, err error) {
	var stream []byte
	for {
		typ, id, err := d.field()
		switch {
		case err != nil:
		case typ == typeStop && (len(stream) != len(s.Stream) || s.Count < 0):
			err = malformed("a span of %d entries of a stream with a name of %d bytes", s.Count, len(stream))
		case typ == typeStop && (s.First < 0 || s.First > math.MaxInt64-int64(s.Count)):
			err = malformed("a span of %d entries from number %d", s.Count, s.First)
		case typ == typeStop:
			copy(s.Stream[:], stream)
			return s, nil
		case typ == typeString && id == 1:
			stream, err = d.bytes()
		case typ == typeI64 && id == 2:
			s.First, err = d.i64()
		case typ == typeI32 && id == 3:
			s.Count, err = d.i32()
		default:
			err = d.skip(typ, maxDepth)
		}
		if err != nil {
			return Span{}, err
		}
	}
}
