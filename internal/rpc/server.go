package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
	"golang.org/x/sync/semaphore"

	"inkwell/proto"
)

// drainRead is how long Shutdown waits for the rest of a frame that has begun.
const drainRead = 2 * time.Second

// Server answers calls on any number of listeners. Safe for concurrent use.
type Server struct {
	o          ServerOptions
	log        *slog.Logger
	handler    Handler
	others     map[string]thrift.TProcessorFunction // by method
	conf       *thrift.TConfiguration               // for the others' arguments
	complaints *complaints
	budget     *semaphore.Weighted // bytes of MaxInFlight
	spills     *semaphore.Weighted // bytes of maxSpilled
	batches    sync.Pool           // *proto.Batch
	web        *web                // nil = HTTP is not answered

	connections, refused, refusedAddress *atomic.Int64
	tooLarge, bad, timedOut, noRoom      *atomic.Int64
	tooMany, handshakes, inFlight        *atomic.Int64
	spilled, settled                     *atomic.Int64
	leaving                              atomic.Bool // senders are told to go elsewhere

	ctx     context.Context // of the calls
	cancel  context.CancelFunc
	stop    chan struct{} // closed when Shutdown begins
	drained chan struct{} // closed when Shutdown has begun and the last connection has ended

	mu        sync.Mutex
	stopping  bool
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	origins   map[netip.Prefix]*origin // of conns
}

// NewServer returns a server that passes Log calls to h and all other methods to other, which may be nil.
func NewServer(o ServerOptions, h Handler, other thrift.TProcessor) *Server {
	o = o.withDefaults()
	s := &Server{
		o: o, log: o.Logger, handler: h, conf: configuration(maxArgs, 0), complaints: newComplaints(o.Logger),
		budget: semaphore.NewWeighted(o.MaxInFlight), batches: sync.Pool{New: func() any { return new(proto.Batch) }},
		connections: o.Stats.Overall("connections"), refused: o.Stats.Overall("connections refused"),
		refusedAddress: o.Stats.Overall("connections refused by address"),
		handshakes:     o.Stats.Overall("TLS handshakes failed"),
		tooLarge:       o.Stats.Overall("frames too large"), bad: o.Stats.Overall("frames bad"),
		timedOut: o.Stats.Overall("connections timed out"), noRoom: o.Stats.Overall("frames without room"),
		tooMany: o.Stats.Overall("calls too many entries"), inFlight: o.Stats.Overall("bytes in flight"),
		spilled: o.Stats.Overall("calls on disk"), spills: semaphore.NewWeighted(maxSpilled),
		settled: o.Stats.Overall("senders settled"),
		stop:    make(chan struct{}), drained: make(chan struct{}),
		listeners: make(map[net.Listener]struct{}), conns: make(map[*conn]struct{}),
		origins: make(map[netip.Prefix]*origin),
	}
	s.web = newWeb(o.HTTP, &o)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if other != nil {
		s.others = other.ProcessorMap()
	}
	return s
}

// Shutdown stops accepting, closes idle connections, and lets the calls in progress finish and be answered. If ctx ends
// first, it cancels the calls, closes their connections, and returns an error without waiting for them.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.beginStop()
	select {
	case <-s.drained:
		s.cancel()
		return err
	case <-ctx.Done():
	}
	s.cancel()
	s.mu.Lock()
	n := len(s.conns)
	for c := range s.conns {
		c.cut()
	}
	s.mu.Unlock()
	return errors.Join(err, fmt.Errorf("%d connections were cut in a call: %w", n, context.Cause(ctx)))
}

// beginStop closes the listeners and tells every connection to end after its call.
func (s *Server) beginStop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return nil
	}
	s.stopping = true
	close(s.stop)
	var errs []error
	for ln := range s.listeners {
		errs = append(errs, closeListener(ln))
	}
	if s.web != nil {
		s.web.SetKeepAlivesEnabled(false)
	}
	by := time.Now().Add(drainRead)
	for c := range s.conns {
		c.stop(by)
	}
	if len(s.conns) == 0 {
		close(s.drained)
	}
	return errors.Join(errs...)
}

func closeListener(ln net.Listener) error {
	if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close listener %s: %w", ln.Addr(), err)
	}
	return nil
}

func (s *Server) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// listen registers ln, so that Shutdown closes it. It is false if the server is already being shut down.
func (s *Server) listen(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopping {
		s.listeners[ln] = struct{}{}
	}
	return !s.stopping
}

// start serves a new connection in a goroutine of its own, or closes it if there are too many.
func (s *Server) start(nc net.Conn, onlyHTTP bool) {
	c := newConn(s, nc)
	c.onlyHTTP = onlyHTTP
	s.mu.Lock()
	accepted, why := false, ""
	if !s.stopping {
		accepted, why = s.admit(c)
	}
	s.mu.Unlock()
	if accepted {
		go c.run()
		return
	}
	if why != "" {
		s.complaints.add("connection refused", nc.RemoteAddr(), why)
	}
	nc.Close()
}

// ended removes a connection.
func (s *Server) ended(c *conn) {
	s.connections.Add(-1)
	if c.settled {
		s.settled.Add(-1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(c)
	if s.stopping && len(s.conns) == 0 {
		close(s.drained)
	}
}
