package forwarder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lineReader reads a pipe, and can be told to stop. It waits with poll(2) for the pipe and for an eventfd, so that no read is under
// way when it is to stop, and so that the pipe, which belongs to others too, need not be made non-blocking.
type lineReader struct {
	conn syscall.RawConn
	wake int // an eventfd
	echo io.Writer
	log  *slog.Logger
	buf  []byte
	n    int // bytes in buf: the begin of a line
}

func newLineReader(f *os.File, o PipeOptions) (*lineReader, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("read the pipe: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	return &lineReader{conn: conn, wake: wake, echo: o.Echo, log: o.Logger, buf: make([]byte, chunkSize)}, nil
}

func (r *lineReader) close() error { return os.NewSyscallError("close", unix.Close(r.wake)) }

// run reads to the end of input, or after ctx ended to the end of a line. put is given what was read and says how many bytes of it it
// took; at the end it has to take all.
func (r *lineReader) run(ctx context.Context, put func(data []byte, rest bool) int) error {
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		if _, err := unix.Write(r.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
			r.log.Warn("cannot wake the reader of the pipe", "err", err)
		}
	})
	defer func() {
		if !stop() {
			<-woken // it writes to a descriptor that is closed next
		}
	}()
	err := r.lines(ctx, put)
	if r.n > 0 {
		put(r.buf[:r.n], true)
	}
	return err
}

func (r *lineReader) lines(ctx context.Context, put func(data []byte, rest bool) int) error {
	for ctx.Err() == nil {
		if r.n == len(r.buf) {
			r.buf = append(r.buf, make([]byte, len(r.buf))...)
		}
		n, err := r.read(r.buf[r.n:], -1)
		if err != nil {
			return eofIsNil(err)
		}
		fresh := r.buf[r.n : r.n+n]
		r.n += n
		if bytes.IndexByte(fresh, '\n') < 0 && r.n < defaultLine {
			continue
		}
		taken := put(r.buf[:r.n], false)
		r.n = copy(r.buf, r.buf[taken:r.n])
		if len(r.buf) > parcelFull && r.n < chunkSize { // after a long line
			r.buf = append(make([]byte, 0, chunkSize), r.buf[:r.n]...)[:chunkSize]
		}
	}
	return r.lineEnd()
}

// lineEnd reads on, byte by byte, to the end of the line that was begun: what is behind it is for whoever reads the pipe next.
func (r *lineReader) lineEnd() error {
	end := time.Now().Add(pipeGrace)
	var b [1]byte
	for r.n > 0 && b[0] != '\n' {
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		n, err := r.read(b[:], left)
		if err != nil {
			return eofIsNil(err)
		}
		r.buf = append(r.buf[:r.n], b[:n]...)
		r.n += n
	}
	return nil
}

func eofIsNil(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("read the pipe: %w", err)
}

// read reads what is there, and waits if nothing is: for ever if wait < 0, but then no longer than until wake. 0 bytes mean that
// there is nothing.
func (r *lineReader) read(p []byte, wait time.Duration) (n int, err error) {
	cerr := r.conn.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(r.wake), Events: unix.POLLIN}}
		millis := -1
		if wait >= 0 {
			fds, millis = fds[:1], int(wait/time.Millisecond)
		}
		if _, err = unix.Poll(fds, millis); err != nil || fds[0].Revents == 0 {
			return
		}
		if n, err = unix.Read(int(fd), p); n == 0 && err == nil {
			err = io.EOF
		}
	})
	if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
		err = nil
	}
	n = max(n, 0)
	if n > 0 && r.echo != nil {
		r.copy(p[:n])
	}
	return n, errors.Join(cerr, err)
}

// copy echoes p. A reader that went away is no reason to stop.
func (r *lineReader) copy(p []byte) {
	if _, err := r.echo.Write(p); err != nil {
		if !errors.Is(err, unix.EPIPE) {
			r.log.Warn("cannot echo what is read; going on without", "err", err)
		}
		r.echo = nil
	}
}
