package rpc

import (
	"context"
	"errors"
	"fmt"
)

// freeFrame is what a frame may hold, in bytes, without a share of MaxInFlight; and what must arrive within each ReadTimeout.
const freeFrame = 256 << 10

// long is a frame that does not fit into what a connection holds itself.
type long struct {
	c    *conn
	n    int // bytes
	buf  *buffer
	have int   // bytes received
	held int64 // bytes of MaxInFlight
}

// release gives everything back.
func (l *long) release() {
	l.buf.put()
	if l.held > 0 {
		l.c.s.budget.Release(l.held)
	}
}

// receive reads the frame. The buffer is at most four times what has arrived, or what the frame before had: a peer that sent so much
// once is believed to do so again, up to freeFrame.
func (l *long) receive() error {
	c := l.c
	if err := c.flush(); err != nil {
		return err
	}
	l.buf = getBuffer(min(l.n, max(minBuffer, min(c.last, freeFrame))))
	l.have = copy(l.buf.b, c.unread)
	c.unread = c.small[:0]
	for next := 0; l.have < l.n; { // next: where the deadline is set again
		if l.have == len(l.buf.b) {
			if err := l.grow(); err != nil {
				return err
			}
		}
		if l.have >= next {
			next = l.have + freeFrame
			if err := c.await(false); err != nil {
				return err
			}
		}
		n, err := c.nc.Read(l.buf.b[l.have:min(l.n, len(l.buf.b))])
		l.have += n
		if err != nil && l.have < l.n {
			return err
		}
	}
	return nil
}

// grow makes room for more of the frame.
func (l *long) grow() error {
	size := 4 * l.have
	if l.have < freeFrame {
		size = min(size, freeFrame)
	} else {
		size = max(size, l.c.last)
		if err := l.share(); err != nil {
			return err
		}
	}
	l.buf = l.buf.grown(min(l.n, size), l.have)
	return nil
}

// share waits for the frame's share of MaxInFlight.
func (l *long) share() error {
	s := l.c.s
	want := min(int64(l.n), s.o.MaxInFlight)
	if l.held > 0 {
		return nil
	}
	if !s.budget.TryAcquire(want) {
		ctx, cancel := context.WithTimeout(s.ctx, s.o.ReadTimeout)
		defer cancel()
		err := s.budget.Acquire(ctx, want)
		if errors.Is(err, context.DeadlineExceeded) {
			return &fault{s.timedOut, fmt.Sprintf("no room for a frame of %d bytes within %v: other connections hold %d", l.n, s.o.ReadTimeout, s.o.MaxInFlight)}
		}
		if err != nil {
			return errStopped
		}
	}
	l.held = want
	return nil
}
