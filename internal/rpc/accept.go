package rpc

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// Serve accepts connections until Shutdown closes ln, and returns nil then. When accepting fails, as with too many open
// files, it waits and tries again. It only returns an error if somebody else has closed ln. It may be called for
// several listeners at the same time.
func (s *Server) Serve(ln net.Listener) error { return s.accept(ln, false) }

// ServeHTTP is Serve for a listener that accepts only HTTP.
func (s *Server) ServeHTTP(ln net.Listener) error { return s.accept(ln, true) }

func (s *Server) accept(ln net.Listener, onlyHTTP bool) error {
	if !s.listen(ln) {
		return closeListener(ln)
	}
	trouble := outage{log: s.log.With("address", ln.Addr())}
	pause := Backoff{Min: 5 * time.Millisecond, Max: time.Second}
	for {
		nc, err := ln.Accept()
		if err == nil {
			trouble.over()
			pause.Reset()
			s.start(nc, onlyHTTP)
			continue
		}
		if s.isStopping() {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept on %s: %w", ln.Addr(), err)
		}
		trouble.failed(err)
		select {
		case <-time.After(pause.Next()):
		case <-s.stop:
			return nil
		}
	}
}

// outage logs when accepting fails and when it works again, at most one such pair a minute. Used by one goroutine.
type outage struct {
	log   *slog.Logger
	since time.Time // of the first of consecutive failures; zero = it works
	said  time.Time // when a failure was logged
	told  bool      // this outage was logged
}

func (o *outage) failed(err error) {
	now := time.Now()
	if o.since.IsZero() {
		o.since = now
	}
	if !o.told && now.Sub(o.said) >= complaintPeriod {
		o.said, o.told = now, true
		o.log.Error("cannot accept connections, trying again (too many open files: raise the limit, ulimit -n)",
			"error", err)
	}
}

func (o *outage) over() {
	if o.told {
		o.log.Info("accepting connections again", "after", time.Since(o.since).Round(time.Millisecond))
	}
	o.since, o.told = time.Time{}, false
}
