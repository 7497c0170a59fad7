package archive

import (
	"bytes"
	"errors"
	"io"

	"inkwell/archive/inflate"
	"inkwell/rotate"
	"inkwell/store/index"
)

// trouble handles a unit that could not be decoded completely. Its whole blocks are returned; then the rest is read in
// another way, or the damage is skipped.
func (r *Reader) trouble(u *unit) *Chunk {
	r.halt()
	switch {
	case tooLarge(u.err):
		r.fallBack(u.off)
		return nil
	case r.file.Codec == rotate.Zstd:
		return r.frames(u)
	case u.data == nil:
		r.err = u.err
		return nil
	case u.whole > 0:
		c := r.accept(u)
		r.start()
		return c
	case len(u.blocks) > 0:
		r.mismatch(u)
		return nil
	}
	r.at.Offset = u.off
	return r.search()
}

// mismatch handles a block, the first of u, that is not what the index says.
func (r *Reader) mismatch(u *unit) {
	b := u.blocks[0]
	r.at.Offset, r.at.Raw = u.off, u.raw
	if r.isStale(&b) {
		r.o.Blocks = nil
		r.start()
		return
	}
	r.lost(&Damage{Offset: b.Offset, Length: b.Length, Entries: b.Entries, Err: inflate.ErrCorrupt})
	r.at.Offset = b.End()
	if r.at.Raw >= 0 {
		r.at.Raw += b.Raw
	}
	r.start()
}

// isStale says whether the file has another intact block where the index has b, so that the index belongs to another
// file.
func (r *Reader) isStale(b *index.Block) bool {
	if r.file.Codec != rotate.Gzip {
		return false
	}
	data, err := readAt(r.f, b.Offset, int(2*b.Length+unitPacked))
	if err != nil {
		return false
	}
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	res, _ := d.inflate.Decode(nil, data, 0, maxRaw)
	if res.Whole == 0 {
		return false
	}
	_, err = d.inflate.Decode(nil, data[:min(int(b.Length), len(data))], 0, maxRaw)
	return err != nil // a block that ends where the index says is damaged, not another one
}

// search decodes at r.at as far as possible without relying on flush markers, because the bytes of a marker can also
// occur within a block.
func (r *Reader) search() *Chunk {
	for window := 4 * unitPacked; ; window *= 4 {
		data, err := readAt(r.f, r.at.Offset, window)
		if err != nil {
			r.err = err
			return nil
		}
		u := &unit{off: r.at.Offset, raw: r.at.Raw, data: data, done: make(chan struct{})}
		u.decode(rotate.Gzip)
		atEnd := r.at.Offset+int64(len(data)) >= r.size
		switch {
		case u.final && !r.goesOn(u):
			return r.finish(u)
		case u.whole > 0:
			c := r.accept(u)
			r.start()
			return c
		case tooLarge(u.err):
			r.fallBack(u.off)
			return nil
		case errors.Is(u.err, inflate.ErrShort) && !atEnd && window < maxRaw:
			continue
		case errors.Is(u.err, inflate.ErrShort) && atEnd && r.file.Open:
			r.err = io.EOF // the block is still being written
			return nil
		}
		return r.resync(u.err)
	}
}

// resync looks for the next intact block after r.at. If there is no independent block, Inkwell has not written the
// file, and it is read as a stream.
func (r *Reader) resync(cause error) *Chunk {
	for from := r.at.Offset + 1; from < r.size; {
		data, err := readAt(r.f, from, 32*unitPacked)
		if err != nil {
			r.err = err
			return nil
		}
		at, tried, good := blocksIn(data)
		if tried > 0 && 2*good >= tried {
			next := from + int64(at)
			r.lost(&Damage{Offset: r.at.Offset, Length: next - r.at.Offset, Entries: -1, Err: cause})
			r.at = Position{Offset: next, Raw: -1}
			r.start()
			return nil
		}
		if tried > 2 && r.whole {
			break
		}
		from += int64(max(len(data)-len(inflate.Flushed)+1, 1))
	}
	if r.whole && !r.file.Open {
		r.fallBack(r.at.Offset)
		return nil
	}
	r.lost(&Damage{Offset: r.at.Offset, Length: r.size - r.at.Offset, Entries: -1, Err: cause})
	r.err = io.EOF
	return nil
}

