// Package rpc moves Scribe calls over TCP, TLS or unix sockets: a framed server that decodes Log in place, and a client
// that writes it without a copy.
//
//	accept ─► (TLS) ─► conn: 4-byte length ─┬─► frame ─► messages ─┬─ Log ─► Handler.Log ─────┬─► replies ─► peer
//	                                        │                      └─ any other ─► TProcessor ┘
//	                                        └─ not a length but "GET " ─► net/http ─► ServerOptions.HTTP (web.go)
//
// A connection is one goroutine that handles frames in order, so that pipelined calls are answered in order. It needs 4
// KiB while it is idle. A longer frame goes into a pooled buffer, which grows with the bytes that have arrived, not
// with the length that a peer claims, and is given back before the connection waits again. A frame over 16 MiB goes to
// a file that is mapped, whose pages the kernel can evict. Replies to frames that arrived together are sent together.
//
// Invariants: a call is answered only after the Handler has returned. A peer that sends something else than calls
// (junk, a length out of bounds, half a frame and then nothing) loses its connection, costs one log line a minute, and
// affects no other connection. When descriptors run out, accepting pauses, but the server goes on. A peer that exceeds
// a limit waits or is refused alone: connections and bytes in flight are also counted by address (IPv6: by /64). A
// panic in the TProcessor is answered and logged; a panic in the Handler ends the process, because nobody could say
// what became of the entries.
//
// The caller is identified once for each connection, and is in the context of its calls (access.From).
//
// Not supported: unframed transports, other protocols than Thrift binary, certificate revocation. If a file with a
// large frame cannot be read back from the disk, the process ends.
package rpc

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/apache/thrift/lib/go/thrift"

	"inkwell/internal/access"
	"inkwell/internal/stats"
	"inkwell/proto"
)

func init() {
	// The generated code would start two goroutines for each call to check whether the peer is still connected, which
	// makes no sense for a buffer in memory.
	thrift.ServerConnectivityCheckInterval = 0
}

// Handler takes the entries of Log calls.
type Handler interface {
	// Log is called once for each call, by many connections at the same time. The batch is valid until Log returns. An
	// error is sent to the peer as an exception. ctx ends when the server cannot wait for the call any longer; it has
	// the caller (access.From).
	Log(ctx context.Context, b *proto.Batch) (proto.ResultCode, error)
}

// ServerOptions configure a server; each field says what its zero value means.
type ServerOptions struct {
	MaxFrame       int // bytes; 0 = 64 MiB
	MaxConnections int // further ones are closed at once; 0 = 1024
	// MaxPerAddress bounds the connections of one address, except this machine's; 0 = 256, below 0 = no limit.
	MaxPerAddress int
	MaxEntries    int                       // of a call; 0 = one for each 32 bytes of the peer's longest frame
	MaxTrusted    int                       // bytes of a frame of a Trusted peer, if that is more than MaxFrame
	Trusted       func(*access.Caller) bool // nil = no peer is
	SpillDir      string                    // for frames over 16 MiB, which go to unnamed files; "" = to memory
	// MaxInFlight bounds the bytes of all frames over 256 KiB that are held at the same time; 0 = 256 MiB. One address
	// gets a quarter.
	MaxInFlight   int64
	HeaderTimeout time.Duration // from accepting to the first frame, including the TLS handshake; 0 = 1 minute
	IdleTimeout   time.Duration // between two frames; 0 = 10 minutes
	ReadTimeout   time.Duration // for each 256 KiB of a frame that has begun; 0 = 30 s
	WriteTimeout  time.Duration // for a peer to read its replies; 0 = 30 s
	HTTP          http.Handler  // answers HTTP requests; access.From knows their peer. nil = they are refused
	Logger        *slog.Logger  // nil = discard
	Stats         *stats.Set    // nil = the server's own
}

func (o ServerOptions) withDefaults() ServerOptions {
	o.MaxFrame = cmp.Or(o.MaxFrame, 64<<20)
	o.MaxConnections = cmp.Or(o.MaxConnections, 1024)
	o.MaxInFlight = cmp.Or(o.MaxInFlight, 256<<20)
	o.MaxPerAddress = cmp.Or(o.MaxPerAddress, 256)
	o.HeaderTimeout = cmp.Or(o.HeaderTimeout, time.Minute)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 10*time.Minute)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, 30*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 30*time.Second)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.Stats = cmp.Or(o.Stats, stats.New())
	return o
}

// headerTimeout is HeaderTimeout, or IdleTimeout if that is shorter.
func (o *ServerOptions) headerTimeout() time.Duration { return min(o.HeaderTimeout, o.IdleTimeout) }
