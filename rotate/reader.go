package rotate

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	readBuffer = 64 << 10
	// maxHeld bounds the bytes of a block that are held back until it is known to be complete. Only a file that was not
	// written here can have larger ones; their bytes come before their end is seen.
	maxHeld = 64 << 20
	// maxWindow is what a zstd frame may make a reader allocate: the limit of the zstd command without options.
	maxWindow = 128 << 20
)

// NewReader reads the bytes that were appended to a file: f is the file from its beginning. Multi-member gzip and zstd
// files that others wrote can be read, too.
//
// With open, f is a file that is being written, or was when its writer died: it ends cleanly behind its last complete
// block, wherever the bytes end. Bytes come as soon as the last of their block was read, so that f may also wait for
// more at its end, as tail -f does (with gzip, one block in 32768 shows only together with the next). Damaged bytes are
// an error in every case.
//
// Close releases the reader, not f. A reader is not safe for concurrent use.
func NewReader(f io.Reader, c Codec, open bool) (io.ReadCloser, error) {
	switch {
	case c == None:
		return io.NopCloser(f), nil
	case c == Gzip && open:
		return &gzipTail{src: marker{r: bufio.NewReaderSize(f, readBuffer)}}, nil
	case c == Gzip:
		r, err := gzip.NewReader(bufio.NewReaderSize(f, readBuffer))
		if err != nil {
			return nil, fmt.Errorf("read gzip header: %w", noEOF(err))
		}
		return io.NopCloser(r), nil // its own Close has nothing to release and repeats the last error
	}
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, fmt.Errorf("set up zstd: %w", err)
	}
	if open {
		return &zstdTail{src: bufio.NewReaderSize(f, readBuffer), dec: r}, nil
	}
	if err := r.Reset(f); err != nil {
		r.Close()
		return nil, fmt.Errorf("read zstd: %w", err)
	}
	return r.IOReadCloser(), nil
}

// gzipTail reads a gzip file that is being written. What a block gave is held back until its end was seen.
type gzipTail struct {
	src    marker
	gz     *gzip.Reader // nil before the first Read
	inside bool         // of a member
	held   []byte
	out    []byte // complete; aliases held
	err    error
}

func (t *gzipTail) Read(p []byte) (int, error) {
	for len(t.out) == 0 {
		if t.err != nil {
			return 0, t.err
		}
		if !t.inside {
			t.begin()
		} else {
			t.fill()
		}
	}
	n := copy(p, t.out)
	t.out = t.out[n:]
	return n, nil
}

// begin reads the header of a member.
func (t *gzipTail) begin() {
	var err error
	if t.gz == nil {
		t.gz, err = gzip.NewReader(&t.src)
	} else {
		err = t.gz.Reset(&t.src)
	}
	if err != nil {
		t.end(err)
		return
	}
	t.gz.Multistream(false)
	t.inside = true
}

// fill reads some more and moves what is complete to out, which is empty.
func (t *gzipTail) fill() {
	if cap(t.held)-len(t.held) < 32<<10 {
		t.held = append(make([]byte, 0, 2*cap(t.held)+readBuffer), t.held...)
	}
	n, err := t.gz.Read(t.held[len(t.held):cap(t.held)])
	t.held = t.held[:len(t.held)+n]
	if err == io.EOF {
		t.inside = false
	} else if err != nil {
		t.end(err)
	}
	if !t.inside || t.src.atBlockEnd() || len(t.held) >= maxHeld {
		t.out, t.held = t.held, t.held[:0]
	}
}

// end notes how the file ends: in the middle of a block it does so cleanly, for an open file.
func (t *gzipTail) end(err error) {
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	if err != io.EOF {
		err = fmt.Errorf("read gzip: %w", err)
	}
	t.err = err
}

func (t *gzipTail) Close() error {
	t.held, t.out, t.err = nil, nil, errors.New("the reader is closed")
	return nil
}

// marker hands bytes to a decoder one by one as it asks for them and knows whether the last ones were the end of a
// block.
type marker struct {
	r    *bufio.Reader
	last uint32 // four bytes that were read, the last one lowest
}

// atBlockEnd says whether the last bytes were those of an empty stored block, which is what a sync flush writes. By
// chance other bytes may look like it: then a part of a block is taken for a whole one, which does no harm.
func (m *marker) atBlockEnd() bool { return m.last == 0x0000ffff }

func (m *marker) ReadByte() (byte, error) {
	c, err := m.r.ReadByte()
	if err == nil {
		m.last = m.last<<8 | uint32(c)
	}
	return c, err
}

func (m *marker) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	for _, c := range p[max(0, n-4):n] {
		m.last = m.last<<8 | uint32(c)
	}
	return n, err
}

// zstdTail reads a zstd file that is being written: frame by frame, each only when it is complete.
type zstdTail struct {
	src   *bufio.Reader
	dec   *zstd.Decoder
	frame bytes.Buffer
	live  bool // dec has bytes to give
	rest  bool // a frame is too large to be held: dec reads src itself, to the end
	err   error
}

func (t *zstdTail) Read(p []byte) (int, error) {
	for t.err == nil {
		if !t.live {
			if t.err = t.next(); t.err == io.ErrUnexpectedEOF {
				t.err = io.EOF
			}
			continue
		}
		n, err := t.dec.Read(p)
		switch {
		case t.rest && (err == io.EOF || err == io.ErrUnexpectedEOF):
			t.err = io.EOF
		case err == io.EOF:
			t.live, err = false, nil
		case err != nil:
			t.err = fmt.Errorf("read zstd: %w", noEOF(err))
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, t.err
}

// next gathers a frame for dec.
func (t *zstdTail) next() error {
	t.frame.Reset()
	head, err := t.src.Peek(8) // no frame is shorter
	if err != nil {
		return noEOF(err)
	}
	if binary.LittleEndian.Uint32(head)&^0xf == skippableMagic {
		_, err = io.CopyN(io.Discard, t.src, 8+int64(binary.LittleEndian.Uint32(head[4:])))
		return noEOF(err)
	}
	if err := t.take(frameHeaderSize(head)); err != nil {
		return err
	}
	h, err := parseFrameHeader(t.frame.Bytes())
	if err != nil {
		return fmt.Errorf("read zstd: %w", err)
	}
	for last := false; !last; {
		if err := t.take(3); err != nil {
			return err
		}
		var n int
		n, last = parseBlockHeader(t.frame.Bytes()[t.frame.Len()-3:])
		if err := t.take(n); err != nil {
			return err
		}
		if t.frame.Len() > maxHeld && !last {
			t.live, t.rest = true, true
			return t.dec.Reset(io.MultiReader(&t.frame, t.src))
		}
	}
	if h.checksum {
		if err := t.take(checksumSize); err != nil {
			return err
		}
	}
	t.live = true
	// bare, a small frame would be decoded at once, however large it becomes
	return t.dec.Reset(io.MultiReader(&t.frame))
}

// take moves n bytes into frame.
func (t *zstdTail) take(n int) error {
	_, err := io.CopyN(&t.frame, t.src, int64(n))
	return noEOF(err)
}

func (t *zstdTail) Close() error {
	t.dec.Close()
	t.err = errors.New("the reader is closed")
	return nil
}
