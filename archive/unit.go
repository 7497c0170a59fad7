package archive

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"inkwell/archive/inflate"
	"inkwell/rotate"
	"inkwell/store/index"
)

const (
	unitPacked = 256 << 10 // approximate compressed bytes of a unit
	unitRaw    = 1 << 20   // its decoded bytes
	// maxRaw bounds the decoded bytes of a unit. What is larger is read as a stream, in parts.
	maxRaw = 80 << 20
)

// unit is adjacent blocks of a file that are decoded together.
type unit struct {
	off    int64 // in the file
	raw    int64 // in its content; -1 = unknown
	data   []byte
	blocks []index.Block // its blocks in the index; nil = unknown
	last   bool          // the file ends with it
	done   chan struct{} // closed when the fields below are set

	out               []byte
	sum               uint32 // CRC-32 of out; gzip only
	whole             int    // bytes of data in whole blocks; out is their content
	final             bool   // the stream's last block is among them
	before, beforeOut int    // bytes of data and of out before that block
	err               error
}

// first and latest are the times of a unit.
func (u *unit) first() (t time.Time) {
	for i := range u.blocks {
		if b := &u.blocks[i]; t.IsZero() || !b.First.IsZero() && b.First.Before(t) {
			t = b.First
		}
	}
	return t
}

func (u *unit) latest() (t time.Time) {
	for i := range u.blocks {
		if b := &u.blocks[i]; b.Last.After(t) {
			t = b.Last
		}
	}
	return t
}

// decoder decodes units.
type decoder struct {
	inflate inflate.Decoder
	buf     []byte
}

// decoders is a pool of decoders with their memory.
var decoders = sync.Pool{New: func() any { return new(decoder) }}

// zstds decodes zstd frames; it is safe for concurrent use.
var zstds = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxRaw), zstd.WithDecoderMaxWindow(128<<20))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
})

// decode decodes the data of a unit.
func (u *unit) decode(c rotate.Codec) {
	defer close(u.done)
	if len(u.blocks) > 0 && c != rotate.None {
		u.decodeBlocks(c)
		return
	}
	switch c {
	case rotate.Gzip:
		u.inflate()
	case rotate.Zstd:
		u.out, u.err = zstds().DecodeAll(u.data, nil)
		u.whole = len(u.data)
	default:
		u.out, u.whole = u.data, len(u.data)
	}
}

// inflate decodes a gzip unit that has no index; it begins with a block.
func (u *unit) inflate() {
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	r, err := d.inflate.Decode(d.buf[:0], u.data, 0, maxRaw)
	u.whole, u.final, u.err = r.Used, r.Final, err
	if err != nil {
		u.whole = r.Whole
		r.Out = r.Out[:r.WholeOut]
	}
	u.before, u.beforeOut = r.Whole, r.WholeOut
	u.keep(d, r.Out)
	u.sum = crc32.ChecksumIEEE(u.out)
}

// withoutFinal drops the last block of the stream, which turned out to be none.
func (u *unit) withoutFinal() {
	u.out, u.whole, u.final, u.err = u.out[:u.beforeOut], u.before, false, inflate.ErrCorrupt
	u.sum = crc32.ChecksumIEEE(u.out)
}

// keep copies what was decoded into memory of the right size, unless it is large.
func (u *unit) keep(d *decoder, out []byte) {
	if len(out) > 4*unitRaw {
		u.out, d.buf = out, nil
		return
	}
	u.out, d.buf = bytes.Clone(out), out[:0]
}

// errMismatch says that a block is not what the index says.
var errMismatch = errors.New("it is not what the index says")

// decodeBlocks decodes blocks in the index, up to the first one that does not match it.
func (u *unit) decodeBlocks(c rotate.Codec) {
	size := int64(0)
	for i := range u.blocks {
		size += u.blocks[i].Raw
	}
	if size > maxRaw {
		u.err = inflate.ErrLarge
		return
	}
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	u.out = make([]byte, 0, size+inflate.Room)
	for i := range u.blocks {
		b := &u.blocks[i]
		data := u.data[u.whole : u.whole+int(b.Length)]
		at := len(u.out)
		out, err := decodeBlock(d, u.out, data, c)
		sum := uint32(0)
		if c == rotate.Gzip {
			sum = crc32.ChecksumIEEE(out[at:])
		}
		if err == nil && (int64(len(out)-at) != b.Raw || c == rotate.Gzip && sum != b.Sum) {
			err = errMismatch
		}
		if err != nil {
			u.err = err
			return
		}
		u.out, u.whole = out, u.whole+len(data)
		u.sum = rotate.JoinCRC(u.sum, sum, b.Raw)
	}
}

func decodeBlock(d *decoder, dst, data []byte, c rotate.Codec) ([]byte, error) {
	if c == rotate.Zstd {
		return zstds().DecodeAll(data, dst)
	}
	r, err := d.inflate.Decode(dst, data, len(dst), maxRaw)
	if err == nil && (r.Final || !bytes.HasSuffix(data, inflate.Flushed)) {
		err = errMismatch
	}
	return r.Out, err
}

// readAt reads n bytes of a file, or fewer at its end.
func readAt(f io.ReaderAt, off int64, n int) ([]byte, error) {
	buf := make([]byte, n)
	k, err := f.ReadAt(buf, off)
	if err == io.EOF {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("read at byte %d: %w", off, err)
	}
	return buf[:k], err
}
