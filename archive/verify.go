package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/rotate"
	"inkwell/store/index"
)

// Verdict is the result of reading a whole file.
type Verdict struct {
	Raw    int64 // decoded bytes
	Lines  int64
	Lost   []*Damage
	Wrong  string // what is inconsistent although it can be read; "" = nothing
	Index  IndexState
	blocks []index.Block // of a correct index; nil if the file has no blocks
}

// IndexState says whether the index of a file is usable.
type IndexState int

// The states of an index.
const (
	IndexFits    IndexState = iota // it has all blocks
	IndexMissing                   // there is none, or it lacks blocks
	IndexNone                      // not needed: the file has no blocks, or is still being written
)

// Verify reads all of a file.
func (q *Query) Verify(ctx context.Context, f File) (*Verdict, error) {
	c, err := q.ContentsOf(f)
	if err != nil {
		return nil, err
	}
	facts := c.Of(f)
	v := &Verdict{}
	blocks := Blocks(f)
	if v.Index = IndexMissing; f.Open || f.in != nil {
		v.Index = IndexNone
	} else if covers(blocks, f) {
		v.Index = IndexFits
	}
	r, err := Open(ctx, f, Options{Blocks: blocks, Progress: q.Progress,
		Lost: func(d *Damage) { v.Lost = append(v.Lost, d) }})
	if err != nil {
		return nil, err
	}
	if actual := r.File().Codec; actual != f.Codec {
		v.Wrong = fmt.Sprintf("its name says %v, what is in it is %v", f.Codec, actual)
		v.Index = IndexNone
	}
	times := timesOf(&facts)
	for {
		chunk, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		v.Raw += int64(len(chunk.Data))
		v.Lines += int64(bytes.Count(chunk.Data, []byte{'\n'}))
		if v.Index != IndexMissing {
			continue
		}
		if chunk.Length == 0 {
			v.Index, v.blocks = IndexNone, nil
			continue
		}
		v.blocks = append(v.blocks, times.block(chunk))
	}
	if facts.Known && !f.Open && f.Codec != rotate.None && len(v.Lost) == 0 && v.Raw != facts.Raw {
		v.Wrong = fmt.Sprintf("it holds %d bytes, its manifest says %d", v.Raw, facts.Raw)
	}
	return v, r.Close()
}

// covers says whether blocks are all blocks of a finished file.
func covers(blocks []index.Block, f File) bool {
	if len(blocks) == 0 {
		return false
	}
	at := blocks[0].Offset
	for i := range blocks {
		if blocks[i].Offset != at {
			return false
		}
		at = blocks[i].End()
	}
	switch f.Codec {
	case rotate.Gzip:
		return blocks[0].Offset == int64(len(ours)) && at+10 == f.Size
	case rotate.None:
		return blocks[0].Offset == 0 && at == f.Size
	}
	return blocks[0].Offset == 0 && at <= f.Size // the seek table follows them
}

// MakeIndex writes the index that Verify found missing. Its times are the hours in the manifest.
func (v *Verdict) MakeIndex(f File) error {
	dir, err := faultfs.OpenDir(f.Home(), nil)
	if err != nil {
		return err
	}
	defer dir.Close()
	return index.Write(dir, f.Name(), v.blocks)
}

// spanTimes knows when the bytes of a file were received, to the hour. It is asked for increasing offsets.
type spanTimes struct {
	facts *Facts
	next  int
	from  int64 // offset in the content at which the next span begins
}

func timesOf(facts *Facts) *spanTimes { return &spanTimes{facts: facts} }

// block returns the index entry of a chunk.
func (t *spanTimes) block(c *Chunk) index.Block {
	b := index.Block{
		Offset: c.Offset, Length: c.Length, Raw: int64(len(c.Data)), Sum: c.Sum,
		Entries: int64(bytes.Count(c.Data, []byte{'\n'})),
	}
	if c.Raw < 0 || t.facts.Unordered {
		b.First, b.Last = t.facts.First, t.facts.Last
		return b
	}
	end := c.Raw + b.Raw
	for t.next < len(t.facts.Spans) && t.from < end {
		s := &t.facts.Spans[t.next]
		if s.Bytes > 0 && t.from+s.Bytes > c.Raw {
			b.Saw(s.Stream)
			hour := time.Unix(s.Hour*3600, 0)
			if b.First.IsZero() || hour.Before(b.First) {
				b.First = hour
			}
			if last := hour.Add(time.Hour); last.After(b.Last) {
				b.Last = last
			}
		}
		if t.from+s.Bytes > end {
			break
		}
		t.from += s.Bytes
		t.next++
	}
	if b.First.Before(t.facts.First) {
		b.First = t.facts.First
	}
	if last := t.facts.Last.Add(time.Second); !t.facts.Last.IsZero() && b.Last.After(last) {
		b.Last = last
	}
	return b
}

// Salvage writes what can be read of a file to a new file with the same compression.
func (q *Query) Salvage(ctx context.Context, f File, path string) (raw int64, err error) {
	dir, err := faultfs.OpenDir(filepath.Dir(path), nil)
	if err != nil {
		return 0, err
	}
	w, err := rotate.Create(dir, filepath.Base(path), f.Codec)
	if err != nil {
		return 0, errors.Join(err, dir.Close())
	}
	err = q.Read(ctx, f, func(c *Chunk) error {
		raw += int64(len(c.Data))
		return w.Append(c.Data)
	})
	if err == nil {
		err = w.Finish()
	}
	return raw, errors.Join(err, w.Close(), dir.Close())
}
