package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// scribedConfig is the original's default configuration file.
const scribedConfig = "/usr/local/scribe/scribe.conf"

// scribedVersion is the answer of fb303 getVersion, which scripts check.
const scribedVersion = "2.2"

func (a *app) scribed() *cobra.Command {
	s := new(configured)
	cmd := &cobra.Command{
		Use:   "scribed [-p PORT] [-c FILE] [FILE]",
		Short: "replace scribed: run with its configuration",
		Long: `scribed runs with an unchanged configuration of the original scribed: the same stores, files,
buffers, counters and answers. OK means more to a client than it did: what was accepted is durable
in a journal, and reaches its stores whichever process dies (durability=memory in the file gives
the old meaning). The port in the file overrides -p. With an old configuration it listens on all
interfaces, as the original did: --listen restricts it to one.

SIGHUP, 'inkwell ctl reload' and fb303 reinitialize read the file again; if it has a mistake, the
running configuration stays in use and the log says why. At SIGTERM and fb303 shutdown it delivers
what can be delivered and ends with 0; the rest is kept for the next start.`,
		Example: `  inkwell scribed -c /etc/scribe/scribe.conf
  inkwell check /etc/scribe/scribe.conf`,
		Args: exactlyOneOf(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.file == "" && len(args) == 1 {
				s.file = args[0]
			}
			if s.file == "" {
				s.file = scribedConfig
			}
			s.name, s.version, s.tolerant = "scribed", scribedVersion, true
			return a.runCollect(cmd.Context(), s)
		},
	}
	s.flags(cmd.Flags())
	return cmd
}

// flags defines the flags of the original, and those of Inkwell that it lacks.
func (s *configured) flags(flags *pflag.FlagSet) {
	flags.IntVarP(&s.port, "port", "p", 0, "`PORT` to listen on, if the file names none")
	flags.StringVarP(&s.file, "config", "c", "", "configuration `FILE` (default "+scribedConfig+")")
	userFlag(flags, &s.user)
	flags.StringSliceVar(&s.http, "http", nil, "`HOST:PORT`, tls://HOST:PORT or unix:PATH on which only HTTP is "+
		"answered, in addition to http= of the file; several times")
	flags.StringVar(&s.host, "listen", "",
		"`HOST` to listen on (default all interfaces for an old configuration, 127.0.0.1 for one that begins with "+
			"'inkwell 1')")
}

// exactlyOneOf checks the number of arguments.
func exactlyOneOf(low, high int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < low || len(args) > high {
			return fmt.Errorf("%d arguments, want %d to %d", len(args), low, high)
		}
		return nil
	}
}

// scribedAs is `inkwell scribed` with the arguments of scribed, which answers -h and unknown flags with its usage and
// exit code 0.
func (a *app) scribedAs(ctx context.Context, args []string) int {
	flags := pflag.NewFlagSet("scribed", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	new(configured).flags(flags)
	a.log.flags(flags)
	if err := flags.Parse(args); err != nil {
		say(a.stdout, "Usage: scribed [-p port] [-c config_file]\n")
		return exitOK
	}
	return a.main(ctx, append([]string{"scribed"}, args...))
}
