package archive

import (
	"bytes"
	"context"
	"math"
	"slices"

	"inkwell/store/index"
)

// tail keeps the last lines of the chunks that are added.
type tail struct {
	lines  int
	chunks []*Chunk // the wanted lines begin in the first one
	ends   []int    // number of newlines in each
	sum    int
}

func (t *tail) add(c *Chunk) {
	own := *c
	n := bytes.Count(c.Data, []byte{'\n'})
	t.chunks, t.ends, t.sum = append(t.chunks, &own), append(t.ends, n), t.sum+n
	for len(t.chunks) > 1 && t.sum-t.ends[0] > t.lines { // one newline more marks the start of the first line
		t.sum -= t.ends[0]
		t.chunks, t.ends = t.chunks[1:], t.ends[1:]
	}
}

// cut returns the chunks with the wanted lines only.
func (t *tail) cut() []*Chunk {
	over := t.sum - t.lines
	if k := len(t.chunks) - 1; k >= 0 && !bytes.HasSuffix(t.chunks[k].Data, []byte{'\n'}) {
		over++ // the last line has no end
	}
	for over > 0 && len(t.chunks) > 0 {
		c := t.chunks[0]
		if t.ends[0] < over {
			over -= t.ends[0]
			t.chunks, t.ends = t.chunks[1:], t.ends[1:]
			continue
		}
		for ; over > 0; over-- {
			n := bytes.IndexByte(c.Data, '\n') + 1
			c.Data = c.Data[n:]
			if c.Raw >= 0 {
				c.Raw += int64(n)
			}
		}
	}
	return t.chunks
}

// Tail returns the last selected lines of files. It reads no more than necessary: from the last file backwards, and
// within a file from a block on that is followed by enough entries.
func (q *Query) Tail(ctx context.Context, files []File, lines int) (chunks []*Chunk, err error) {
	lines = min(lines, math.MaxInt/16) // it is multiplied
	for k := len(files) - 1; k >= 0 && lines > 0; k-- {
		t, err := q.tailOf(ctx, files[k], lines)
		if err != nil {
			return nil, err
		}
		found := t.cut()
		for _, c := range found {
			lines -= bytes.Count(c.Data, []byte{'\n'})
		}
		if n := len(found); n > 0 && len(chunks) == 0 && !bytes.HasSuffix(found[n-1].Data, []byte{'\n'}) {
			lines--
		}
		chunks = append(found, chunks...)
	}
	return chunks, nil
}

// tailOf returns the last lines of one file.
func (q *Query) tailOf(ctx context.Context, f File, lines int) (*tail, error) {
	for back := lines + 1; ; back *= 4 {
		t := &tail{lines: lines}
		from, first := Position{}, true
		if !q.narrow() {
			from, first = before(Blocks(f), back)
		}
		err := q.from(ctx, f, from, func(c *Chunk) error {
			t.add(c)
			return nil
		})
		if err != nil || first || t.sum > lines {
			return t, err
		}
	}
}

// before returns the position in the index that is followed by at least that many entries; first says that it is the
// start of the file.
func before(blocks []index.Block, entries int) (at Position, first bool) {
	raw := int64(0)
	for i := range blocks {
		raw += blocks[i].Raw
		if i > 0 && blocks[i].Offset != blocks[i-1].End() {
			return Position{}, true
		}
	}
	for _, b := range slices.Backward(blocks) {
		raw -= b.Raw
		if entries -= int(b.Entries); entries <= 0 && raw > 0 {
			return Position{Offset: b.Offset, Raw: raw}, false
		}
	}
	return Position{}, true
}
