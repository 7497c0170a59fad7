package forwarder

import (
	"bytes"

	"inkwell/proto"
)

const (
	parcelFull  = 3 << 20 // a parcel of that many canonical bytes takes no more lines; it exceeds that by one line at most
	parcelKeep  = 8 << 20 // memory kept for the next use
	chunkSize   = 256 << 10
	defaultLine = 16 << 20
)

// parcel is what goes from the one that reads to the one that ships: a batch and the positions that hold once it is acknowledged.
type parcel struct {
	seq       uint64 // no two fillings have the same
	batch     proto.Batch
	bytes     int64 // of the files or the pipe
	positions []position
	born      []position // of generations that get a stream with it: durable before it is sent
	closed    bool       // takes no more lines: see close
}

func (p *parcel) empty() bool { return p.batch.Count() == 0 && len(p.positions) == 0 }

// close keeps further lines out of the parcel, because what it says of one file explains what another holds: a copy, a rotated file that
// is not to be read. A stream that was born with it would be durable before that, and a forwarder that was killed then would read the
// other file as one that it had missed.
func (p *parcel) close() { p.closed = true }

func (p *parcel) reset(seq uint64) {
	if p.batch.Size() > parcelKeep {
		p.batch = proto.Batch{}
	}
	p.batch.Reset()
	p.seq, p.bytes, p.positions, p.born, p.closed = seq, 0, p.positions[:0], p.born[:0], false
}

// cutter cuts bytes into lines.
type cutter struct {
	category []byte
	max      int // bytes of a line, newline included; longer ones are split
	full     int // canonical bytes at which a batch takes no more
}

// cut is what a cutter took.
type cut struct {
	bytes   int
	entries int
	split   int  // lines that were begun to be split
	broken  bool // the last entry is a piece of a line that goes on
	rest    bool // it is a line without an end, and may still get one
}

// take appends the lines that begin data to b, until it is full. What is left of data then is a line without an end, or b is full.
// broken says that data begins within a line.
func (c *cutter) take(b *proto.Batch, data []byte, broken bool) cut {
	t := cut{broken: broken}
	for t.bytes < len(data) && b.Size() < c.full {
		line := data[t.bytes:]
		end := bytes.IndexByte(line[:min(len(line), c.max)], '\n')
		switch {
		case end >= 0:
			line = line[:end+1]
			t.broken = false
		case len(line) < c.max:
			return t
		default:
			line = line[:c.max]
			if !t.broken {
				t.split++
			}
			t.broken = true
		}
		b.Append(c.category, line)
		t.bytes += len(line)
		t.entries++
	}
	return t
}
