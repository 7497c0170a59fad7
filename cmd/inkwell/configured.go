package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"inkwell/collector"
	"inkwell/internal/config"
	"inkwell/internal/rpc"
	"inkwell/internal/stats"
)

// defaultPort is the port that is customary for Scribe.
const defaultPort = 1463

// configured is a collector as a configuration describes it, from a file or from flags.
type configured struct {
	// of the subcommand; the state goes into a directory of this name and the port, unless the configuration names it
	name     string
	version  string // for fb303
	file     string
	text     string   // of the configuration, in place of a file
	user     string   // to become; "" = that of the configuration
	port     int      // where the configuration names none
	host     string   // "" = the default for the style of the configuration
	http     []string // addresses for HTTP alone, in addition to those of the configuration
	tolerant bool     // the usable part of a file with mistakes is served
}

// load reads the configuration. A configuration that cannot be read shows in the status; a reload refuses it.
func (s *configured) load() *config.Config {
	c, err := s.read()
	if err != nil {
		c.Status = "No stores configured successfully: " + err.Error()
	}
	return c
}

// read reads the configuration; the error is about its file.
func (s *configured) read() (*config.Config, error) {
	if s.file == "" {
		return config.Load("flags", []byte(s.text)), nil
	}
	data, err := os.ReadFile(s.file)
	return config.Load(s.file, data), err
}

// runCollect runs the collector that s describes until a signal or a peer ends it.
func (a *app) runCollect(parent context.Context, s *configured) error {
	c, err := s.read()
	if err != nil {
		return fmt.Errorf("read configuration: %w (name the file with -c FILE)", err)
	}
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
		if c := running.Load(); c != nil && s.file != "" {
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
	state, err := s.stateOf(c, port, a.lookup)
	if err != nil {
		return err
	}
	if err := acc.make(append(dirsOf(c), state.dir)...); err != nil {
		return err
	}
	if err := acc.makeSocketDirs(s.listen(c, port)); err != nil {
		return err
	}
	state = journalOf(state, s.formerState(c, state, port), log)
	o := collector.Options{Listen: s.listen(c, port), HTTP: append(slices.Clone(c.HTTP), s.http...),
		TLS: rpc.TLSFiles(c.TLS), Load: s.load, Fixed: s.file == "", StateRoot: state.root, StateDir: state.dir,
		Limits: limitsOf(c), Version: s.version, Logger: log, Stats: stats.New(), Events: &a.log.events,
		Drop: func() error { return acc.serve(s.file) }}
	began := time.Now()
	d, err := collector.Open(o)
	if err != nil {
		return err
	}
	running.Store(d)
	log.Info("recovered", "configuration", cmp.Or(s.file, "flags"), "state", state.dir,
		"after", time.Since(began).Round(time.Millisecond))
	return a.run(ctx, job{log: log, stats: o.Stats, work: d.Run, read: func() reading {
		s := d.Status()
		note := fmt.Sprintf("%d connections, %d categories", s.Connections, s.Categories)
		return reading{lines: s.Entries, bytes: s.Bytes, backlog: s.Backlog, note: note}
	}})
}

// dirsOf returns the directories of the files of a configuration.
func dirsOf(c *config.Config) (dirs []string) {
	for _, st := range c.Stores {
		dirs = append(dirs, fileDirs(st.Sink)...)
	}
	return dirs
}

// limitsOf returns the limits of a configuration.
func limitsOf(c *config.Config) collector.Limits {
	return collector.Limits{MaxFrame: c.MaxFrame, MaxTrusted: c.MaxTrusted, MaxEntries: c.MaxEntries,
		MaxMessage: c.MaxMessage, MaxConnections: c.MaxConnections,
		MaxPerAddress: perAddress(c.MaxPerAddress), MaxInFlight: c.MaxInFlight, IdleTimeout: c.IdleTimeout,
		HeaderTimeout: c.HeaderTimeout}
}

// mistakes returns the errors of a configuration. If it has none but a status, as an empty or unreadable file does, the
// status is the error. Otherwise the status is left out, because it only repeats the first error in the original's
// words.
func mistakes(c *config.Config) error {
	var errs []error
	for _, p := range c.Problems {
		if p.Error {
			errs = append(errs, errors.New(p.String()))
		}
	}
	if len(errs) == 0 && c.Status != "" {
		errs = append(errs, errors.New(c.Status))
	}
	return errors.Join(errs...)
}

// listen returns the addresses to listen on: those of the file, else the port on all interfaces, as an old file has
// always meant it.
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

// listened returns the first port of listen=, which distinguishes the states of several servers; 0 if there is none.
func listened(c *config.Config) int {
	for _, addr := range c.Listen {
		_, text, _ := net.SplitHostPort(strings.TrimPrefix(addr, "tls://"))
		if n, err := strconv.ParseUint(text, 10, 16); err == nil {
			return int(n)
		}
	}
	return 0
}

// stateDir is the state directory of a daemon. Below root no symbolic link is followed; root is "" if no other user can
// write above the directory.
type stateDir struct{ root, dir string }

// stateOf returns the directory of a collector's journal and checkpoint: state= or, without it, a directory below
// stateRoot that is named after the command and the port.
func (s *configured) stateOf(c *config.Config, port int, lookup func(string) (string, bool)) (stateDir, error) {
	if c.State != "" {
		return stateDir{root: outputAround(c, c.State), dir: c.State}, nil
	}
	root, err := stateRoot(c, lookup)
	return stateDir{root: root, dir: filepath.Join(root, s.name+"-"+strconv.Itoa(port))}, err
}

// formerState returns where an older Inkwell kept the journal for the same configuration; its dir is "" if there is no
// such place. Older versions kept it in different places for flags and for the file that check --print writes for them:
// for a file this returns the place for flags, if that is in the directory of the output files, and for flags the place
// for the file.
func (s *configured) formerState(c *config.Config, state stateDir, port int) stateDir {
	if c.State != "" {
		return stateDir{root: c.State, dir: filepath.Join(c.State, s.name+"-"+strconv.Itoa(port))}
	}
	if around := outputAround(c, state.root); around != "" {
		return stateDir{root: around, dir: state.root}
	}
	return stateDir{}
}

// outputAround returns the output directory of a store that contains dir, "" if none does.
func outputAround(c *config.Config, dir string) string {
	for _, st := range c.Stores {
		for _, around := range fileDirs(st.Sink) {
			if rest, err := filepath.Rel(around, dir); err == nil && filepath.IsLocal(rest) {
				return around
			}
		}
	}
	return ""
}

// stateRoot returns the parent directory of the states that the configuration does not name: INKWELL_STATE, state_dir=,
// or the system's place for it.
func stateRoot(c *config.Config, lookup func(string) (string, bool)) (string, error) {
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
		return "", fmt.Errorf(
			"find a directory for the journal (set state= in the configuration, or INKWELL_STATE): %w", err)
	}
	return filepath.Join(home, ".local", "state", "inkwell"), nil
}
