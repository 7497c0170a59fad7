package hop

import (
	"math/rand/v2"
	"time"
)

// age determines when a connection is replaced by a new one to the same address. That gives every server behind the
// address its share, for example when the address is a load balancer or a name that moves to another server. The time
// is the greatest age or up to a quarter less, at random, so that senders that started together do not reconnect
// together. The new connection is made concurrently with calls, which use the old one until then. Not safe for
// concurrent use.
type age struct {
	most     time.Duration // greatest age; 0 = unlimited
	end      time.Time     // when the connection is to be replaced
	renewing bool          // the new connection is being made
}

// start records that a new connection was made.
func (a *age) start(now time.Time) {
	a.renewing = false
	if a.most > 0 {
		a.end = now.Add(a.most - rand.N(a.most/4+1))
	}
}

// expired reports whether the connection is to be replaced.
func (a *age) expired(now time.Time) bool { return a.most > 0 && !now.Before(a.end) }

// renew records that a new connection is being made. If that fails it is tried again after restTime.
func (a *age) renew(now time.Time) { a.renewing, a.end = true, now.Add(restTime) }
