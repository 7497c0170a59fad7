package archive

import (
	"bytes"
	"context"
	"errors"
	"io"

	"inkwell/archive/inflate"
	"inkwell/rotate"
	"inkwell/store/index"
)

// splitter cuts a file into units, beginning at a block.
type splitter struct {
	f      io.ReaderAt
	codec  rotate.Codec
	size   int64 // of the file
	pos    int64
	raw    int64 // bytes of content before pos; -1 = unknown
	blocks []index.Block
	want   func(b *index.Block) bool // nil = all
	apart  bool                      // each block of the index is a unit
	queue  chan<- *unit
}

// errStream says that there are no more blocks, so that the rest has to be read as a stream.
var errStream = errors.New("no blocks")

// run sends units until the file or ctx ends, or it finds no more blocks. In that case the last unit has no data, and
// its err says why.
func (s *splitter) run(ctx context.Context) {
	defer close(s.queue)
	for {
		u, err := s.next()
		if err == nil && u == nil {
			return
		}
		if err != nil {
			u = &unit{off: s.pos, raw: s.raw, err: err, done: make(chan struct{})}
			close(u.done)
		}
		if !s.send(ctx, u) || err != nil {
			return
		}
	}
}

func (s *splitter) send(ctx context.Context, u *unit) bool {
	if u.data != nil {
		select {
		case cores <- struct{}{}:
			go func() {
				u.decode(s.codec)
				<-cores
			}()
		case <-ctx.Done():
			return false
		}
	}
	select {
	case s.queue <- u:
		return true
	case <-ctx.Done():
		return false
	}
}

// next returns the unit at pos; nil at the end of the file.
func (s *splitter) next() (*unit, error) {
	if u, err := s.indexed(); u != nil || err != nil {
		return u, err
	}
	if s.pos >= s.size {
		return nil, nil
	}
	switch s.codec {
	case rotate.Gzip:
		return s.gzip()
	case rotate.Zstd:
		return s.zstd()
	}
	return s.unit(min(unitRaw, s.size-s.pos))
}

// unit returns the next n bytes as a unit.
func (s *splitter) unit(n int64) (*unit, error) {
	data, err := readAt(s.f, s.pos, int(n))
	if err != nil || len(data) == 0 {
		return nil, err
	}
	u := &unit{off: s.pos, raw: s.raw, data: data, done: make(chan struct{})}
	s.pos += int64(len(data))
	u.last = s.pos >= s.size
	if s.codec == rotate.None && s.raw >= 0 {
		s.raw += int64(len(data))
	} else {
		s.raw = -1 // the reader counts instead
	}
	return u, nil
}

// indexed returns a unit of the next wanted blocks in the index, and skips the others. It returns nil if the index does
// not continue at pos.
func (s *splitter) indexed() (*unit, error) {
	var run []index.Block
	packed, raw := int64(0), int64(0)
	from, at := s.pos, s.raw
	for len(s.blocks) > 0 && s.blocks[0].Offset == s.pos && s.blocks[0].End() <= s.size {
		b := s.blocks[0]
		wanted := s.want == nil || s.want(&b)
		if len(run) > 0 && (!wanted || s.apart || raw+b.Raw > unitRaw) {
			break
		}
		s.blocks, s.pos = s.blocks[1:], b.End()
		if s.raw >= 0 {
			s.raw += b.Raw
		}
		if !wanted {
			from, at = s.pos, s.raw
			continue
		}
		run, packed, raw = append(run, b), packed+b.Length, raw+b.Raw
	}
	if len(run) == 0 {
		if s.blocks = s.from(s.blocks); len(s.blocks) > 0 && s.blocks[0].Offset == s.pos {
			s.blocks = nil // it ends behind the end of the file: the index is of another one
		}
		return nil, nil
	}
	data, err := readAt(s.f, from, int(packed))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) < packed { // the file was truncated meanwhile
		return nil, io.ErrUnexpectedEOF
	}
	return &unit{off: from, raw: at, data: data, blocks: run, last: s.pos >= s.size, done: make(chan struct{})}, nil
}

// from drops the blocks that begin before pos: the index is of another file, or was used up to there.
func (s *splitter) from(blocks []index.Block) []index.Block {
	for len(blocks) > 0 && blocks[0].Offset < s.pos {
		blocks = blocks[1:]
	}
	return blocks
}

// gap is the offset at which the index continues, or the end of the file.
func (s *splitter) gap() int64 {
	if len(s.blocks) > 0 {
		return min(s.blocks[0].Offset, s.size)
	}
	return s.size
}

// gzip returns a unit that ends at a flush marker, or at the end of the file.
func (s *splitter) gzip() (*unit, error) {
	end := s.gap()
	for window := int64(unitPacked); ; window *= 4 {
		n := min(window, end-s.pos)
		data, err := readAt(s.f, s.pos, int(n))
		if err != nil || len(data) == 0 {
			return nil, err
		}
		cut := bytes.LastIndex(data, inflate.Flushed) + len(inflate.Flushed)
		switch {
		case cut >= len(inflate.Flushed) && (s.pos+n < end || end < s.size):
			return s.unit(int64(cut))
		case s.pos+n >= end:
			return s.tail(data)
		case window > maxRaw:
			return nil, errStream
		}
	}
}

// tail returns the last units of the file: what follows the last marker is a unit of its own.
func (s *splitter) tail(data []byte) (*unit, error) {
	cut := bytes.LastIndex(data, inflate.Flushed) + len(inflate.Flushed)
	if cut >= len(inflate.Flushed) && cut < len(data) {
		return s.unit(int64(cut))
	}
	return s.unit(int64(len(data)))
}

// zstd returns a unit of frames whose headers have the size of their content.
func (s *splitter) zstd() (*unit, error) {
	packed, content := int64(0), int64(0)
	end := s.gap()
	for s.pos+packed < end {
		n, raw, err := rotate.Frame(s.f, s.pos+packed)
		if err == nil && s.pos+packed+n > s.size {
			err = io.ErrUnexpectedEOF
		}
		if errors.Is(err, rotate.ErrUnsized) || raw > maxRaw {
			if packed > 0 {
				break
			}
			return nil, errStream
		}
		if err != nil {
			if packed > 0 {
				break
			}
			return nil, err
		}
		if packed > 0 && content+raw > unitRaw {
			break
		}
		packed, content = packed+n, content+raw
	}
	return s.unit(packed)
}
