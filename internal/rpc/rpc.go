// Package rpc moves Scribe calls over TCP, TLS or unix sockets: a framed server that decodes Log in place, and a client
// that writes it without a copy.
//
//	accept ─► (TLS) ─► conn: 4-byte length ─► frame ─► messages ─┬─ Log ─► Handler.Log ────────┬─► replies, one write ─► peer
//	                                                 │           └─ any other ─► TProcessor ───┘
//	                                                 └─ not a length but "GET " ─► net/http ─► ServerOptions.HTTP (web.go)
//
// A connection is one goroutine that takes frames in order, so pipelined calls are answered in order. It holds 4 KiB
// while it is idle; a frame that is longer goes into a pooled buffer which grows with what has arrived, never with what
// a length claims, and is given back before the connection waits again. One over 16 MiB goes to a file that is mapped,
// and takes memory only as the kernel likes. Replies to frames that came together leave together.
//
// Invariants: a call is answered only after the Handler returned. A peer that sends what is no call (junk, HTTP, a
// length out of bounds, half a frame and then nothing) loses its connection, costs one log line a minute, and touches
// no other connection. A lack of descriptors stops accepting for a while, never the server. A peer at one of its limits
// waits or is refused alone: connections and bytes in flight are counted by address (IPv6: by /64), too. A panic in the
// TProcessor is answered and logged; one in the Handler ends the process, because nobody could say what became of the
// entries.
//
// Who calls is found out once for each connection and is in the context of its calls (access.From).
//
// Not here: unframed transports, other protocols than Thrift binary, revoked certificates. A disk that cannot be read
// where a large frame was just written ends the process.
package rpc

import (
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
	// The generated code would start two goroutines a call to look whether the peer is still there: on a buffer in
	// memory.
	thrift.ServerConnectivityCheckInterval = 0
}

// Handler takes the entries of Log calls.
type Handler interface {
	// Log is called once for each call, by many connections at once. The batch is valid until Log returns. An error is
	// told to the peer as an exception; ctx ends when the server cannot wait for the call any longer, and knows the
	// caller (access.From).
	Log(ctx context.Context, b *proto.Batch) (proto.ResultCode, error)
}

// ServerOptions are the limits of a server; the zero value is what the comments say.
type ServerOptions struct {
	MaxFrame       int                       // bytes; 0 = 64 MiB
	MaxConnections int                       // further ones are closed at once; 0 = 1024
	MaxPerAddress  int                       // connections of one address; 0 = 256, below 0 = no limit. This machine's own have none
	MaxEntries     int                       // of one call; 0 = one for each 32 bytes that the longest frame of the peer may have
	MaxTrusted     int                       // bytes of a frame of peers that are Trusted, if that is more than MaxFrame
	Trusted        func(*access.Caller) bool // nil = nobody is
	SpillDir       string                    // frames over 16 MiB are received into files without a name there; "" = into memory
	MaxInFlight    int64                     // bytes of frames over 256 KiB that are held at once by all connections; 0 = 256 MiB. One address gets a quarter
	HeaderTimeout  time.Duration             // from accepting to the first frame, the TLS handshake included; 0 = 1 minute
	IdleTimeout    time.Duration             // between two frames; 0 = 10 minutes
	ReadTimeout    time.Duration             // for a frame that has begun, for each 256 KiB of it; 0 = 30 s
	WriteTimeout   time.Duration             // for a peer to take its replies; 0 = 30 s
	HTTP           http.Handler              // answers connections that begin with a request of HTTP; access.From knows their peer. nil = they are closed
	Logger         *slog.Logger              // nil = discard
	Stats          *stats.Set                // nil = the server's own
}

func (o ServerOptions) withDefaults() ServerOptions {
	o.MaxFrame = orDefault(o.MaxFrame, 64<<20)
	o.MaxConnections = orDefault(o.MaxConnections, 1024)
	o.MaxInFlight = orDefault(o.MaxInFlight, 256<<20)
	o.MaxPerAddress = orDefault(o.MaxPerAddress, 256)
	o.HeaderTimeout = orDefault(o.HeaderTimeout, time.Minute)
	o.IdleTimeout = orDefault(o.IdleTimeout, 10*time.Minute)
	o.ReadTimeout = orDefault(o.ReadTimeout, 30*time.Second)
	o.WriteTimeout = orDefault(o.WriteTimeout, 30*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Stats == nil {
		o.Stats = stats.New()
	}
	return o
}

// headerTimeout is HeaderTimeout, unless connections are closed before that anyway.
func (o *ServerOptions) headerTimeout() time.Duration { return min(o.HeaderTimeout, o.IdleTimeout) }

func orDefault[T int | int64 | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}
