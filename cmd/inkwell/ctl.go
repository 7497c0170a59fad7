package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"inkwell/internal/rpc"
	"inkwell/proto/gen/fb303"
)

func (a *app) ctl() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ctl COMMAND [PORT|HOST:PORT|STATE...]",
		Short: "query or control a running server",
		Long: `ctl works with any server that answers fb303: inkwell collect, inkwell scribed and the original
scribed; and with a forwarder or pipe by its state or spool directory (with a / in it), where that
has a socket for its user and root. The default is localhost:1463; tls://HOST:PORT and unix:PATH
are addresses too.

Output and exit codes are those of scribe_ctrl, because scripts depend on them: status ends with 2
if the server is ALIVE, and with 3 if it is not or cannot be reached; the other commands end with
0, or with 3 if the server cannot be reached; reload ends with 1 if it was refused. Unlike
scribe_ctrl it reaches any host, leaves it to the server who may stop it, and prints the reason of
a failure on standard error. An Inkwell can be stopped and reloaded only from its own machine, and
by peers that its rules name.

Under the name scribe_ctrl the program takes the arguments of scribe_ctrl: scribe_ctrl command
[port].`,
		Example: `  inkwell ctl status
  inkwell ctl counters logs.example.com:1463 | grep lost
  inkwell ctl status -v /var/lib/inkwell
  inkwell ctl watch`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, c := range []struct{ name, short, long string }{
		{"counters", "print the counters", "counters prints each counter as NAME: VALUE, in the order of the names."},
		{"version", "print the version", "version prints the version that the server reports: 2.2 for the original."},
		{"name", "print the name", "name prints the name that the server reports."},
		{"alive", "print when the server was started",
			"alive prints when the server was started, in seconds since 1970."},
		{"stop", "stop the server", "stop tells the server to deliver what it holds, and to end."},
	} {
		cmd.AddCommand(a.ctlCommand(c.name, c.short, c.long))
	}
	cmd.AddCommand(a.ctlStatus(), a.ctlReload(), a.ctlWatch())
	tlsFlags(cmd.PersistentFlags(), &a.tls)
	return cmd
}

func (a *app) ctlCommand(name, short, long string) *cobra.Command {
	return &cobra.Command{
		Use:     name + " [PORT|HOST:PORT|STATE...]",
		Short:   short,
		Long:    long,
		Example: "  inkwell ctl " + name + " logs.example.com:1463",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ctlEach(cmd, args, func(c *control) (int, error) {
				code, _ := c.do(cmd.Context(), name)
				return code, nil
			})
		},
	}
}

// ctlEach runs one command for each server in turn and returns the worst exit code. If there are several servers, a
// line with the name precedes the output of each.
func (a *app) ctlEach(cmd *cobra.Command, args []string, do func(*control) (int, error)) error {
	targets := [][]string{nil}
	if len(args) > 0 {
		targets = slices.Collect(slices.Chunk(args, 1))
	}
	worst := exitOK
	for _, to := range targets {
		c, err := a.control(cmd, to)
		if err != nil {
			return err
		}
		if len(targets) > 1 {
			say(a.stdout, "%s:\n", printable(to[0]))
		}
		code, err := do(c)
		if err != nil {
			return err
		}
		worst = max(worst, code)
	}
	return exitCode(worst)
}

func (a *app) ctlReload() *cobra.Command {
	cmd := a.ctlCommand("reload", "make the server read its configuration anew", `reload tells the server to read its configuration anew, waits until that is done, and says what came of it. The exit code is 1 when it was
refused: then the configuration of before stays in use. Other servers than Inkwell do not say what came of it: see their status.`)
	cmd.Example += "\n  inkwell ctl reload /var/lib/inkwell"
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.ctlEach(cmd, args, func(c *control) (int, error) { return c.reload(cmd.Context()), nil })
	}
	return cmd
}

