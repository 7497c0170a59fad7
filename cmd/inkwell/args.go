package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"inkwell/internal/discovery"
	"inkwell/internal/rpc"
)

// exactly requires exactly one argument for each name.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return fmt.Errorf("%s is missing", names[len(args)])
		case len(args) > len(names):
			return fmt.Errorf("%q is one argument too many", args[len(names)])
		}
		return nil
	}
}

// several requires at least one argument.
func several(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error { return exactly(name)(cmd, args[:min(len(args), 1)]) }
}

// completed checks the addresses of --to and adds the port 1463 where an address has none.
func completed(to []string) ([]string, error) {
	if len(to) == 0 {
		return nil, usagef("--to HOST:PORT is missing: where shall the lines go?")
	}
	whole := make([]string, len(to))
	for i, addr := range to {
		if discovery.IsSource(addr) {
			if _, err := discovery.Parse(addr); err != nil {
				return nil, usagef("--to %w", err)
			}
			whole[i] = addr
			continue
		}
		a, err := rpc.ParseAddress(addr)
		if err != nil && addr != "" && !strings.HasPrefix(addr, "unix:") {
			var text string
			if text, err = scribeAddr(addr); err == nil {
				addr = text
				a, err = rpc.ParseAddress(addr)
			}
		}
		if err != nil || strings.HasPrefix(a.Text, ":") {
			return nil, usagef("--to %q: want HOST:PORT, as in logs.example.com:1463, HOST for port 1463, "+
				"tls://HOST:PORT, unix:PATH, srv:NAME, dns:NAME:PORT or file:PATH", addr)
		}
		whole[i] = addr
	}
	return whole, nil
}