// blocksIn tries the first flush markers in data as beginnings of blocks. It returns the index of the first intact
// block, how many were tried, and how many were intact.
func blocksIn(data []byte) (at, tried, good int) {
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	at = -1
	begin := bytes.Index(data, inflate.Flushed) + len(inflate.Flushed)
	for ; begin >= len(inflate.Flushed) && tried < 8; tried++ {
		n := bytes.Index(data[begin:], inflate.Flushed) + len(inflate.Flushed)
		if n < len(inflate.Flushed) {
			// This is the end of the file.
			if res, err := d.inflate.Decode(d.buf[:0], data[begin:], 0, maxRaw); err == nil && res.Final {
				tried, good = tried+1, good+1
				if at < 0 {
					at = begin
				}
			}
			break
		}
		res, err := d.inflate.Decode(d.buf[:0], data[begin:begin+n], 0, maxRaw)
		if err == nil && !res.Final && len(res.Out) > 0 {
			good++
			if at < 0 {
				at = begin
			}
		}
		begin += n
	}
	return at, tried, good
}

// frames decodes the frames of a zstd unit one by one, up to the first damaged one, which is skipped.
func (r *Reader) frames(u *unit) *Chunk {
	good := &unit{off: u.off, raw: u.raw, data: u.data}
	at := 0
	for at < len(u.data) {
		n, _, err := rotate.Frame(bytes.NewReader(u.data), int64(at))
		if err != nil || n > int64(len(u.data)-at) {
			break
		}
		out, err := zstds().DecodeAll(u.data[at:at+int(n)], good.out)
		if err != nil {
			if at > 0 {
				break
			}
			r.at.Offset = u.off
			d := &Damage{Offset: u.off, Length: n, Entries: -1, Err: err}
			if len(u.blocks) > 0 && u.blocks[0].Length == n {
				d.Entries = u.blocks[0].Entries
			}
			r.lost(d)
			r.at = Position{Offset: u.off + n, Raw: -1}
			if len(u.blocks) > 0 && u.raw >= 0 && u.blocks[0].Length == n {
				r.at.Raw = u.raw + u.blocks[0].Raw
			}
			r.start()
			return nil
		}
		good.out, at = out, at+int(n)
	}
	if good.whole = at; at > 0 {
		good.blocks = u.blocks[:min(1, len(u.blocks))]
		c := r.accept(good)
		r.start()
		return c
	}
	r.at.Offset = u.off
	r.nextFrame(u.err)
	return nil
}

var frameMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// nextFrame continues with the next frame after r.at, where no frame begins.
func (r *Reader) nextFrame(cause error) {
	if errors.Is(cause, io.ErrUnexpectedEOF) && r.file.Open {
		r.err = io.EOF // the frame is still being written
		return
	}
	for from := r.at.Offset + 1; from < r.size; {
		data, err := readAt(r.f, from, 4*unitRaw)
		if err != nil {
			r.err = err
			return
		}
		k := bytes.Index(data, frameMagic)
		if k < 0 {
			from += int64(max(len(data)-len(frameMagic)+1, 1))
			continue
		}
		from += int64(k)
		if n, _, err := rotate.Frame(r.f, from); err == nil && from+n <= r.size {
			r.lost(&Damage{Offset: r.at.Offset, Length: from - r.at.Offset, Entries: -1, Err: cause})
			r.at = Position{Offset: from, Raw: -1}
			r.start()
			return
		}
		from++
	}
	r.lost(&Damage{Offset: r.at.Offset, Length: r.size - r.at.Offset, Entries: -1, Err: cause})
	r.err = io.EOF
}

// fallBack continues to read as a stream. A stream has to begin at the start of the member, so what was already
// returned of it is skipped.
func (r *Reader) fallBack(off int64) {
	switch {
	case r.file.Codec == rotate.Zstd:
		r.at.Offset = off
		r.startStream(0)
	case r.begun.Offset == r.member+int64(len(ours)) && r.at.Raw >= r.begun.Raw && r.o.Want == nil:
		r.startStream(r.at.Raw - r.begun.Raw)
	default:
		r.at.Offset = off
		err := errors.New("it is no file of blocks, and can only be read from its beginning")
		r.lost(&Damage{Offset: off, Length: r.size - off, Entries: -1, Err: err})
		r.err = io.EOF
	}
}
