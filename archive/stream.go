package archive

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"inkwell/archive/inflate"
	"inkwell/rotate"
)

// streamReader decodes a file that has no blocks, beginning at a member or a frame. It decodes one part ahead of its
// reader.
type streamReader struct {
	parts chan part
	stop  chan struct{}
	count *counter
}

type part struct {
	data []byte
	err  error // after data
	off  int64 // bytes of the file that were consumed
}

// errNoGzip says that no gzip member begins where one has to.
var errNoGzip = errors.New("it does not begin as a gzip file does (is it encrypted, or of another format?)")

// counter counts how much was read of a file.
type counter struct {
	*bufio.Reader
	src *io.SectionReader
}

func (c *counter) at() int64 {
	n, _ := c.src.Seek(0, io.SeekCurrent) // cannot fail
	return n - int64(c.Buffered())
}

// startStream continues to read as a stream, and skips its first bytes.
func (r *Reader) startStream(skip int64) {
	from := r.member
	if r.file.Codec == rotate.Zstd {
		from = r.at.Offset
	}
	src := io.NewSectionReader(r.f, from, r.size-from)
	s := &streamReader{
		parts: make(chan part, 2), stop: make(chan struct{}),
		count: &counter{bufio.NewReaderSize(src, unitPacked), src},
	}
	r.stream, r.member = s, from
	go s.run(r.file.Codec, skip)
}

func (s *streamReader) run(c rotate.Codec, skip int64) {
	defer close(s.parts)
	d, err := s.decoder(c)
	if err == nil {
		_, err = io.CopyN(io.Discard, d, skip)
	}
	for err == nil {
		buf := make([]byte, unitRaw)
		var n int
		n, err = io.ReadFull(d, buf)
		if err == io.ErrUnexpectedEOF && n > 0 {
			if _, more := d.Read(make([]byte, 1)); more == io.EOF { // ReadFull reports the normal end in this way, too
				err = io.EOF
			}
		}
		select {
		case s.parts <- part{data: buf[:n], err: err, off: s.count.at()}:
		case <-s.stop:
			return
		}
	}
	select {
	case s.parts <- part{err: err, off: s.count.at()}:
	case <-s.stop:
	}
}

func (s *streamReader) decoder(c rotate.Codec) (io.Reader, error) {
	if c == rotate.Gzip {
		d, err := gzip.NewReader(s.count)
		switch {
		case errors.Is(err, io.EOF):
			err = io.ErrUnexpectedEOF
		case errors.Is(err, gzip.ErrHeader):
			err = errNoGzip
		case err == nil:
			d.Multistream(false)
		}
		return &members{member: d, file: s.count}, err
	}
	// One at a time: with goroutines of its own the decoder would read while run asks how far it has got.
	d, err := zstd.NewReader(s.count, zstd.WithDecoderMaxWindow(128<<20), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}

// members reads gzip members up to the end of a file. Zeros at the end are passed over, as gzip does.
type members struct {
	member *gzip.Reader
	file   *counter
	begun  int64 // where the member begins
	passed int64 // bytes of it that were read
	last   *bytes.Reader
}

// errBehind says that a member is followed by something else.
var errBehind = errors.New("behind the end of a member there is something else")

func (m *members) Read(p []byte) (n int, err error) {
	for n == 0 && err == nil && m.last == nil {
		n, err = m.member.Read(p)
		m.passed += int64(n)
		switch err {
		case io.EOF:
			err = m.next()
		case io.ErrUnexpectedEOF:
			m.last, err = bytes.NewReader(m.rest()), nil
		}
	}
	if n > 0 || err != nil {
		return n, err
	}
	if n, err = m.last.Read(p); err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// rest is the last bytes of a member that ends early: the stream decoder wants bits behind those of a symbol, and stops
// up to two bytes before the end. A member that is too large to be decoded in memory ends there.
func (m *members) rest() []byte {
	size := m.file.src.Size() - m.begun
	if size > maxRaw {
		return nil
	}
	data, err := readAt(m.file.src, m.begun, int(size))
	if err != nil {
		return nil
	}
	head := bytes.NewReader(data)
	if _, err := gzip.NewReader(head); err != nil { // which has read the header, and no more
		return nil
	}
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	r, err := d.inflate.Decode(nil, data[len(data)-head.Len():], 0, maxRaw)
	if !errors.Is(err, inflate.ErrShort) || int64(len(r.Out)) < m.passed {
		return nil
	}
	return r.Out[m.passed:]
}

// next begins with the next member; io.EOF = there is none.
func (m *members) next() error {
	for {
		head, err := m.file.Peek(2)
		switch {
		case len(head) == 0:
			return err
		case bytes.Equal(head, ours[:2]):
			m.begun, m.passed = m.file.at(), 0
			err = m.member.Reset(m.file)
			m.member.Multistream(false)
			return err
		case head[0] != 0:
			return errBehind
		}
		if _, err := m.file.Discard(1); err != nil {
			return err
		}
	}
}

func (s *streamReader) close() {
	close(s.stop)
	for range s.parts { // wait for run to end
	}
}

// fromStream returns the next bytes of the stream.
func (r *Reader) fromStream() *Chunk {
	p, more := <-r.stream.parts
	if !more {
		r.err = io.EOF
		return nil
	}
	at := r.at.Raw
	if r.at.Raw >= 0 {
		r.at.Raw += int64(len(p.data))
	}
	r.at.Offset = r.member + p.off
	if p.err != nil {
		r.streamEnded(p.err)
	}
	r.chunk = Chunk{File: r.file, Data: p.data, Raw: at}
	return &r.chunk
}

// streamEnded handles the end of a stream. After damage it continues with the next member, if there is one.
func (r *Reader) streamEnded(err error) {
	r.stream.close()
	r.stream = nil
	switch {
	case err == io.EOF, r.file.Open && errors.Is(err, io.ErrUnexpectedEOF):
		r.err = io.EOF
		return
	case errors.Is(err, io.ErrUnexpectedEOF):
		r.lost(&Damage{Offset: r.size, Entries: -1, Err: errors.New("the file ends early")})
		r.err = io.EOF
		return
	case errors.Is(err, errNoGzip):
		r.at.Offset = r.member
	}
	if r.file.Codec == rotate.Zstd {
		r.nextFrame(err)
		return
	}
	for from := max(r.at.Offset, r.member+1); from < r.size; {
		data, rerr := readAt(r.f, from, 4*unitRaw)
		if rerr != nil {
			r.err = rerr
			return
		}
		k := bytes.Index(data, []byte{0x1f, 0x8b, 8})
		if k < 0 {
			from += int64(max(len(data)-2, 1))
			continue
		}
		from += int64(k)
		if _, herr := gzip.NewReader(io.NewSectionReader(r.f, from, r.size-from)); herr == nil {
			r.lost(&Damage{Offset: r.at.Offset, Length: from - r.at.Offset, Entries: -1, Err: err})
			r.member, r.at = from, Position{Offset: from, Raw: -1}
			r.begin()
			return
		}
		from++
	}
	err = fmt.Errorf("%w, and nothing whole behind it,", err)
	r.lost(&Damage{Offset: r.at.Offset, Length: r.size - r.at.Offset, Entries: -1, Err: err})
	r.err = io.EOF
}
