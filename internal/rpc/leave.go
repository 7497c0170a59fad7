package rpc

import (
	"context"
	"time"
)

// leaveLook is the interval at which Leave looks whether senders are left.
const leaveLook = 20 * time.Millisecond

// settle counts the peer as a sender that can go elsewhere, or not any more. It is called for calls with entries or a
// report, and for the second call that asks: a peer that asks once, before it chooses a collector, is not counted.
func (c *conn) settle(asks bool) {
	if c.settled == asks {
		return
	}
	c.settled = asks
	if asks {
		c.s.settled.Add(1)
	} else {
		c.s.settled.Add(-1)
	}
}

// Leave tells the senders that can go elsewhere, in the answers to their calls, to do so. It returns when they have
// gone, or when ctx ends, and reports whether they have. Calls are served meanwhile, and other clients notice nothing.
// Shutdown should follow.
func (s *Server) Leave(ctx context.Context) bool {
	s.leaving.Store(true)
	tick := time.NewTicker(leaveLook)
	defer tick.Stop()
	for s.settled.Load() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
