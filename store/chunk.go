package store

import (
	"sync"
	"time"

	"inkwell/store/manifest"
)

// chunk is the raw bytes of one category that await compression. The drainer fills it, a shard takes it over whole.
type chunk struct {
	data  []byte
	count int       // entries in data
	low   uint64    // the journal below this offset holds none of its entries
	last  uint64    // journal offset behind its last entry
	born  time.Time // when the first entry came in
	spans []manifest.Span
	seq   uint64 // of the last of spans
}

// buffers hands out the memory of chunks in a few sizes, so that a thousand slow categories do not hold a megabyte each. Safe for
// concurrent use.
type buffers struct {
	mu   sync.Mutex
	free [len(bufferSizes)][][]byte
}

var bufferSizes = [...]int{4 << 10, 16 << 10, 64 << 10, 256 << 10, 1<<20 + 4<<10}

// keepFree bounds the bytes that lie idle in one size.
const keepFree = 8 << 20

// get returns an empty buffer with room for size bytes.
func (p *buffers) get(size int) []byte {
	for i, n := range bufferSizes {
		if size > n {
			continue
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if last := len(p.free[i]) - 1; last >= 0 {
			b := p.free[i][last]
			p.free[i] = p.free[i][:last]
			return b
		}
		return make([]byte, 0, n)
	}
	return make([]byte, 0, size)
}

// put gives a buffer back; nobody may hold on to it.
func (p *buffers) put(b []byte) {
	for i, n := range bufferSizes {
		if cap(b) != n {
			continue
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.free[i])*n < keepFree {
			p.free[i] = append(p.free[i], b[:0])
		}
		return
	}
}

// grow returns a buffer with the bytes of b and room for more behind them; b is given back.
func (p *buffers) grow(b []byte, more int) []byte {
	n := p.get(max(len(b)+more, min(4*cap(b), bufferSizes[len(bufferSizes)-1])))
	n = append(n, b...)
	p.put(b)
	return n
}