func (a *app) ctlStatus() *cobra.Command {
	asJSON, verbose := false, false
	cmd := a.ctlCommand("status", "print the status", `status prints ALIVE, or another status and the reason. The exit code is that of scribe_ctrl: 2 if
the server is ALIVE, 3 if it is not or cannot be reached. With -v it prints details: of a
forwarder each file with its position, how much is unsent and how old that is, the next hops and
the spool; of a collector who sends to it. With --json it prints one object: address, status,
details, version, alive_since, counters and detail, or address and error.`)
	cmd.Example += "\n  inkwell ctl status -v /var/lib/inkwell\n  inkwell ctl status --json | jq .details"
	cmd.Flags().BoolVar(&asJSON, "json", false, "print everything as one JSON object")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false,
		"print files, next hops and spool of a forwarder, senders of a collector")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.ctlEach(cmd, args, func(c *control) (int, error) {
			switch {
			case asJSON:
				return c.printState(cmd.Context(), a.output())
			case verbose:
				return c.statusInDetail(cmd.Context())
			}
			return c.status(cmd.Context()), nil
		})
	}
	return cmd
}

// printState prints everything that a server says about itself as JSON.
func (c *control) printState(ctx context.Context, to io.Writer) (int, error) {
	s := c.state(ctx)
	out := json.NewEncoder(plainWriter{to})
	out.SetEscapeHTML(false)
	if err := out.Encode(s); err != nil {
		return 0, err
	}
	if s.Error != "" {
		return ctlFailed, nil
	}
	return statusCode(s.status), nil
}

// serverState is everything that a server says about itself.
type serverState struct {
	Address    string           `json:"address"`
	Error      string           `json:"error,omitempty"`
	Status     string           `json:"status,omitempty"`
	Details    *string          `json:"details,omitempty"`
	Version    string           `json:"version,omitempty"`
	AliveSince int64            `json:"alive_since,omitempty"`
	Counters   map[string]int64 `json:"counters,omitempty"`
	Detail     json.RawMessage  `json:"detail,omitempty"`

	status fb303.FbStatus
}

func (c *control) state(ctx context.Context) serverState {
	s := serverState{Address: c.addr}
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
		func() { s.Detail, _ = c.detail(ctx) }, // a server need not know the question
	}
	for _, step := range steps {
		if step(); err != nil {
			return serverState{Address: c.addr, Error: err.Error()}
		}
	}
	s.Status = s.status.String()
	return s
}

// plainWriter writes JSON whose control characters are escaped, also those that JSON allows in a string: it may be
// shown on a terminal.
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

// control holds the flags with which a subcommand of ctl reaches a server.
func (a *app) control(cmd *cobra.Command, args []string) (*control, error) {
	to := net.JoinHostPort("localhost", scribePort)
	if len(args) > 0 {
		to = args[0]
	}
	s, err := a.server(to)
	if err == nil {
		err = checkTLS([]string{s.addr}, a.tls)
	}
	if err != nil {
		return nil, err
	}
	return &control{out: a.stdout, server: s, clean: true, reason: func(err error) {
		say(a.screen, "%s: %s\n", cmd.CommandPath(), printable(err.Error()+directoryHint(to)))
	}}, nil
}

// directoryHint explains how to name a directory, if an argument that was taken for a host is also the name of a
// directory.
func directoryHint(arg string) string {
	if isDir(arg) && !strings.Contains(arg, "/") {
		return fmt.Sprintf(" (there is a directory of that name: for the process whose state it is write ./%s)", arg)
	}
	return ""
}

// server resolves an argument to a server: a port of this machine, an address, or a state directory.
func (a *app) server(arg string) (server, error) {
	to, err := stateSocket(arg)
	if err != nil {
		return server{}, usageError{err}
	}
	if _, err := strconv.ParseUint(to, 10, 64); err == nil {
		to = "localhost:" + to
	}
	addr, err := scribeAddr(to)
	if err != nil {
		return server{}, usageError{err}
	}
	files := a.tls
	if !isTLS(addr) {
		files = rpc.TLSFiles{} // of several servers those with tls:// need them
	}
	secret, err := credentials(addr, files)
	return server{addr, secret}, err
}
