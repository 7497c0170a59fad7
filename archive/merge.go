package archive

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"sync"
)

// Merge reads several series in parallel, and passes what the query selects to use, block by block, in the order in
// which it was received. A block that ends within a line is followed by the next block of the same series. Merge holds
// a few blocks of each series in memory.
func (q *Query) Merge(ctx context.Context, list []Series, use func(*Chunk) error) error {
	q.Apart = true
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	heads := make([]*head, len(list))
	var readers sync.WaitGroup
	for i := range list {
		h := &head{chunks: make(chan *Chunk)}
		heads[i] = h
		readers.Go(func() {
			defer close(h.chunks)
			h.err = q.Series(ctx, list[i].Files, func(c *Chunk) error {
				own := *c
				select {
				case h.chunks <- &own:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
		})
	}
	var err error
	var last *head
	for err == nil {
		h := earliest(heads, last)
		if h == nil {
			break
		}
		err, last = use(h.next), nil
		if !bytes.HasSuffix(h.next.Data, []byte{'\n'}) {
			last = h
		}
		h.next = nil
	}
	stop()
	readers.Wait()
	for _, h := range heads {
		if err == nil || errors.Is(err, context.Canceled) {
			err = h.err
		}
	}
	return err
}

// head is the state of one series in a merge.
type head struct {
	chunks chan *Chunk
	next   *Chunk // nil = it has to be received from chunks
	done   bool
	err    error // valid once chunks is closed
}

// earliest returns the series whose next chunk was received first, or before, if that has another chunk. nil = all have
// ended.
func earliest(heads []*head, before *head) (first *head) {
	for _, h := range heads {
		if h.next == nil && !h.done {
			c, more := <-h.chunks
			h.next, h.done = c, !more
		}
		if h.next == nil {
			continue
		}
		if h == before {
			return h
		}
		if first == nil || h.next.First.Before(first.next.First) {
			first = h
		}
	}
	return first
}

// Series passes what the query selects of the files to use, one file after the other. Files that retention deletes
// meanwhile are skipped, but not after Once: what another file has of such a file is left out there.
func (q *Query) Series(ctx context.Context, files []File, use func(*Chunk) error) error {
	for _, f := range files {
		err := q.Read(ctx, f, use)
		if errors.Is(err, fs.ErrNotExist) && f.copies == nil {
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
