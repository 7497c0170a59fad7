package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"unicode/utf8"

	"inkwell/archive/inflate"
	"inkwell/rotate"
	"inkwell/store/index"
)

// cores bounds how many units are decoded at the same time, by all readers together.
var cores = make(chan struct{}, runtime.GOMAXPROCS(0))

// ahead is how many units are decoded in advance for a reader.
var ahead = 2 * runtime.GOMAXPROCS(0)

// Options say which parts of a file are read. The zero value means all of it.
type Options struct {
	Blocks []index.Block             // the blocks in its index, in order
	Want   func(b *index.Block) bool // blocks of the index that it refuses are skipped; nil = all are wanted
	Apart  bool                      // each block of the index is a chunk of its own, with its times
	From   Position                  // where to begin
	Lost   func(*Damage)             // gets what cannot be read; may be nil
	// Progress is called with the bytes of the file that the reader has passed since the last call. From Open to Close
	// they add up to the size of File; may be nil.
	Progress func(n int64)
}

// Position is the beginning of a block in a file. The zero value is the start of the file.
type Position struct {
	Offset int64 // in the file
	Raw    int64 // in its content; -1 = unknown
}

// Reader reads one file. Not safe for concurrent use.
type Reader struct {
	file   *File
	listed int64 // the size of the file when it was found
	o      Options
	f      source
	size   int64

	ctx    context.Context
	stop   context.CancelFunc // of the splitter
	queue  chan *unit
	at     Position // the end of what Next has returned
	edge   edge     // the bytes before the end of the last whole blocks
	member int64    // the beginning of the current gzip member
	begun  Position // where reading of the member began
	sum    uint32   // CRC-32 of what was read of the member
	whole  bool     // nothing of the member was skipped or lost
	stream *streamReader
	err    error
	chunk  Chunk
	passed int64 // what Progress was told
}

// ours is the gzip header that Inkwell writes.
var ours = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}

// Open opens a file, which may still be written. Close releases it.
func Open(ctx context.Context, file File, o Options) (*Reader, error) {
	if o.Lost == nil {
		o.Lost = func(*Damage) {}
	}
	if o.Progress == nil {
		o.Progress = func(int64) {}
	}
	listed := file.Size
	r := &Reader{file: &file, listed: listed, o: o, ctx: ctx, at: o.From}
	var err error
	if r.f, r.size, err = r.file.open(ctx); err != nil {
		return nil, err
	}
	if !file.Open && file.Codec != rotate.None {
		file.Codec = actualCodec(r.f, file.Codec)
	}
	r.begin()
	return r, nil
}

// actualCodec is how a finished file is compressed that is named as if by codec, if its beginning shows that it is not:
// it is a file of the other compression, or plain text.
func actualCodec(f io.ReaderAt, codec rotate.Codec) rotate.Codec {
	head, err := readAt(f, 0, 4096)
	if err != nil || len(head) < 4 {
		return codec // whoever reads on tells
	}
	switch found := codecOf([4]byte(head)); {
	case found != rotate.None:
		return found
	case isText(head):
		return rotate.None
	}
	return codec
}

// isText says whether the beginning of a file is text: UTF-8, of which the last character may be cut, without control
// characters other than white space and escapes.
func isText(head []byte) bool {
	for k := 0; k < 4 && !utf8.Valid(head) && len(head) > 0; k++ {
		head = head[:len(head)-1]
	}
	return len(head) > 0 && utf8.Valid(head) && !bytes.ContainsFunc(head, func(c rune) bool {
		return c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != 0x1b || c == 0x7f
	})
}

