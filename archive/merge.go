package archive

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"sync"
)

// Merge reads several series beside each other, and gives what is wanted of them to use in the order in which it came
// in, block by block. A block that ends within a line is followed by the next of its series. It holds a few blocks of
// each series.
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

// head is a series that is merged.
type head struct {
	chunks chan *Chunk
	next   *Chunk // nil: to be taken from chunks
	done   bool
	err    error // when chunks is closed
}

// earliest is the one whose next chunk came in first; before, if that has one.
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

// Series gives what is wanted of files to use, one file behind the other. One that retention removes meanwhile is
// passed over.
func (q *Query) Series(ctx context.Context, files []File, use func(*Chunk) error) error {
	for _, f := range files {
		if err := q.Read(ctx, f, use); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
