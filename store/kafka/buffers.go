package kafka

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// buffers are the memory of fetched records, which is used again after Record.Recycle. It implements
// kgo.PoolDecompressBytes. Safe for concurrent use.
type buffers struct{ pool sync.Pool }

const (
	leastBuffer = maxValue + recordSlack // a batch with one record
	mostBuffer  = 4 << 20                // what is larger is not kept
	expansion   = 6                      // decompressed bytes for each compressed one, which logs seldom exceed
)

// GetDecompressBytes implements kgo.PoolDecompressBytes. If the memory were too small, the client would make more, and
// copy.
func (b *buffers) GetDecompressBytes(compressed []byte, _ kgo.CompressionCodecType) []byte {
	need := min(max(expansion*len(compressed), leastBuffer), mostBuffer)
	if data, ok := b.pool.Get().(*[]byte); ok && cap(*data) >= need {
		return *data
	}
	return make([]byte, 0, need)
}

// PutDecompressBytes implements kgo.PoolDecompressBytes.
func (b *buffers) PutDecompressBytes(data []byte) {
	if cap(data) <= mostBuffer {
		b.pool.Put(&data)
	}
}
