package depot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// same reports whether an object has the content data; if it has other content, the error is ErrTaken. It reads both.
// That is needed only where an answer was lost or a process was killed between two steps.
func same(ctx context.Context, d Depot, name string, data *io.SectionReader) (bool, error) {
	r, err := d.Open(ctx, name, Whole)
	if err != nil {
		return false, fmt.Errorf("look what is there as %s: %w", name, err)
	}
	equal, err := equal(r, reading(ctx, data))
	if err = errors.Join(err, r.Close()); err != nil {
		return false, fmt.Errorf("look what is there as %s: %w", name, err)
	}
	if !equal {
		return false, taken("", name)
	}
	return true, nil
}

// taken returns the error for a name that has other content.
func taken(root, name string) error {
	if root != "" {
		name = root + "/" + name
	}
	return fmt.Errorf("%s: %w", name, ErrTaken)
}

// equal reports whether two readers have the same content.
func equal(a, b io.Reader) (bool, error) {
	x, y := make([]byte, 128<<10), make([]byte, 128<<10)
	for {
		n, err := io.ReadFull(a, x)
		m, other := io.ReadFull(b, y)
		for _, e := range []error{err, other} {
			if e != nil && e != io.EOF && e != io.ErrUnexpectedEOF {
				return false, e
			}
		}
		if !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		if n < len(x) {
			return true, nil
		}
	}
}

// reading returns a reader of data that fails when ctx ends.
func reading(ctx context.Context, data *io.SectionReader) io.Reader {
	return &contextReader{ctx: ctx, from: io.NewSectionReader(data, 0, data.Size())}
}

type contextReader struct {
	ctx  context.Context
	from *io.SectionReader
}

// Read implements io.Reader.
func (r *contextReader) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

// part reads a part of something, which Close closes.
type part struct {
	io.Reader
	io.Closer
	length int64
}

// limited returns a reader that ends after the length, if there is one.
func (p part) limited() io.ReadCloser {
	if p.length >= 0 {
		p.Reader = io.LimitReader(p.Reader, p.length)
	}
	return p
}
