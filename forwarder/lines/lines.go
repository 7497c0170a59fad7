// Package lines turns the bytes of a followed file into messages.
//
//	source bytes ─► source line ─► text ─────────► piece ──────────► message
//	                (newline)      (UTF-16 to      (container line   (P pieces and F joined,
//	                               UTF-8)          unpacked)         lines up to the next start)
//
// A Decoder works like a function, not like a stream: Take is given the bytes after a position, and says which messages
// they hold and what the next position is. It keeps nothing between two calls. That makes a restart exact: whatever is
// incomplete is read again from its first byte, by this process or the next one. Where a message ends is decided by the
// bytes alone (newlines, the start pattern, container times, sizes), with one exception: Chunk.End, which the caller
// must save first.
//
// A position is the source offset at which a message begins, and Ahead. Ahead matters when the lines of a container's
// two streams are interleaved. In this example a message of stdout has begun at 0 and is incomplete, while one of
// stderr is complete:
//
//	0   stdout P …
//	60  stderr F oops       complete: taken
//	90  stdout P …          the position is 0 and Ahead is 90: lines of stderr before 90 are skipped the next time
//
// Plain lines (UTF-8, no format, no multiline) need none of this: see Cutter.
package lines

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"regexp"
	"time"

	"inkwell/proto"
)

// Options say how the bytes of a file become messages. The zero value means plain lines of any bytes, and UTF-16 if
// there is a byte order mark.
type Options struct {
	Encoding Encoding
	Format   Format
	Stamp    bool          // put time and stream of a container line before the message
	Start    string        // regular expression for the first line of a message; "" = every line is a message
	MaxLines int           // lines of a message; 0 = 500
	Wait     time.Duration // after this time without new lines a message is complete; 0 = 5 s
	MaxLine  int           // bytes of a message; a longer one is split; required
	Full     int           // canonical bytes at which a batch takes no more; required
}

const (
	defaultLines = 500
	defaultWait  = 5 * time.Second

	// idleSpan is the number of bytes of the other stream after which an open message counts as complete. It bounds
	// how much is read again.
	idleSpan = 64 << 10
)

// Validate reports every problem.
func (o Options) Validate() error {
	var problems []error
	if _, err := regexp.Compile(o.Start); err != nil {
		problems = append(problems, fmt.Errorf("multiline start %q: %w", o.Start, err))
	}
	if o.Stamp && o.Format == None {
		problems = append(problems,
			errors.New("stamp needs format=auto, cri or docker: plain lines have neither time nor stream"))
	}
	if o.MaxLines < 0 || o.Wait < 0 {
		problems = append(problems, errors.New("multiline lines and wait must not be negative"))
	}
	return errors.Join(problems...)
}

// Decoder decodes the files of one input. It holds only scratch memory. Not safe for concurrent use.
type Decoder struct {
	o       Options
	start   *regexp.Regexp
	decoded []byte     // the current line, if the source is not UTF-8
	text    []byte     // of a Docker line …
	stamp   []byte     // … and its time and stream
	pending [2]message // by stream
	first   int        // the stream of the first line in the chunk; -1 = none was seen
	out     output
}

// output collects the results of one call of Take.
type output struct {
	batch *proto.Batch
	chunk Chunk
	taken Taken
}

// NewDecoder panics if o is not valid.
func NewDecoder(o Options) *Decoder {
	o.MaxLines = cmp.Or(o.MaxLines, defaultLines)
	if o.Wait == 0 {
		o.Wait = defaultWait
	}
	d := &Decoder{o: o}
	if o.Start != "" {
		d.start = regexp.MustCompile(o.Start)
	}
	return d
}

// Joins says whether a message can consist of several lines of the file. Then a quiet file may end with complete lines
// that are not taken yet; after Wait the caller passes a Chunk with End.
func (d *Decoder) Joins() bool { return d.o.Format != None || d.start != nil }

// Plain says whether a file of that encoding consists of plain lines.
func (d *Decoder) Plain(e Encoding) bool { return !d.Joins() && !e.wide() }

// Wait is how long a file has to be quiet before its last message is complete.
func (d *Decoder) Wait() time.Duration { return d.o.Wait }

// Encoding is the encoding of a file that begins with head. If head has fewer than two bytes, the result may change
// later.
func (d *Decoder) Encoding(head []byte) Encoding {
	if d.o.Encoding != Auto {
		return d.o.Encoding
	}
	return detect(head)
}

// Most is the most bytes that Take needs to find the end of a message.
func (d *Decoder) Most() int { return d.span() + d.o.MaxLine }

