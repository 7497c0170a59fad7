package main

import (
	"errors"
	"fmt"
	"os"

	"inkwell/forwarder"
	"inkwell/internal/config"
	"inkwell/internal/rpc"
)

// nextHop is where a forwarder or a pipe sends, as a configuration file says it.
type nextHop struct {
	to       []string
	calls    forwarder.Calls
	spooled  bool   // there is a buffer
	spoolDir string // in which the spool is to stand
	spoolMax int64  // bytes, 0 = no bound
}

// readForwarding reads a configuration for a forwarder or a pipe: its inputs, and the one store that they go to.
func readForwarding(file string) (*config.Config, nextHop, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nextHop{}, fmt.Errorf("read configuration: %w", err)
	}
	c := config.Load(file, data)
	if err := mistakes(c); err != nil {
		return nil, nextHop{}, err
	}
	if len(c.Stores) != 1 {
		return nil, nextHop{}, fmt.Errorf("%s: %d <store> blocks, want one, of type network or buffer (send to an inkwell scribed for more)", file, len(c.Stores))
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
		sink, hop.spooled, hop.spoolMax = b.Primary, true, b.SpoolMax
		f, ok := b.Secondary.(config.File)
		if !ok {
			return hop, errors.New("what cannot be sent is kept on disk: want a <secondary> with type=file and a file_path")
		}
		hop.spoolDir = f.Dir
	}
	n, ok := sink.(config.Network)
	if !ok || n.Mapping != nil {
		return hop, errors.New("inputs are sent over the network: want a <store> of type network, or a buffer with such a primary (send to an inkwell scribed for more)")
	}
	hop.to, hop.calls = n.Addrs, forwarder.Calls{Timeout: n.Timeout, Max: n.MaxBatch, Quarantine: n.Quarantine, Shuffle: n.Shuffle, TLS: rpc.TLSFiles(n.TLS)}
	return hop, nil
}

// with takes over the calls of h but for the TLS files that flags gave.
func (h nextHop) with(files rpc.TLSFiles) forwarder.Calls {
	if files != (rpc.TLSFiles{}) {
		h.calls.TLS = files
	}
	return h.calls
}
