package rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/access"
	"inkwell/internal/killpoint"
)

const (
	smallFrames = 4 << 10  // bytes of each connection's own buffer
	maxOut      = 64 << 10 // bytes of replies after which they are written
)

// conn is one connection, served by one goroutine.
type conn struct {
	s      *Server
	nc     net.Conn
	caller access.Caller
	ctx    context.Context // of its calls; it has the caller
	thrown atomic.Int64    // entries of the current call that were dropped, see Throw
	from   *origin         // the address it counts for; nil for this machine

	onlyHTTP bool // its listener accepts only HTTP
	asked    bool // the last call asked how the collector is
	settled  bool // its peer counts as a sender that can go elsewhere

	small  [smallFrames]byte
	unread []byte    // part of small: received and not used yet
	last   int       // bytes of the previous frame: the next one is probably similar
	fresh  bool      // no frame has begun yet
	within bool      // the length of a frame was read, but not yet all of the frame
	armed  bool      // the deadline of the current frame is set
	out    []byte    // replies not yet written
	outBy  time.Time // the deadline of writes

	mu     sync.Mutex
	idle   bool      // waiting for a frame to begin
	readBy time.Time // the deadline of reads
	stopBy time.Time // set by Shutdown
}

// fault is why a connection is closed whose peer did something wrong.
type fault struct {
	counter *atomic.Int64
	reason  string // never contains bytes of the peer
}

func (f *fault) Error() string { return f.reason }

// errStopped ends a connection of a server that is shut down.
var errStopped = errors.New("the server is shut down")

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{s: s, nc: nc, fresh: true}
	c.unread = c.small[:0]
	c.identify()
	return c
}

// run serves the connection until it ends.
func (c *conn) run() {
	defer c.s.ended(c)
	defer c.nc.Close()
	err := c.handshake()
	if err == nil && !c.onlyHTTP {
		err = c.serve()
	}
	if c.onlyHTTP && err == nil || err == errHTTP {
		err = c.serveHTTP()
	}
	if e := c.flush(); err == nil {
		err = e
	}
	var f *fault
	switch {
	case errors.As(err, &f):
		f.counter.Add(1)
		c.s.complaints.add("connection closed", c.nc.RemoteAddr(), f.reason)
	case err != nil && err != errStopped:
		c.s.log.Debug("connection lost", "peer", c.nc.RemoteAddr(), "error", err)
	}
}

// serve reads and answers frames. It returns nil at the end of the connection.
func (c *conn) serve() error {
	for {
		n, err := c.length()
		if err != nil || n == 0 {
			return err
		}
		if err := c.frame(n); err != nil {
			return err
		}
		c.within, c.armed, c.last = false, false, n
	}
}

// length waits for a frame and returns its length; 0 at the end of the connection.
func (c *conn) length() (int, error) {
	for len(c.unread) < 4 {
		err := c.fill()
		if err == io.EOF && len(c.unread) == 0 {
			return 0, nil
		}
		if err != nil {
			return 0, c.readError(err)
		}
	}
	n := int(int32(binary.BigEndian.Uint32(c.unread)))
	limit := c.maxFrame(n)
	switch {
	case n <= 0:
		return 0, &fault{c.s.bad, fmt.Sprintf("a frame of length %d", n)}
	case n > limit && c.speaksHTTP():
		return 0, errHTTP
	case n > limit && n>>8 == clientHello:
		return 0, &fault{c.s.tooLarge, "the peer speaks TLS, which this listener does not"}
	case n > limit:
		return 0, &fault{c.s.tooLarge, fmt.Sprintf("a frame of length %d, the limit is %d "+
			"(if these are no calls but HTTP or unframed Thrift: the peer must use the framed transport)", n, limit)}
	}
	c.unread, c.within, c.fresh = c.unread[4:], true, false
	return n, nil
}

// trusted says whether the peer may send more than others.
func (c *conn) trusted() bool { return c.s.o.Trusted != nil && c.s.o.Trusted(&c.caller) }

