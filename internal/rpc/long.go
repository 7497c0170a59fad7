package rpc

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/semaphore"
)

// freeFrame is how many bytes of a frame may be held without a share of MaxInFlight, and how many must arrive within
// each ReadTimeout.
const freeFrame = 256 << 10

// longFrame is a frame that does not fit into the connection's own buffer.
type longFrame struct {
	c    *conn
	n    int // bytes
	buf  *buffer
	have int   // bytes received
	held int64 // bytes of MaxInFlight that it has

	spill  *spill // nil: the frame is in buf
	onDisk int64  // bytes of maxSpilled that it has
	frame  []byte // the whole frame
}

// release gives back everything that the frame has taken.
func (l *longFrame) release() {
	l.buf.put()
	l.spill.release()
	if l.onDisk > 0 {
		l.c.s.spills.Release(l.onDisk)
	}
	if l.held > 0 {
		s := l.c.s
		s.budget.Release(l.held)
		s.inFlight.Add(-l.held)
		if o := l.c.from; o != nil {
			o.budget.Release(l.held)
		}
	}
}

// receive reads the frame, a very long one into a file. The buffer is at most four times what has arrived, or as large
// as the previous frame of the connection, up to freeFrame: a peer that has sent that much once is trusted to do so
// again.
func (l *longFrame) receive() error {
	c := l.c
	if err := c.flush(); err != nil {
		return err
	}
	l.buf = getBuffer(min(l.n, max(minBuffer, min(c.last, freeFrame))))
	l.have = copy(l.buf.b, c.unread)
	c.unread = c.small[:0]
	for next := 0; l.have < l.n; { // next is where the deadline is set again
		if l.spills() && l.have >= spillAfter {
			return l.spilled()
		}
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
	l.frame = l.buf.b[:l.n:l.n]
	return nil
}

// spills says whether the frame goes to a file.
func (l *longFrame) spills() bool { return l.n > maxHeld && l.c.s.o.SpillDir != "" }

// grow makes room for more of the frame.
func (l *longFrame) grow() error {
	size := 4 * l.have
	switch {
	case l.have < freeFrame:
		size = min(size, freeFrame)
	case l.spills():
		size = spillAfter
	default:
		size = max(size, l.c.last)
		if err := l.share(); err != nil {
			return err
		}
	}
	l.buf = l.buf.grown(min(l.n, size), l.have)
	return nil
}

// share waits for the frame's share of MaxInFlight: first within the share of its address, so that an address with many
// frames waits for its own ones.
func (l *longFrame) share() error {
	s := l.c.s
	want := min(int64(l.n), s.o.MaxInFlight)
	if l.held > 0 {
		return nil
	}
	o := l.c.from
	if o != nil {
		if err := l.acquire(o.budget, want); err != nil {
			return l.noRoom(err, "its address")
		}
	}
	if err := l.acquire(s.budget, want); err != nil {
		if o != nil {
			o.budget.Release(want)
		}
		return l.noRoom(err, "all addresses")
	}
	l.held = want
	s.inFlight.Add(want)
	return nil
}

// acquire takes bytes from a budget, and waits for them if necessary.
func (l *longFrame) acquire(from *semaphore.Weighted, bytes int64) error {
	if from.TryAcquire(bytes) {
		return nil
	}
	ctx, cancel := context.WithTimeout(l.c.s.ctx, l.c.s.o.ReadTimeout)
	defer cancel()
	return from.Acquire(ctx, bytes)
}

// noRoom returns the error for a frame that got no share; who has used up the budget.
func (l *longFrame) noRoom(err error, who string) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return errStopped
	}
	return &fault{l.c.s.noRoom, fmt.Sprintf(
		"no room for a frame of %d bytes within %v: the connections of %s hold all that they may",
		l.n, l.c.s.o.ReadTimeout, who)}
}
