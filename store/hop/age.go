package hop

import (
	"math/rand/v2"
	"time"
)

// age is how old a connection is, and when it is replaced by another to the same address, so that what stands behind
// that, as a balancer or a name that moves to another server, gets its share. That is at the greatest age or up to a
// quarter before it: senders that began together do not come back together. The new connection is made beside the
// calls, and the old one stands until it is there. Not safe for concurrent use.
type age struct {
	most     time.Duration // 0 = any
	end      time.Time     // when the connection is to be replaced
	renewing bool          // another one is being made
}

// begin notes a new connection.
func (a *age) begin(now time.Time) {
	a.renewing = false
	if a.most > 0 {
		a.end = now.Add(a.most - rand.N(a.most/4+1))
	}
}

// over says whether the connection is to be replaced.
func (a *age) over(now time.Time) bool { return a.most > 0 && !now.Before(a.end) }

// renew notes that another connection is being made; if that fails it is tried again after a while.
func (a *age) renew(now time.Time) { a.renewing, a.end = true, now.Add(restTime) }
