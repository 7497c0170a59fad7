package archive

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"
	"time"

	"inkwell/store/depot"
)

const (
	rangeBytes = 1 << 20 // that are asked for at once
	rangeAhead = 3       // parts that are on their way behind the one that is read
	rangeKept  = 8       // parts that are held
	rangeTries = 4       // of each part, before the reading fails
)

// ranges reads a file of a depot in parts, of which the next ones are on their way. Safe for concurrent use.
type ranges struct {
	depot depot.Depot
	name  string
	size  int64
	ctx   context.Context
	stop  context.CancelFunc

	work  sync.WaitGroup
	mu    sync.Mutex // guards parts
	parts []*rangePart
}

// rangePart is a part of the file.
type rangePart struct {
	number int64
	done   chan struct{} // closed when what is below is set
	data   []byte
	err    error
}

func newRanges(ctx context.Context, f *File) *ranges {
	r := &ranges{depot: f.in.depot, name: f.object, size: f.Size}
	r.ctx, r.stop = context.WithCancel(ctx)
	return r
}

// ReadAt implements io.ReaderAt.
func (r *ranges) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		if off >= r.size {
			return n, io.EOF
		}
		part := r.part(off / rangeBytes)
		<-part.done
		if part.err != nil {
			return n, part.err
		}
		k := copy(p[n:], part.data[off%rangeBytes:])
		n, off = n+k, off+int64(k)
	}
	return n, nil
}

// part is the one of a number; it and those behind it are asked for if they are not there.
func (r *ranges) part(number int64) (wanted *rangePart) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k := range int64(rangeAhead + 1) {
		if (number+k)*rangeBytes >= r.size {
			break
		}
		if p := r.held(number + k); k == 0 {
			wanted = p
		}
	}
	return wanted
}

// held is a part that is held from now on, in the place of the one that was longest not asked for.
func (r *ranges) held(number int64) *rangePart {
	for i, p := range r.parts {
		if p.number == number {
			r.parts = append(append(r.parts[:i], r.parts[i+1:]...), p)
			return p
		}
	}
	p := &rangePart{number: number, done: make(chan struct{})}
	r.work.Go(func() {
		defer close(p.done)
		p.data, p.err = r.fetch(number)
	})
	if len(r.parts) >= rangeKept {
		r.parts = r.parts[1:]
	}
	r.parts = append(r.parts, p)
	return p
}

// fetch reads a part; a connection that breaks is no reason to fail.
func (r *ranges) fetch(number int64) (data []byte, err error) {
	want := depot.Range{From: number * rangeBytes, Length: min(rangeBytes, r.size-number*rangeBytes)}
	for try := range rangeTries {
		if data, err = r.once(want); err == nil || errors.Is(err, fs.ErrNotExist) || try == rangeTries-1 {
			break
		}
		select {
		case <-r.ctx.Done():
			return nil, r.ctx.Err()
		case <-time.After(time.Duration(try+1) * 200 * time.Millisecond):
		}
	}
	return data, err
}

func (r *ranges) once(want depot.Range) ([]byte, error) {
	body, err := r.depot.Open(r.ctx, r.name, want)
	if err != nil {
		return nil, err
	}
	data := make([]byte, want.Length)
	_, err = io.ReadFull(body, data)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // it is shorter than it was listed
	}
	return data, errors.Join(err, body.Close())
}

// Close ends what is on its way.
func (r *ranges) Close() error {
	r.stop()
	r.work.Wait()
	return nil
}
