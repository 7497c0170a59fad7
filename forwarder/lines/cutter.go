package lines

import (
	"bytes"

	"inkwell/proto"
)

// Cutter splits bytes into plain lines.
type Cutter struct {
	Category []byte
	Max      int    // bytes of a line, newline included; longer ones are split
	Prefix   []byte // put before each line, but not before a piece that continues one
	Full     int    // canonical bytes at which a batch takes no more
}

// Cut is what a Cutter took.
type Cut struct {
	Bytes   int
	Entries int
	Split   int  // lines of which the first piece was cut off
	Broken  bool // the last entry is a piece of a line that continues
}

// Take appends lines from the beginning of data to b, until only a line without a newline is left, or b is full. broken
// says that data begins within a line.
func (c Cutter) Take(b *proto.Batch, data []byte, broken bool) Cut {
	t := Cut{Broken: broken}
	for t.Bytes < len(data) && b.Size() < c.Full {
		line, prefix := data[t.Bytes:], c.Prefix
		if t.Broken {
			prefix = nil
		}
		end := bytes.IndexByte(line[:min(len(line), c.Max)], '\n')
		switch {
		case end >= 0:
			line = line[:end+1]
			t.Broken = false
		case len(line) < c.Max:
			return t
		default:
			line = line[:c.Max]
			if !t.Broken {
				t.Split++
			}
			t.Broken = true
		}
		b.AppendPrefixed(c.Category, prefix, line)
		t.Bytes += len(line)
		t.Entries++
	}
	return t
}