// maxFrame is the limit for a frame of n bytes. Whether the peer is trusted is only looked up if that matters.
func (c *conn) maxFrame(n int) int {
	if o := &c.s.o; n > o.MaxFrame && o.MaxTrusted > o.MaxFrame && c.trusted() {
		return o.MaxTrusted
	}
	return c.s.o.MaxFrame
}

// frame receives a frame of n bytes and answers the calls in it.
func (c *conn) frame(n int) error {
	for n > len(c.unread) && len(c.unread) < smallFrames {
		if n > smallFrames && c.last > smallFrames {
			break // the frame before was large, too: use a larger buffer at once
		}
		if err := c.fill(); err != nil {
			return c.readError(err)
		}
	}
	if n <= len(c.unread) {
		frame := c.unread[:n:n]
		c.unread = c.unread[n:]
		return c.answer(frame)
	}
	l := longFrame{c: c, n: n}
	defer l.release()
	if err := l.receive(); err != nil {
		return c.readError(err)
	}
	return c.answer(l.frame)
}

// fill reads once into small, after what is unread there. Replies are sent first.
func (c *conn) fill() error {
	if err := c.flush(); err != nil {
		return err
	}
	have := copy(c.small[:], c.unread)
	if !c.armed {
		if err := c.await(have == 0 && !c.within); err != nil {
			return err
		}
	}
	n, err := c.nc.Read(c.small[have:])
	c.unread = c.small[:have+n]
	if n > 0 {
		return nil
	}
	return err
}

// await sets the deadline of the next reads. idle says that they wait for a frame to begin.
func (c *conn) await(idle bool) error {
	timeout := c.s.o.ReadTimeout
	switch {
	case idle && c.fresh:
		timeout = c.s.o.headerTimeout()
	case idle:
		timeout = c.s.o.IdleTimeout
	}
	c.armed = !idle
	by := time.Now().Add(timeout)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = idle
	switch {
	case c.stopBy.IsZero():
		if early := by.Sub(c.readBy); early >= 0 && early < timeout/8 || idle && c.fresh && !c.readBy.IsZero() {
			// The deadline is close enough, and setting it costs more than reading the clock. The first frame gets
			// the time that the handshake has left over.
			return nil
		}
	case idle:
		return errStopped
	case by.After(c.stopBy):
		by = c.stopBy
	}
	c.readBy = by
	return c.nc.SetReadDeadline(by)
}

// stop makes the connection end after its current call; a frame that has begun must have arrived by then. Shutdown
// calls it.
func (c *conn) stop(by time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopBy = by
	if c.idle {
		by = time.Unix(1, 0) // wakes the read
	}
	if by.Before(c.readBy) {
		c.readBy = by
		if err := c.nc.SetReadDeadline(by); err != nil {
			c.cut()
		}
	}
}

// flush writes the collected replies.
func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	if now := time.Now(); c.outBy.Sub(now) < c.s.o.WriteTimeout {
		c.outBy = now.Add(c.s.o.WriteTimeout * 3 / 2)
		if err := c.nc.SetWriteDeadline(c.outBy); err != nil {
			return err
		}
	}
	_, err := c.nc.Write(c.out)
	killpoint.Reach("rpc.answer.sent")
	if c.out = c.out[:0]; cap(c.out) > maxOut {
		c.out = nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &fault{c.s.timedOut, "the peer does not take its replies"}
	}
	return err
}

// readError translates the error of a read.
func (c *conn) readError(err error) error {
	c.mu.Lock()
	idle, stopping := c.idle, !c.stopBy.IsZero()
	c.mu.Unlock()
	timeout := errors.Is(err, os.ErrDeadlineExceeded)
	switch {
	case err == io.EOF:
		return &fault{c.s.bad, "the connection ended within a frame"}
	case timeout && stopping:
		return errStopped
	case timeout && idle && c.fresh:
		return &fault{c.s.timedOut, fmt.Sprintf("no call within %v of connecting", c.s.o.headerTimeout())}
	case timeout && idle:
		return &fault{c.s.timedOut, fmt.Sprintf("no call within %v", c.s.o.IdleTimeout)}
	case timeout:
		return &fault{c.s.timedOut, fmt.Sprintf("a frame that has begun did not go on within %v", c.s.o.ReadTimeout)}
	}
	return err
}
