package rpc

import (
	"math/bits"
	"sync"
)

const (
	minBuffer = 16 << 10 // bytes, the smallest pooled buffer
	slack     = 8 << 10  // added to each power of two, so that a call of 2^n bytes fits with its header
	classes   = 18
)

// buffer is pooled memory for a frame.
type buffer struct {
	b     []byte
	class int
}

var buffers [classes]sync.Pool

// getBuffer returns a buffer of at least n bytes with arbitrary content; put gives it back. It has less than twice that
// size, or 24 KiB.
func getBuffer(n int) *buffer {
	class := bits.Len(uint(max(n-slack, 1)-1) / minBuffer)
	if class >= classes { // beyond 2 GiB; no frame is that large
		return &buffer{b: make([]byte, n), class: class}
	}
	if b, ok := buffers[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, minBuffer<<class+slack), class: class}
}

// put gives the buffer back; b may be nil.
func (b *buffer) put() {
	if b != nil && b.class < classes {
		buffers[b.class].Put(b)
	}
}

// grown returns a buffer of at least n bytes with the first have bytes of b, and gives b back.
func (b *buffer) grown(n, have int) *buffer {
	larger := getBuffer(n)
	copy(larger.b, b.b[:have])
	b.put()
	return larger
}
