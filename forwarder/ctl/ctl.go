// Package ctl answers questions to a forwarder or a pipe, and takes commands, over a unix socket in its state
// directory:
//
//	inkwell ctl ── STATE/control (mode 0600) ── framed Thrift: fb303 ──► Daemon
//
// It speaks the collector's protocol, so that whatever queries a collector can query a forwarder. By the mode of the
// socket only the daemon's user and root may connect; there is no other access control. No entries are accepted here: a
// Log call is answered with an exception. HTTP requests are answered by Options.HTTP.
package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/rpc"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/proto/gen/fb303"
)

// Name is the name of the socket in a state directory.
const Name = "control"

// Detail is the key of fb303 getOption under which a daemon returns its full state as JSON.
const Detail = "inkwell.detail"

// maxConnections bounds the connections that are open at once.
const maxConnections = 16

// Daemon is what a Server answers for. Its methods are called by many goroutines at once.
type Daemon interface {
	// Trouble says what is wrong, "" when nothing is.
	Trouble() string
	// Detail returns the full state, to be encoded as JSON.
	Detail(ctx context.Context) any
	// Reload reads the configuration again. It returns when that is in use, with an error when it was refused or ctx
	// ended first.
	Reload(ctx context.Context) error
	// Stop ends the daemon as SIGTERM does, and does not wait for that.
	Stop()
}

// Options configure a Server.
type Options struct {
	Name    string // of the program, for fb303 getName
	Version string
	Logger  *slog.Logger
	Stats   *stats.Set   // of the daemon
	HTTP    http.Handler // answers HTTP requests; nil = they are refused
}

// Server answers on the socket of one state directory.
type Server struct {
	dir     *faultfs.Dir
	own     faultfs.ID // of the socket
	server  *rpc.Server
	serving sync.WaitGroup // Serve, and reloads that nobody waits for
	end     context.CancelFunc
	log     *slog.Logger
}

// Listen begins to answer on the socket in dir. dir still belongs to the caller, who holds its lock; it must stay open
// until Close has returned.
func Listen(dir *faultfs.Dir, d Daemon, o Options) (*Server, error) {
	ln, err := dir.Listen(Name)
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, log: o.Logger}
	own, err := dir.Lstat(Name)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	s.own = faultfs.IDOf(own)
	var life context.Context
	life, s.end = context.WithCancel(context.Background())
	reload := func() { s.serving.Go(func() { _ = d.Reload(life) }) } // the daemon logs what it has to say
	limits := rpc.ServerOptions{MaxFrame: 64 << 10, MaxConnections: maxConnections, HTTP: o.HTTP, Logger: o.Logger}
	processor := fb303.NewFacebookServiceProcessor(&service{d: d, o: o, since: time.Now(), reload: reload})
	s.server = rpc.NewServer(limits, refuse{}, processor)
	s.serving.Go(func() { s.serve(ln) })
	return s, nil
}

func (s *Server) serve(ln net.Listener) {
	if err := s.server.Serve(ln); err != nil {
		s.log.Error("the control socket is no longer answered", "dir", s.dir.Path(), "error", err)
	}
}

// closeTime is how long calls may take that are in progress when the server is closed.
const closeTime = time.Second

// Close stops answering and removes the socket, unless another process has put its own there.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		s.log.Debug("control socket", "error", err)
	}
	s.end()
	s.serving.Wait()
	now, err := s.dir.Lstat(Name)
	if err != nil || s.own != faultfs.IDOf(now) {
		return nil
	}
	return s.dir.Remove(Name)
}

// refuse answers Log.
type refuse struct{}

// Log accepts no entries.
func (refuse) Log(context.Context, *proto.Batch) (proto.ResultCode, error) {
	return 0, errors.New("this is the control socket of a forwarder or pipe: it takes no entries")
}

// service implements fb303 for the daemon.
type service struct {
	d      Daemon
	o      Options
	since  time.Time
	reload func() // starts a reload without waiting for it
}

// GetName returns the name of the program.
func (s *service) GetName(context.Context) (string, error) { return s.o.Name, nil }

// GetVersion returns its version.
func (s *service) GetVersion(context.Context) (string, error) { return s.o.Version, nil }

// GetStatus is WARNING while something is wrong, else ALIVE.
func (s *service) GetStatus(context.Context) (fb303.FbStatus, error) {
	if s.d.Trouble() != "" {
		return fb303.FbStatus_WARNING, nil
	}
	return fb303.FbStatus_ALIVE, nil
}

// GetStatusDetails says what is wrong, "" when nothing is.
func (s *service) GetStatusDetails(context.Context) (string, error) { return s.d.Trouble(), nil }

// GetCounters returns every counter and gauge.
func (s *service) GetCounters(context.Context) (map[string]int64, error) {
	return s.o.Stats.Snapshot(), nil
}

// GetCounter returns one counter, 0 if there is none of that name.
func (s *service) GetCounter(_ context.Context, key string) (int64, error) {
	return s.o.Stats.Get(key), nil
}

// SetOption reloads the configuration for the key rpc.ReloadOption; there is nothing else to set.
func (s *service) SetOption(ctx context.Context, key, _ string) error {
	if key == rpc.ReloadOption {
		return s.d.Reload(ctx)
	}
	return nil
}

// GetOption returns the full state for the key Detail, "1" for rpc.IsInkwell, "" for any other key.
func (s *service) GetOption(ctx context.Context, key string) (string, error) {
	switch key {
	case Detail:
	case rpc.IsInkwell:
		return "1", nil
	default:
		return "", nil
	}
	text, err := json.Marshal(s.d.Detail(ctx))
	if err != nil {
		return "", fmt.Errorf("tell details: %w", err)
	}
	return string(text), nil
}

// GetOptions returns nothing.
func (s *service) GetOptions(context.Context) (map[string]string, error) {
	return map[string]string{}, nil
}

// GetCpuProfile is empty, as a collector's.
func (s *service) GetCpuProfile(context.Context, int32) (string, error) { return "", nil }

// AliveSince is when the daemon was started, in Unix seconds.
func (s *service) AliveSince(context.Context) (int64, error) { return s.since.Unix(), nil }

// Reinitialize reloads the configuration, and does not wait for that.
func (s *service) Reinitialize(context.Context) error {
	s.reload()
	return nil
}

// Shutdown ends the daemon.
func (s *service) Shutdown(context.Context) error {
	s.d.Stop()
	return nil
}
