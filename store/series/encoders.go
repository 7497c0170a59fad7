package series

import (
	"fmt"
	"sync"

	"inkwell/rotate"
)

// Encoders is a pool of encoders that many series share, each with memory for a chunk and for the block made of it.
// Safe for concurrent use.
type Encoders struct {
	mu    sync.Mutex
	pools map[encoderKind]*sync.Pool
}

type encoderKind struct {
	codec rotate.Codec
	level int
}

// encoder is an encoder with the memory for a chunk.
type encoder struct {
	*rotate.Encoder
	chunk []byte
}

// NewEncoders returns an empty pool.
func NewEncoders() *Encoders { return &Encoders{pools: make(map[encoderKind]*sync.Pool)} }

func (e *Encoders) pool(c rotate.Codec, level int) *sync.Pool {
	e.mu.Lock()
	defer e.mu.Unlock()
	kind := encoderKind{c, level}
	if e.pools[kind] == nil {
		e.pools[kind] = new(sync.Pool)
	}
	return e.pools[kind]
}

func (e *Encoders) get(c rotate.Codec, level int) (*encoder, error) {
	if enc, ok := e.pool(c, level).Get().(*encoder); ok {
		return enc, nil
	}
	enc, err := rotate.NewEncoder(c, level)
	if err != nil {
		return nil, fmt.Errorf("set up compression: %w", err)
	}
	return &encoder{Encoder: enc}, nil
}

func (e *Encoders) put(c rotate.Codec, level int, enc *encoder) { e.pool(c, level).Put(enc) }
