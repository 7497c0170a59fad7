// Package lines turns the bytes of a followed file into messages.
//
//	source bytes ─► source line ─► text ─────────► piece ──────────► message
//	                (newline)      (UTF-16 to      (container line   (P pieces and F joined,
//	                               UTF-8)          unpacked)         lines up to the next start)
//
// A Decoder is a function, not a stream: Take is given the bytes behind a position and says which messages they hold
// and where the next position is. It keeps nothing between two calls. That is what makes a restart exact: whatever is
// not complete is read again from its first byte, in this process or in the next one, and everything that decides
// where a message ends stands in the bytes themselves (newlines, the start pattern, container times, sizes), but for
// Chunk.End, which the caller has to make durable first.
//
// A position is a source offset at which a message begins, and Ahead. Ahead matters when the lines of a container's
// two streams are mixed. Here a message of stdout has begun at 0 and is not complete, while one of stderr is:
//
//	0   stdout P …
//	60  stderr F oops       complete: taken
//	90  stdout P …          the position is 0, Ahead is 90: behind 0, what stderr has before 90 is passed over
//
// Plain lines (UTF-8, no format, no multiline) do none of this: see Cutter.
package lines

import (
	"errors"
	"fmt"
	"hash/crc32"
	"regexp"
	"time"

	"inkwell/proto"
)

// Options say how the bytes of a file become messages. The zero value: plain lines of any bytes, UTF-16 where a byte
// order mark says so.
type Options struct {
	Encoding Encoding
	Format   Format
	Stamp    bool          // time and stream of a container line are put before the message
	Start    string        // a regular expression: a line that matches begins a message; "" = every line is a message
	MaxLines int           // lines of a message; 0 = 500
	Wait     time.Duration // a message is complete when nothing has come for so long; 0 = 5 s
	MaxLine  int           // bytes of a message; a longer one is split; must be given
	Full     int           // canonical bytes at which a batch takes no more; must be given
}

const (
	defaultLines = 500
	defaultWait  = 5 * time.Second

	// idleSpan is how many bytes of the other stream may follow a message before it is complete: it bounds how much
	// is read again.
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

// Decoder decodes files of one input. It holds scratch memory only; not safe for concurrent use.
type Decoder struct {
	o       Options
	start   *regexp.Regexp
	decoded []byte     // the line at hand, when it is not UTF-8 in the source
	text    []byte     // of a Docker line …
	stamp   []byte     // … and its time and stream
	pending [2]message // by stream
	first   int        // the stream of the first line of the chunk; -1 = none was seen
	out     output
}

// output is what one call of Take has put out.
type output struct {
	batch *proto.Batch
	chunk Chunk
	taken Taken
}

// NewDecoder panics if o is not valid.
func NewDecoder(o Options) *Decoder {
	if o.MaxLines == 0 {
		o.MaxLines = defaultLines
	}
	if o.Wait == 0 {
		o.Wait = defaultWait
	}
	d := &Decoder{o: o}
	if o.Start != "" {
		d.start = regexp.MustCompile(o.Start)
	}
	return d
}

// Joins says whether a message can consist of several lines of the file, so that a quiet file may end with complete
// lines that are not taken yet: after Wait the caller gives a Chunk with End.
func (d *Decoder) Joins() bool { return d.o.Format != None || d.start != nil }

// Plain says whether a file of that encoding consists of plain lines.
func (d *Decoder) Plain(e Encoding) bool { return !d.Joins() && !e.wide() }

// Wait is how long a file has to be quiet until its last message is complete.
func (d *Decoder) Wait() time.Duration { return d.o.Wait }

// Encoding is that of a file which begins with head, as far as that is known: of fewer than two bytes it may be
// another one later.
func (d *Decoder) Encoding(head []byte) Encoding {
	if d.o.Encoding != Auto {
		return d.o.Encoding
	}
	return detect(head)
}

// Most is how many bytes Take needs at most to come to the end of a message.
func (d *Decoder) Most() int { return d.span() + d.o.MaxLine }

// span is how many source bytes a message may cover, those of the other stream between its lines included.
func (d *Decoder) span() int { return d.o.MaxLine + idleSpan }

// Fingerprint tells options apart that make other messages of the same bytes. That of plain lines is their longest
// length.
func (d *Decoder) Fingerprint(e Encoding) uint32 {
	if d.Plain(e) {
		return uint32(d.o.MaxLine)
	}
	return crc32.ChecksumIEEE(fmt.Appendf(nil, "%d %d %t %q %d %d %d",
		e, d.o.Format, d.o.Stamp, d.o.Start, d.o.MaxLines, d.o.Wait, d.o.MaxLine))
}

// Chunk is bytes of a file.
type Chunk struct {
	Category []byte // of the messages
	Prefix   []byte // put before each message
	Data     []byte // what stands in the file behind the position
	Offset   int64  // the position: of Data in the file
	Encoding Encoding
	Ahead    int  // what the other stream has before Data[Ahead] was taken; see the package comment
	End      int  // > 0: what is before Data[End] is complete, whatever follows
	Broken   bool // the message before is a piece of one that goes on here
}

// Taken is what Take took.
type Taken struct {
	Bytes   int // how far the position moves
	Ahead   int // that of the new position
	Seen    int // behind the last line that was looked at, counted from the old position
	Entries int
	Split   int // messages that were begun to be split
	Odd     int // lines that should be a container's, but are not: taken as they are
	Broken  bool
}

// Take appends to b the messages that are complete in c, until b is full. With c.End everything before it is taken
// unless b is full: then Bytes is less. When nothing is taken of as many bytes as Most says, that is a mistake of
// this package.
func (d *Decoder) Take(b *proto.Batch, c Chunk) Taken {
	skipped := min(mark(c), len(c.Data))
	if d.Plain(c.Encoding) && c.End == 0 {
		cut := Cutter{Category: c.Category, Prefix: c.Prefix, Max: d.o.MaxLine, Full: d.o.Full}.Take(b, c.Data[skipped:], c.Broken)
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

// lines goes through the lines of the chunk from at on, and returns where it stopped.
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
			p.to, p.last = len(data), true // the last line, which never gets an end
		}
		d.line(&p)
		at = p.to
	}
	if c.End > 0 && at == len(data) {
		d.flushAll()
	}
	return at
}

// finish says where the next position is: at the first byte of the oldest message that is not complete.
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

// line takes the source line at data[p.from:p.to].
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
