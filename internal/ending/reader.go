package ending

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Linger is the longest time that a reader which was told to stop waits for the writers of its pipe and for the end of
// a line.
const Linger = writersGrace + lineGrace

const (
	writersGrace = 5 * time.Second // for the writers of the pipe, after ctx ended
	lineGrace    = time.Second     // for the end of a line that has begun, after that
)

// reader reads a file and can be told to stop. It waits with poll(2) for the file and for an eventfd. The pipe is
// shared with other processes, so it must not be made non-blocking.
type reader struct {
	ctx, abort context.Context
	conn       syscall.RawConn
	wake       int // an eventfd, readable when a context has ended that Read does not know of
	stops      []func() bool
	woken      chan struct{} // takes a value for each context that ended
	last       byte          // that was read
	grace      time.Duration // for the writers
	end        time.Time     // when the writers are no longer waited for; zero = ctx has not ended
}

// Until returns a reader of f. It ends with f, immediately when abort ends, or some time after ctx ended: the writers
// of a pipe or socket get five seconds to close it, then the reader waits up to one second for the rest of an
// unfinished line. Whatever is written later stays in the pipe for its next reader.
//
// The wait is needed for web servers that restart gracefully: they tell their loggers to stop while their old children
// still answer and log, and those lines would be lost. Regular files and terminals have no writers to wait for; there
// the reader only completes the unfinished line. Close does not close f.
func Until(ctx, abort context.Context, f *os.File) (io.ReadCloser, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	r := &reader{ctx: ctx, abort: abort, conn: conn, wake: wake, last: '\n', woken: make(chan struct{}, 2)}
	if info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0 {
		r.grace = writersGrace
	}
	for _, c := range []context.Context{ctx, abort} {
		r.stops = append(r.stops, context.AfterFunc(c, func() {
			_, _ = unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // its counter cannot overflow: cannot fail
			r.woken <- struct{}{}
		}))
	}
	return r, nil
}

// Close releases the reader. It must not be called while Read runs.
func (r *reader) Close() error {
	for _, stop := range r.stops {
		if !stop() {
			<-r.woken // it writes to a descriptor that is closed next
		}
	}
	return os.NewSyscallError("close", unix.Close(r.wake))
}

// Read implements io.Reader and returns as soon as there are some bytes.
func (r *reader) Read(p []byte) (int, error) {
	for r.abort.Err() == nil {
		wait := time.Duration(-1)
		if r.ctx.Err() != nil {
			now := time.Now()
			if r.end.IsZero() {
				r.end = now.Add(r.grace)
			}
			if wait = r.end.Sub(now); wait <= 0 {
				if wait += lineGrace; wait <= 0 || r.last == '\n' {
					return 0, io.EOF
				}
				p = p[:1] // what follows the line is left for the next reader
			}
		}
		n, err := r.read(p, wait)
		if n > 0 {
			r.last = p[n-1]
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.EOF
}

// read reads once. 0 bytes mean that nothing came within wait (a negative wait is endless), or that a context has
// ended.
func (r *reader) read(p []byte, wait time.Duration) (n int, err error) {
	cerr := r.conn.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(r.wake), Events: unix.POLLIN}}
		millis := -1
		if wait >= 0 {
			millis = int(wait/time.Millisecond) + 1
		}
		if _, err = unix.Poll(fds, millis); err != nil {
			return
		}
		if fds[1].Revents != 0 {
			var count [8]byte
			_, err = unix.Read(r.wake, count[:])
			return
		}
		if fds[0].Revents == 0 {
			return
		}
		if n, err = unix.Read(int(fd), p); n == 0 && err == nil {
			err = io.EOF
		}
	})
	if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
		err = nil
	}
	if err == nil {
		err = cerr
	}
	return max(n, 0), err
}
