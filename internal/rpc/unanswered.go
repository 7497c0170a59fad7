package rpc

import (
	"errors"
	"net"
	"syscall"
)

// unanswered is the error of a call that was written completely and has no valid answer.
type unanswered struct{ err error }

func (u *unanswered) Error() string { return u.err.Error() }
func (u *unanswered) Unwrap() error { return u.err }

// Unanswered reports whether the peer may have taken the entries of a call that failed with err: all of it was written,
// and no valid answer came. Otherwise the peer cannot have taken any, because it never had the whole call, or because
// it refused it.
func Unanswered(err error) bool { return errors.As(err, new(*unanswered)) }

// HungUp reports whether the peer has closed the connection since the last call, so that another call could only fail.
func (c *Client) HungUp() bool {
	nc := c.nc
	if s, ok := nc.(interface{ NetConn() net.Conn }); ok { // below TLS
		nc = s.NetConn()
	}
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		gone = n == 0 && err == nil || err != nil && err != syscall.EAGAIN && err != syscall.EINTR
	})
	return gone || err != nil
}
