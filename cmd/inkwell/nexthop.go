package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"inkwell/forwarder"
	"inkwell/internal/config"
	"inkwell/internal/rpc"
)

// nextHop is the destination of a forwarder or a pipe, as a configuration file describes it.
type nextHop struct {
	to       []string
	calls    forwarder.Calls
	spooled  bool   // the store is a buffer
	spool    string // the directory of the spool, or its parent
	exact    bool   // spool is the directory of the spool itself
	spoolMax int64  // bytes, 0 = no bound
}

// spools returns the place of the spool with that name, and the place in which an older version had it for the same
// configuration. A spool below the state directory is opened from there, so that no symbolic link on the way is
// followed.
func (h nextHop) spools(name, state string) (here, there stateDir) {
	below := stateDir{root: h.spool, dir: filepath.Join(h.spool, name+".spool")}
	itself := stateDir{dir: h.spool}
	if rest, err := filepath.Rel(state, h.spool); err == nil && state != "" && filepath.IsLocal(rest) {
		itself.root = state
	}
	if h.exact {
		return itself, below
	}
	return below, itself
}

// readForwarding reads the configuration of a forwarder or a pipe from a file or, without a file, from its flags: the
// inputs, and the single store to which they go.
func readForwarding(file string, flags func() (string, error)) (*config.Config, nextHop, error) {
	var data []byte
	if file == "" {
		text, err := flags()
		if err != nil {
			return nil, nextHop{}, err
		}
		file, data = "flags", []byte(text)
	} else {
		var err error
		if data, err = os.ReadFile(file); err != nil {
			return nil, nextHop{}, fmt.Errorf("read configuration: %w", err)
		}
	}
	c := config.Load(file, data)
	if err := mistakes(c); err != nil {
		return nil, nextHop{}, err
	}
	if len(c.Stores) != 1 {
		return nil, nextHop{}, fmt.Errorf(
			"%s: %d <store> blocks, want one, of type network or buffer (send to an inkwell scribed for more)", file,
			len(c.Stores))
	}
	hop, err := hopOf(c.Stores[0])
	if err != nil {
		err = fmt.Errorf("%s:%d: %w", file, c.Stores[0].Line, err)
	}
	return c, hop, err
}

func hopOf(s *config.Store) (nextHop, error) {
	sink, hop := s.Sink, nextHop{}
	if b, ok := sink.(config.Buffer); ok {
		sink, hop.spooled, hop.spoolMax, hop.spool, hop.exact = b.Primary, true, b.SpoolMax, b.SpoolDir,
			b.SpoolDir != ""
		f, ok := b.Secondary.(config.File)
		switch {
		case ok:
			hop.spool = f.Dir
		case !hop.exact:
			return hop, errors.New("what cannot be sent is kept on disk: want spool_dir=DIR, or a <secondary> with " +
				"type=file and a file_path")
		}
	}
	n, ok := sink.(config.Network)
	if !ok || n.Mapping != nil {
		return hop, errors.New("inputs are sent over the network: want a <store> of type network, or a buffer with " +
			"such a primary (send to an inkwell scribed for more)")
	}
	hop.to, hop.calls = n.Addrs, forwarder.Calls{Timeout: n.Timeout, Max: n.MaxBatch, MaxAge: n.MaxAge,
		Quarantine: n.Quarantine, Shuffle: n.Shuffle, Spread: n.Spread, TLS: rpc.TLSFiles(n.TLS)}
	return hop, nil
}

// with returns the options for the calls. TLS files from flags replace those of the configuration.
func (h nextHop) with(files rpc.TLSFiles) forwarder.Calls {
	if files != (rpc.TLSFiles{}) {
		h.calls.TLS = files
	}
	return h.calls
}
