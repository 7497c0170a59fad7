package forwarder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"inkwell/internal/ending"
)

// lineReader reads the lines of a pipe until its end, or until it is told to end (see ending.Until).
type lineReader struct {
	in   io.ReadCloser
	echo io.Writer
	log  *slog.Logger
	buf  []byte
	n    int // bytes in buf: the beginning of a line
}

func newLineReader(ctx, abort context.Context, f *os.File, o PipeOptions) (*lineReader, error) {
	in, err := ending.Until(ctx, abort, f)
	if err != nil {
		return nil, err
	}
	return &lineReader{in: in, echo: o.Echo, log: o.Logger, buf: make([]byte, chunkSize)}, nil
}

func (r *lineReader) close() error { return r.in.Close() }

// run reads to the end of the input. put is given what was read and returns how many bytes of it were taken. With rest,
// at the end of the input, it must take all of them, which may be a line without a newline.
func (r *lineReader) run(put func(data []byte, rest bool) int) error {
	for {
		if r.n == len(r.buf) {
			r.buf = append(r.buf, make([]byte, len(r.buf))...)
		}
		n, err := r.in.Read(r.buf[r.n:])
		fresh := r.buf[r.n : r.n+n]
		r.n += n
		r.copy(fresh)
		if err != nil {
			if r.n > 0 {
				put(r.buf[:r.n], true)
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read the pipe: %w", err)
		}
		if bytes.IndexByte(fresh, '\n') < 0 && r.n < defaultLine {
			continue
		}
		taken := put(r.buf[:r.n], false)
		r.n = copy(r.buf, r.buf[taken:r.n])
		if len(r.buf) > shipmentFull && r.n < chunkSize { // give the memory of a long line back
			r.buf = append(make([]byte, 0, chunkSize), r.buf[:r.n]...)[:chunkSize]
		}
	}
}

// copy echoes p. When the reader of the echo has gone away, reading goes on without it.
func (r *lineReader) copy(p []byte) {
	if r.echo == nil || len(p) == 0 {
		return
	}
	if _, err := r.echo.Write(p); err != nil {
		if !errors.Is(err, unix.EPIPE) {
			r.log.Warn("cannot echo the input; continuing without", "err", err)
		}
		r.echo = nil
	}
}
