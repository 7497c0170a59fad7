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

// askable answers HTTP for a forwarder or a pipe: on its control socket, and on listeners that serve only HTTP.
type askable struct {
	handler http.Handler
	monitor *status.Monitor
	server  *rpc.Server // of the listeners
	running sync.WaitGroup
	stop    context.CancelFunc // ends the monitor
}

// describer adds to a document what only the daemon itself knows.
type describer interface {
	Describe(ctx context.Context, s *status.Status)
}

// askableBy starts to monitor the daemon that now returns, and to answer for it on its control socket. reads decides
// who may read.
func (a *app) askableBy(set *stats.Set, d status.Daemon, reads func(*access.Caller) bool,
	now func() describer) *askable {
	d.Version = version()
	monitor := status.NewMonitor(set, &a.log.events, d)
	monitor.Disks.Watch(d.State, "state")
	ctx, stop := context.WithCancel(context.Background())
	h := &askable{monitor: monitor, stop: stop}
	h.running.Go(func() { monitor.Run(ctx, nil) })
	h.handler = web.Handler(web.Options{Stats: set, Reads: reads, Listen: d.Listen,
		Status: func(ctx context.Context) *status.Status {
			s := monitor.Begin(time.Now())
			now().Describe(ctx, s)
			s.Finish()
			return s
		}})
	return h
}

// close ends everything that askableBy and listen started.
func (h *askable) close() {
	if h.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = h.server.Shutdown(ctx) // who still reads does so in vain
	}
	h.stop()
	h.running.Wait()
}

// listen answers on listeners that serve only HTTP.
func (h *askable) listen(listeners []net.Listener, log *slog.Logger) {
	h.server = rpc.NewServer(rpc.ServerOptions{HTTP: h.handler, Logger: log}, nil, nil)
	for _, ln := range listeners {
		h.running.Go(func() {
			if err := h.server.ServeHTTP(ln); err != nil {
				log.Error("HTTP is no longer answered", "address", ln.Addr(), "error", err)
			}
		})
	}
}

// askable starts to answer for the forwarder, on its control socket and on listeners.
func (d *forwardDaemon) askable(listeners []net.Listener) (*askable, error) {
	c := d.w.c
	secret, err := rpc.Secure(listeners, c.HTTP, rpc.TLSFiles(c.TLS), d.log)
	if err != nil {
		return nil, err
	}
	about := status.Daemon{Role: status.Forwarder, State: d.w.o.StateDir,
		Listen: rpc.Addresses(listeners, c.HTTP, true)}
	h := d.a.askableBy(d.stats, about, d.reads, func() describer { return described{d, secret} })
	h.monitor.Disks.Watch(d.w.o.SpoolDir, "spool")
	if len(listeners) > 0 {
		h.listen(listeners, d.log)
		d.log.Info("answering HTTP", "listen", strings.Join(about.Listen, " "))
	}
	return h, nil
}

// reads decides by the current configuration who may read over HTTP.
func (d *forwardDaemon) reads(c *access.Caller) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.allow.MayRead(c)
}

// described is a forwarder together with the certificate of its listeners, for Describe.
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
