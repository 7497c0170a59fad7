package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"inkwell/proto/gen/fb303"
)

func (a *app) ctl() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ctl COMMAND [PORT|HOST:PORT]",
		Short: "ask a running server how it is, or tell it what to do",
		Long: `ctl speaks to any server that has fb303: inkwell collect, inkwell scribed, the original scribed. It prints and ends as scribe_ctrl does,
because scripts depend on that: status ends with 2 when the server is ALIVE and with 3 when it is not or cannot be reached; the other
commands end with 0, or with 3 when the server cannot be reached. Unlike scribe_ctrl it reaches any host, lets the server decide who may
stop it, and says on standard error why something failed. The default is localhost:1463; tls://HOST:PORT and unix:PATH are addresses, too. An
Inkwell lets only its own machine, and whom its rules name, stop and reload it.

By the name scribe_ctrl the program takes scribe_ctrl's arguments: scribe_ctrl command [port].`,
		Example: `  inkwell ctl status
  inkwell ctl counters logs.example.com:1463 | grep lost
  inkwell ctl watch`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, c := range []struct{ name, short, long string }{
		{"counters", "print the counters", "counters prints each counter as NAME: VALUE, in the order of the names."},
		{"version", "print the version", "version prints what the server says its version is: 2.2 for the original."},
		{"name", "print the name", "name prints what the server says it is."},
		{"alive", "print when the server was started", "alive prints when the server was started, in seconds since 1970."},
		{"stop", "stop the server", "stop tells the server to bring what it holds to its place, and to end."},
		{"reload", "make the server read its configuration anew", "reload tells the server to read its configuration anew. It does not wait for that: see the status."},
	} {
		cmd.AddCommand(a.ctlCommand(c.name, c.short, c.long))
	}
	cmd.AddCommand(a.ctlStatus(), a.ctlWatch())
	tlsFlags(cmd.PersistentFlags(), &a.tls)
	return cmd
}

func (a *app) ctlCommand(name, short, long string) *cobra.Command {
	return &cobra.Command{
		Use:     name + " [PORT|HOST:PORT]",
		Short:   short,
		Long:    long,
		Example: "  inkwell ctl " + name + " logs.example.com:1463",
		Args:    atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.control(cmd, args)
			if err != nil {
				return err
			}
			code, _ := c.do(cmd.Context(), name)
			return exitCode(code)
		},
	}
}

func (a *app) ctlStatus() *cobra.Command {
	asJSON := false
	cmd := a.ctlCommand("status", "print the status", `status prints ALIVE, or another status and what is wrong. The exit code is that of scribe_ctrl: 2 when the server is ALIVE, 3 when it is
not or cannot be reached. With --json it prints one object: address, status, details, version, alive_since and counters, or address and
error.`)
	cmd.Example += "\n  inkwell ctl status --json | jq .details"
	cmd.Flags().BoolVar(&asJSON, "json", false, "print all there is to know as one JSON object")
	plain := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !asJSON {
			return plain(cmd, args)
		}
		c, err := a.control(cmd, args)
		if err != nil {
			return err
		}
		s := c.state(cmd.Context())
		out := json.NewEncoder(plainWriter{a.output()})
		out.SetEscapeHTML(false)
		if err := out.Encode(s); err != nil {
			return err
		}
		if s.Error != "" {
			return exitCode(ctlFailed)
		}
		return exitCode(statusCode(s.status))
	}
	return cmd
}

// state is all that a server says of itself.
type state struct {
	Address    string           `json:"address"`
	Error      string           `json:"error,omitempty"`
	Status     string           `json:"status,omitempty"`
	Details    *string          `json:"details,omitempty"`
	Version    string           `json:"version,omitempty"`
	AliveSince int64            `json:"alive_since,omitempty"`
	Counters   map[string]int64 `json:"counters,omitempty"`

	status fb303.FbStatus
}

func (c *control) state(ctx context.Context) state {
	s := state{Address: c.addr}
	var err error
	steps := []func(){
		func() { s.status, err = ask(ctx, c, (*fb303.FacebookServiceClient).GetStatus) },
		func() {
			details := ""
			details, err = ask(ctx, c, (*fb303.FacebookServiceClient).GetStatusDetails)
			s.Details = &details
		},
		func() { s.Version, err = ask(ctx, c, (*fb303.FacebookServiceClient).GetVersion) },
		func() { s.AliveSince, err = ask(ctx, c, (*fb303.FacebookServiceClient).AliveSince) },
		func() { s.Counters, err = ask(ctx, c, allCounters) },
	}
	for _, step := range steps {
		if step(); err != nil {
			return state{Address: c.addr, Error: err.Error()}
		}
	}
	s.Status = s.status.String()
	return s
}

// plainWriter writes JSON with the control characters that JSON allows as escapes: it may be shown on a terminal.
type plainWriter struct{ w io.Writer }

func (p plainWriter) Write(b []byte) (int, error) {
	var text []byte
	for _, r := range string(b) {
		if r >= 0x7f && r < 0xa0 {
			text = fmt.Appendf(text, "\\u%04x", r)
		} else {
			text = utf8.AppendRune(text, r)
		}
	}
	if _, err := p.w.Write(text); err != nil {
		return 0, err
	}
	return len(b), nil
}

// atMostOne takes the address of a server, or nothing.
func atMostOne(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return exactly("PORT|HOST:PORT")(cmd, args)
}

// control is the way from a subcommand of ctl to a server.
func (a *app) control(cmd *cobra.Command, args []string) (*control, error) {
	addr := net.JoinHostPort("localhost", scribePort)
	if len(args) > 0 {
		to := args[0]
		if _, err := strconv.ParseUint(to, 10, 64); err == nil {
			to = "localhost:" + to
		}
		var err error
		if addr, err = scribeAddr(to); err != nil {
			return nil, usageError{err}
		}
	}
	secret, err := credentials(addr, a.tls)
	if err != nil {
		return nil, err
	}
	return &control{out: a.stdout, server: server{addr, secret}, clean: true, reason: func(err error) { say(a.screen, "%s: %s\n", cmd.CommandPath(), printable(err.Error())) }}, nil
}