// begin starts reading at r.at, where a member or a block begins.
func (r *Reader) begin() {
	if r.at.Offset > 0 && r.at.Offset >= r.size {
		r.err = io.EOF
		return
	}
	if r.file.Codec == rotate.Gzip && r.at.Offset == r.member {
		head, err := readAt(r.f, r.at.Offset, len(ours))
		switch {
		case err != nil:
			r.err = err
			return
		case len(head) < len(ours) && r.file.Open, len(head) == 0 && r.size == 0:
			r.err = io.EOF
			return
		case !bytes.Equal(head, ours):
			r.startStream(0)
			return
		}
		r.at.Offset += int64(len(ours))
		r.sum, r.whole = 0, r.o.Want == nil
	}
	r.begun = r.at
	r.start()
}

// start starts the splitter at r.at.
func (r *Reader) start() {
	ctx, stop := context.WithCancel(r.ctx)
	r.stop = stop
	r.queue = make(chan *unit, ahead)
	s := &splitter{
		f: r.f, codec: r.file.Codec, size: r.size, pos: r.at.Offset, raw: r.at.Raw,
		blocks: r.o.Blocks, want: r.o.Want, apart: r.o.Apart, queue: r.queue,
	}
	s.blocks = s.from(s.blocks)
	go s.run(ctx)
}

// halt stops the splitter, and waits for it and the units it has started.
func (r *Reader) halt() {
	if r.stop == nil {
		return
	}
	r.stop()
	for u := range r.queue {
		<-u.done
	}
	r.stop = nil
}

// Position is the end of the last chunk.
func (r *Reader) Position() Position { return r.at }

// edge is the bytes of a file before an offset, as they were read. They show later whether the file was written again.
type edge struct {
	offset int64
	bytes  []byte // at most edgeBytes
}

const edgeBytes = 64

// Edge returns the bytes of the file before Position, as they were read; nil = unknown, for example behind what was
// skipped. They are valid until the next call of Next.
func (r *Reader) Edge() []byte {
	if r.edge.offset != r.at.Offset {
		return nil
	}
	return r.edge.bytes
}

// File returns the file that is read, under its current name.
func (r *Reader) File() *File { return r.file }

// Next returns the next chunk, and io.EOF at the end. Other errors are I/O errors: damage is skipped and reported to
// Options.Lost.
func (r *Reader) Next() (*Chunk, error) {
	for r.err == nil {
		if err := r.ctx.Err(); err != nil {
			return nil, err
		}
		var c *Chunk
		if r.stream != nil {
			c = r.fromStream()
		} else {
			u, more := <-r.queue
			if !more {
				r.err = r.ended()
				continue
			}
			<-u.done
			c = r.take(u)
		}
		r.progress(r.at.Offset)
		if c != nil && len(c.Data) > 0 {
			return c, nil
		}
	}
	if r.err == io.EOF {
		return nil, io.EOF
	}
	return nil, fmt.Errorf("read %s: %w", r.file.Path, r.err)
}

// progress tells that the file was passed up to an offset.
func (r *Reader) progress(to int64) {
	if to = min(to, r.listed); to > r.passed {
		r.o.Progress(to - r.passed)
		r.passed = to
	}
}

// ended returns the error for the end of the file, after its last unit.
func (r *Reader) ended() error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if r.file.Codec == rotate.Gzip && !r.file.Open && r.at.Offset >= r.size {
		r.lost(&Damage{Offset: r.size, Entries: -1, Err: errors.New("the file ends early")})
	}
	return io.EOF
}

// take returns the chunk of a decoded unit.
func (r *Reader) take(u *unit) *Chunk {
	if r.at.Raw >= 0 && u.off == r.at.Offset { // what was read is believed rather than an index
		u.raw = r.at.Raw
	}
	switch {
	case u.err == nil && !u.final && (r.file.Codec != rotate.Gzip || bytes.HasSuffix(u.data, inflate.Flushed)):
		return r.accept(u)
	case u.final && u.err == nil && !r.goesOn(u):
		return r.finish(u)
	}
	return r.trouble(u)
}

