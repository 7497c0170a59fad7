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
	lineGrace = time.Second // for the end of a line that has begun
	restMax   = 1 << 20     // bytes of the input that are read after ctx ended: what the largest pipe holds
)

// until reads a file that can be told to end. It waits with poll(2) for the file and for an eventfd, so that the pipe, which belongs to
// others too, need not be made non-blocking.
type until struct {
	ctx    context.Context
	conn   syscall.RawConn
	wake   int // an eventfd
	stop   func() bool
	woken  chan struct{}
	last   byte      // that was read
	left   int       // bytes that were there when ctx ended
	ending time.Time // when the end of a line is no longer waited for; zero = ctx has not ended
}

// Until returns a reader of f that ends with f, or after ctx ended: then with what is in the pipe already, and the end of the line that
// was begun, for which it waits a second. What comes later stays in the pipe for whoever reads it next. Close does not close f.
func Until(ctx context.Context, f *os.File) (io.ReadCloser, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	u := &until{ctx: ctx, conn: conn, wake: wake, last: '\n', woken: make(chan struct{})}
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
			if u.ending.IsZero() {
				u.ending, u.left = time.Now().Add(lineGrace), u.inPipe()
			}
			wait = max(time.Until(u.ending), 0)
			switch {
			case u.left > 0:
				p = p[:min(len(p), u.left)]
			case u.last != '\n' && wait > 0:
				p = p[:1] // what is behind the line is not for us
			default:
				return 0, io.EOF
			}
		}
		n, err := u.read(p, wait)
		if n > 0 {
			u.last, u.left = p[n-1], u.left-n
		}
		switch {
		case n > 0 || err != nil:
			return n, err
		case wait == 0: // somebody else reads the pipe as well
			return 0, io.EOF
		}
	}
}

// inPipe is how many bytes wait to be read.
func (u *until) inPipe() (n int) {
	if err := u.conn.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }); err != nil {
		return 0
	}
	return min(max(n, 0), restMax)
}

// read reads once; 0 bytes mean that there was nothing within wait, or for wait < 0 that ctx has ended.
func (u *until) read(p []byte, wait time.Duration) (n int, err error) {
	cerr := u.conn.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(u.wake), Events: unix.POLLIN}}
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
	if err == nil {
		err = cerr
	}
	return max(n, 0), err
}
