package kafka

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// buffers are the memory of fetched records, which is used again after Record.Recycle. It implements
// kgo.PoolDecompressBytes. Safe for concurrent use.
type buffers struct{ pool sync.Pool }

// GetDecompressBytes implements kgo.PoolDecompressBytes. A batch usually has one record.
func (b *buffers) GetDecompressBytes([]byte, kgo.CompressionCodecType) []byte {
	if data, ok := b.pool.Get().(*[]byte); ok {
		return *data
	}
	return make([]byte, 0, maxValue+recordSlack)
}

// PutDecompressBytes implements kgo.PoolDecompressBytes.
func (b *buffers) PutDecompressBytes(data []byte) {
	if cap(data) <= 2*maxValue { // memory for a single long message is not kept
		b.pool.Put(&data)
	}
}