// goesOn reports whether there are more blocks behind what looks like the last one of a stream, which it drops then:
// damage can look like the end.
func (r *Reader) goesOn(u *unit) bool {
	end := u.off + int64(u.whole) + trailer
	if end >= r.size {
		return false
	}
	data, err := readAt(r.f, end, 32*unitPacked)
	if err != nil || bytes.HasPrefix(data, ours[:2]) { // who reads on tells; or the next member
		return false
	}
	if _, tried, good := blocksIn(data); tried == 0 || 2*good < tried {
		return false
	}
	u.withoutFinal()
	return true
}

// accept returns the whole blocks of a unit as a chunk.
func (r *Reader) accept(u *unit) *Chunk {
	r.at.Offset = u.off + int64(u.whole)
	r.edge = edge{r.at.Offset, append(r.edge.bytes[:0], u.data[max(0, u.whole-edgeBytes):u.whole]...)}
	if r.at.Raw = u.raw; u.raw >= 0 {
		r.at.Raw += int64(len(u.out))
	}
	if r.file.Codec == rotate.Gzip {
		r.sum = rotate.JoinCRC(r.sum, u.sum, int64(len(u.out)))
	}
	r.chunk = Chunk{
		File: r.file, Data: u.out, Raw: u.raw, First: u.first(), Last: u.latest(),
		Offset: u.off, Length: int64(u.whole), Sum: u.sum,
	}
	return &r.chunk
}

// trailer is the length of the checksum and the length behind a gzip member.
const trailer = 8

// finish ends a gzip member. The member's checksum and length follow its last block.
func (r *Reader) finish(u *unit) *Chunk {
	c := r.accept(u)
	r.halt()
	tail, err := readAt(r.f, r.at.Offset, trailer)
	switch {
	case err != nil:
		r.err = err
		return c
	case len(tail) < trailer:
		if !r.file.Open {
			r.lost(&Damage{Offset: r.at.Offset, Entries: -1, Err: errors.New("the file ends before its checksum")})
		}
		r.err = io.EOF
		return c
	}
	complete := r.whole && r.begun.Raw >= 0 && r.begun.Offset == r.member+int64(len(ours))
	size32 := uint32(r.at.Raw - r.begun.Raw) // as gzip counts: modulo 2³²
	if complete && (r.sum != binary.LittleEndian.Uint32(tail) || size32 != binary.LittleEndian.Uint32(tail[4:])) {
		err := errors.New("its checksum or length is another one: somewhere in it bytes are not what was written. It begins")
		r.lost(&Damage{Offset: r.member, Entries: -1, Err: err})
	}
	r.at.Offset += trailer
	r.nextMember()
	return c
}

// nextMember continues after a member: with the next member, or with zeros, which are skipped as gzip does.
func (r *Reader) nextMember() {
	r.member = r.at.Offset
	if r.member >= r.size {
		r.err = io.EOF
		return
	}
	head, err := readAt(r.f, r.member, 4)
	switch {
	case err != nil:
		r.err = err
	case len(head) >= 2 && head[0] == 0x1f && head[1] == 0x8b:
		r.o.Blocks = nil
		r.begin()
	default:
		if rest, _ := readAt(r.f, r.member, unitPacked); len(bytes.Trim(rest, "\x00")) > 0 {
			r.lost(&Damage{Offset: r.member, Entries: -1, Err: errors.New("behind its end there is something else")})
		}
		r.err = io.EOF
	}
}

func (r *Reader) lost(d *Damage) {
	d.Path = r.file.Path
	r.whole = false
	r.o.Lost(d)
}

// Close releases the file.
func (r *Reader) Close() error {
	r.halt()
	if r.stream != nil {
		r.stream.close()
	}
	r.err = os.ErrClosed
	r.progress(r.listed)
	return r.f.Close()
}

// tooLarge says that a unit is too large to be decoded in memory.
func tooLarge(err error) bool { return errors.Is(err, inflate.ErrLarge) || errors.Is(err, errStream) }
