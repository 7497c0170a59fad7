package rpc

import (
	"cmp"
	"math/rand/v2"
	"time"
)

// Backoff says how long to wait before the next attempt: a random time between Min and a bound that doubles with each
// attempt, from 2 × Min up to Max. It is random so that many senders do not reconnect at the same moment. The zero
// value means 100 ms to 10 s. Not safe for concurrent use.
type Backoff struct {
	Min, Max time.Duration

	attempts int
}

// Next returns the next time to wait.
func (b *Backoff) Next() time.Duration {
	low, high := cmp.Or(b.Min, 100*time.Millisecond), cmp.Or(b.Max, 10*time.Second)
	bound := low
	for i := 0; i <= b.attempts && bound < high; i++ {
		bound *= 2
	}
	if bound < high {
		b.attempts++
	}
	bound = min(bound, high)
	return min(low, bound) + rand.N(max(bound-low, 0)+1)
}

// Reset is called after a success.
func (b *Backoff) Reset() { b.attempts = 0 }