// span is the most source bytes that a message may cover, including lines of the other stream in between.
func (d *Decoder) span() int { return d.o.MaxLine + idleSpan }

// Fingerprint differs for options that make different messages of the same bytes. For plain lines it is their maximum
// length.
func (d *Decoder) Fingerprint(e Encoding) uint32 {
	if d.Plain(e) {
		return uint32(d.o.MaxLine)
	}
	return crc32.ChecksumIEEE(fmt.Appendf(nil, "%d %d %t %q %d %d %d",
		e, d.o.Format, d.o.Stamp, d.o.Start, d.o.MaxLines, d.o.Wait, d.o.MaxLine))
}

// Chunk is a part of a file.
type Chunk struct {
	Category []byte // of the messages
	Prefix   []byte // put before each message
	Data     []byte // the bytes after the position
	Offset   int64  // the position: the offset of Data in the file
	Encoding Encoding
	Ahead    int  // lines of the other stream before Data[Ahead] were taken; see the package comment
	End      int  // > 0: everything before Data[End] is complete, whatever follows
	Broken   bool // the previous entry is a piece of a message that continues here
}

// Taken is what Take took.
type Taken struct {
	Bytes   int // by how much the position advances
	Ahead   int // at the new position
	Seen    int // end of the last line that was looked at, counted from the old position
	Entries int
	Split   int // messages of which the first piece was cut off
	Odd     int // lines that are not in the container format, and were taken as they are
	Broken  bool
}

// Take appends the complete messages in c to b, until b is full. With c.End, everything before it is taken, unless b
// becomes full: then Bytes is less. If c has as many bytes as Most says, at least one message is taken.
func (d *Decoder) Take(b *proto.Batch, c Chunk) Taken {
	skipped := min(mark(c), len(c.Data))
	if d.Plain(c.Encoding) && c.End == 0 {
		cutter := Cutter{Category: c.Category, Prefix: c.Prefix, Max: d.o.MaxLine, Full: d.o.Full}
		cut := cutter.Take(b, c.Data[skipped:], c.Broken)
		if cut.Entries == 0 {
			return Taken{Broken: cut.Broken}
		}
		cut.Bytes += skipped
		return Taken{Bytes: cut.Bytes, Seen: cut.Bytes, Entries: cut.Entries, Split: cut.Split, Broken: cut.Broken}
	}
	d.out = output{batch: b, chunk: c, taken: Taken{Broken: c.Broken}}
	d.first = -1
	return d.finish(d.lines(skipped))
}

// lines decodes the lines of the chunk from index at on, and returns where it stopped.
func (d *Decoder) lines(at int) int {
	c := &d.out.chunk
	data := c.Data
	if c.End > 0 {
		data = data[:c.End]
	}
	for at < len(data) && d.out.batch.Size() < d.o.Full {
		end, whole := c.Encoding.lineEnd(data[at:], d.o.MaxLine)
		p := piece{from: at, to: at + end, whole: whole}
		if end == 0 {
			if c.End == 0 {
				return at
			}
			p.to, p.last = len(data), true // the last line, which never gets a newline
		}
		d.line(&p)
		at = p.to
	}
	if c.End > 0 && at == len(data) {
		d.flushAll()
	}
	return at
}

// finish computes the next position: the first byte of the oldest incomplete message.
func (d *Decoder) finish(at int) Taken {
	t, c := d.out.taken, &d.out.chunk
	t.Seen = at
	first, last := at, 0
	for i := range d.pending {
		from := at
		if m := &d.pending[i]; m.begun() {
			from = m.start
		}
		first, last = min(first, from), max(last, from)
		d.pending[i].clear()
	}
	if t.Entries == 0 && at != c.End {
		first, last = 0, c.Ahead
	}
	t.Bytes, t.Ahead = first, last-first
	d.out = output{}
	return t
}

// line decodes the source line at data[p.from:p.to].
func (d *Decoder) line(p *piece) {
	c := &d.out.chunk
	p.text, p.at = c.Data[p.from:p.to], p.from
	if c.Encoding.wide() {
		d.decoded = c.Encoding.appendUTF8(d.decoded[:0], p.text)
		p.text, p.at = d.decoded, -1
	}
	if d.o.Format != None && (p.whole || p.last) {
		d.unpack(p)
	}
	if d.first < 0 {
		d.first = p.stream
	}
	if p.from < c.Ahead && p.stream != d.first {
		return // taken before
	}
	d.settle(p)
	d.add(p)
}
