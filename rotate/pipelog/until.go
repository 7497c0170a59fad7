package pipelog

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

const (
	linger    = 5 * time.Second // for the writers of the pipe, after ctx ended
	lineGrace = time.Second     // for the end of a line that has begun, after that
)

// until reads a file that can be told to end. It waits with poll(2) for the file and for an eventfd, so that the pipe, which belongs to
// others too, need not be made non-blocking.
type until struct {
	ctx    context.Context
	conn   syscall.RawConn
	wake   int // an eventfd
	stop   func() bool
	woken  chan struct{}
	last   byte // that was read
	linger time.Duration
	ending time.Time // when the writers are no longer waited for; zero = ctx has not ended
}

// Until returns a reader of f that ends with f, or some time after ctx ended: it gives the writers of the pipe five seconds to end as
// well, then reads to the end of the line that was begun, for which it waits a second. What comes later stays in the pipe for whoever
// reads it next. A web server that restarts gracefully tells its loggers to end while its old children still answer and log: what they
// write then would be lost. Close does not close f.
func Until(ctx context.Context, f *os.File) (io.ReadCloser, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	u := &until{ctx: ctx, conn: conn, wake: wake, last: '\n', linger: linger, woken: make(chan struct{})}
	u.stop = context.AfterFunc(ctx, func() {
		defer close(u.woken)
		_, _ = unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // to a new eventfd: cannot fail
	})
	return u, nil
}

// Close ends the reading. It must not be called while Read runs.
func (u *until) Close() error {
	if !u.stop() {
		<-u.woken
	}
	return os.NewSyscallError("close", unix.Close(u.wake))
}

// Read reads what is there, as io.Reader.
func (u *until) Read(p []byte) (int, error) {
	for {
		wait := time.Duration(-1)
		if u.ctx.Err() != nil {
			now := time.Now()
			if u.ending.IsZero() {
				u.ending = now.Add(u.linger)
			}
			if wait = u.ending.Sub(now); wait <= 0 {
				if wait += lineGrace; wait <= 0 || u.last == '\n' {
					return 0, io.EOF
				}
				p = p[:1] // what is behind the line is not for us
			}
		}
		n, err := u.read(p, wait)
		if n > 0 {
			u.last = p[n-1]
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// read reads once; 0 bytes mean that there was nothing within wait, or for wait < 0 that ctx has ended.
func (u *until) read(p []byte, wait time.Duration) (n int, err error) {
	cerr := u.conn.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(u.wake), Events: unix.POLLIN}}
		millis := -1
		if wait >= 0 {
			fds, millis = fds[:1], int(wait/time.Millisecond)+1
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
	if err == nil {
		err = cerr
	}
	return max(n, 0), err
}
