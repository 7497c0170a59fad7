package main

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"inkwell/internal/access"
	"inkwell/internal/rpc"
	"inkwell/internal/stats"
	"inkwell/internal/status"
	"inkwell/internal/web"
)

// askable is how a forwarder or a pipe answers HTTP: on its control socket, and on listeners for that alone.
type askable struct {
	handler http.Handler
	monitor *status.Monitor
	server  *rpc.Server // of the listeners
	running sync.WaitGroup
	stop    context.CancelFunc // ends the monitor
}

// describer enters into a document what only it knows.
type describer interface {
	Describe(ctx context.Context, s *status.Status)
}

// askableBy begins to watch the daemon d, which now returns, and to answer about it on its control socket; reads says who may read.
func (a *app) askableBy(set *stats.Set, d status.Daemon, reads func(*access.Caller) bool, now func() describer) *askable {
	d.Version = version()
	monitor := status.NewMonitor(set, &a.log.events, d)
	monitor.Disks.Watch(d.State, "state")
	ctx, stop := context.WithCancel(context.Background())
	h := &askable{monitor: monitor, stop: stop}
	h.running.Go(func() { monitor.Run(ctx, nil) })
	h.handler = web.Handler(web.Options{Stats: set, Reads: reads, Listen: d.Listen, Status: func(ctx context.Context) *status.Status {
		s := monitor.Begin(time.Now())
		now().Describe(ctx, s)
		s.Finish()
		return s
	}})
	return h
}

// close ends what askableBy and listen began.
func (h *askable) close() {
	if h.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = h.server.Shutdown(ctx) // who still reads does so in vain
	}
	h.stop()
	h.running.Wait()
}

// listen answers on listeners for HTTP alone.
func (h *askable) listen(listeners []net.Listener, log *slog.Logger) {
	h.server = rpc.NewServer(rpc.ServerOptions{HTTP: h.handler, Logger: log}, nil, nil)
	for _, ln := range listeners {
		h.running.Go(func() {
			if err := h.server.ServeHTTP(ln); err != nil {
				log.Error("HTTP is not answered any more", "address", ln.Addr(), "error", err)
			}
		})
	}
}

// askable begins to answer about the forwarder, on its control socket and on listeners.
func (d *forwardDaemon) askable(listeners []net.Listener) (*askable, error) {
	c := d.w.c
	secret, err := rpc.Secure(listeners, c.HTTP, rpc.TLSFiles(c.TLS), d.log)
	if err != nil {
		return nil, err
	}
	about := status.Daemon{Role: status.Forwarder, State: d.w.o.StateDir, Listen: rpc.Addresses(listeners, c.HTTP, true)}
	h := d.a.askableBy(d.stats, about, d.reads, func() describer { return described{d, secret} })
	h.monitor.Disks.Watch(d.w.o.SpoolDir, "spool")
	if len(listeners) > 0 {
		h.listen(listeners, d.log)
		d.log.Info("answering HTTP", "listen", strings.Join(about.Listen, " "))
	}
	return h, nil
}

// reads says who may read over HTTP, by the configuration that is in use.
func (d *forwardDaemon) reads(c *access.Caller) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.allow.Reads(c)
}

// described is a forwarder that can be described, with the certificate of its listeners.
type described struct {
	d      *forwardDaemon
	secret *rpc.Credentials // nil = none of them speaks TLS
}

// Describe implements describer.
func (x described) Describe(ctx context.Context, s *status.Status) {
	f, refused := x.d.now()
	f.Describe(ctx, s)
	s.Daemon.Trouble = cmp.Or(refused, s.Daemon.Trouble)
	s.Certificates = append(s.Certificates, status.CertificateOf(x.secret.Certificate())...)
}
