package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"inkwell/collector"
	"inkwell/internal/config"
	"inkwell/internal/rpc"
	"inkwell/internal/stats"
)

// defaultPort is the one that the field has agreed on.
const defaultPort = 1463

// configured is a collector that a file describes.
type configured struct {
	name     string // of the subcommand; the state goes into a directory of this name and the port
	version  string // for fb303
	file     string
	user     string // to become; "" = that of the file
	port     int    // where the file names none
	host     string // "" = what the style of the file says
	tolerant bool   // a file with mistakes is served as far as it goes
}

// runConfigured serves what s describes until a signal or a peer ends it.
func (a *app) runConfigured(parent context.Context, s *configured) error {
	c := s.load()
	acc, err := a.account(cmp.Or(s.user, c.User))
	if err != nil {
		return err
	}
	log, err := a.log.openFor(a.screen, acc)
	if err != nil {
		return err
	}
	var running atomic.Pointer[collector.Collector]
	ctx, stop := a.untilSignal(parent, log, func() {
		if c := running.Load(); c != nil {
			_ = c.Reload() // it has logged what is wrong
		}
	})
	defer stop()
	if !s.tolerant {
		if err := mistakes(c); err != nil { // of the first reading: a reload refuses its own
			return err
		}
	}
	if c.Port != 0 && s.port != 0 && c.Port != s.port {
		log.Info(fmt.Sprintf("port %d from conf file overriding old port %d", c.Port, s.port))
	}
	port := cmp.Or(c.Port, listened(c), s.port, defaultPort)
	state, err := stateDir(c, a.lookup)
	if err != nil {
		return err
	}
	listen := s.listen(c, port)
	o := collector.Options{
		Listen: listen, TLS: rpc.TLSFiles(c.TLS), Limits: limitsOf(c), Version: s.version, Logger: log, Stats: stats.New(),
		Routed: &collector.Routed{Load: s.load, Listen: listen, StateRoot: state, StateDir: filepath.Join(state, s.name+"-"+strconv.Itoa(port))},
	}
	dirs := []string{o.Routed.StateDir}
	for _, st := range c.Stores {
		dirs = append(dirs, fileDirs(st.Sink)...)
	}
	if err := acc.make(dirs...); err != nil {
		return err
	}
	o.Drop = func() error { return acc.serve(s.file) }
	began := time.Now()
	d, err := collector.Open(o)
	if err != nil {
		return err
	}
	running.Store(d)
	log.Info("recovered", "configuration", s.file, "state", o.Routed.StateDir, "after", time.Since(began).Round(time.Millisecond))
	return a.run(ctx, job{log: log, stats: o.Stats, work: d.Run, read: func() reading {
		s := d.Status()
		return reading{lines: s.Entries, bytes: s.Bytes, backlog: s.Backlog, note: fmt.Sprintf("%d connections, %d categories", s.Connections, s.Categories)}
	}})
}

// limitsOf are the limits of a configuration.
func limitsOf(c *config.Config) collector.Limits {
	return collector.Limits{MaxFrame: c.MaxFrame, MaxEntries: c.MaxEntries, MaxMessage: c.MaxMessage, MaxConnections: c.MaxConnections,
		MaxPerAddress: perAddress(c.MaxPerAddress), MaxInFlight: c.MaxInFlight, IdleTimeout: c.IdleTimeout, HeaderTimeout: c.HeaderTimeout}
}

// mistakes are the errors of a configuration.
func mistakes(c *config.Config) error {
	var errs []error
	if c.Status != "" {
		errs = append(errs, errors.New(c.Status))
	}
	for _, p := range c.Problems {
		if p.Error {
			errs = append(errs, errors.New(p.String()))
		}
	}
	return errors.Join(errs...)
}

// listen is where to listen: what the file says, else the port, which in an old file has always meant every interface.
func (s *configured) listen(c *config.Config, port int) []string {
	if len(c.Listen) > 0 && s.host == "" {
		return c.Listen
	}
	host := s.host
	if host == "" && (c.New || !s.tolerant) {
		host = "127.0.0.1"
	}
	return []string{net.JoinHostPort(host, strconv.Itoa(port))}
}

// listened is the first port of listen=, by which the state of a server is told from that of another; 0 if there is none.
func listened(c *config.Config) int {
	for _, addr := range c.Listen {
		_, text, _ := net.SplitHostPort(strings.TrimPrefix(addr, "tls://"))
		if n, err := strconv.ParseUint(text, 10, 16); err == nil {
			return int(n)
		}
	}
	return 0
}

// stateDir is where journals are kept: INKWELL_STATE, state_dir= of the file, or the place that the system has for it.
func stateDir(c *config.Config, lookup func(string) (string, bool)) (string, error) {
	if dir, ok := lookup("INKWELL_STATE"); ok && dir != "" {
		return dir, nil
	}
	if c.StateDir != "" {
		return c.StateDir, nil
	}
	if os.Geteuid() == 0 {
		return "/var/lib/inkwell", nil
	}
	if dir, ok := lookup("XDG_STATE_HOME"); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, "inkwell"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find a directory for the journal (set state_dir= in the configuration, or INKWELL_STATE): %w", err)
	}
	return filepath.Join(home, ".local", "state", "inkwell"), nil
}
