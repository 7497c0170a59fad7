package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"inkwell/forwarder"
	"inkwell/forwarder/ctl"
	"inkwell/internal/access"
	"inkwell/internal/conf"
	"inkwell/internal/config"
	"inkwell/internal/stats"
	"inkwell/internal/status"
)

func (a *app) pipe() *cobra.Command {
	o := new(forwarder.PipeOptions)
	var echo bool
	var file string
	cmd := &cobra.Command{
		Use:   "pipe (-c FILE | --to HOST:PORT CATEGORY)",
		Short: "send the lines of standard input",
		Long: `pipe sends each line of its standard input to the first of the --to addresses that works. It reads
before the network is up, and does not wait for the network while there is room in memory and
spool; without --spool there is only memory. With -c the <pipe> block of a configuration names the
category, and its <store> says where to send the lines.

At the end of the input it delivers what it holds for up to --drain-timeout, and prints how many
lines it read, delivered, spooled and dropped. It ends with 0 if everything was delivered, and
with 75 if some of it is still in the spool: the next run with the same --spool delivers that. If
another pipe still has the spool, it waits for it and reads meanwhile.

After SIGTERM or Ctrl-C it reads until its writers have ended, but for five seconds at most and
then to the end of a line, so that the last lines of a daemon that was signalled with it are not
lost. A second signal ends it at once, after it has printed its counts; the same signal within a
second counts as the first.`,
		Example: `  mydaemon 2>&1 | inkwell pipe --to logs.example.com:1463 --spool /var/spool/inkwell/mydaemon mydaemon
  CustomLog "|/usr/local/bin/inkwell pipe --to localhost:1463 --spool /var/spool/inkwell/apache apache.access" combined`,
		Args: func(cmd *cobra.Command, args []string) error {
			if file != "" {
				return exactly()(cmd, args)
			}
			return exactly("CATEGORY")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if echo {
				o.Echo = a.stdout
			}
			c, hop, err := readForwarding(file, func() (string, error) { return flagText(cmd, args, pipeLines) })
			if err != nil {
				return err
			}
			spools, err := configurePipe(c, hop, o)
			if err != nil {
				return err
			}
			return a.runPipe(cmd, o, spools)
		},
	}
	pipeFlags(cmd.Flags(), o)
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration `FILE` with a <pipe> block and a <store>")
	cmd.Flags().BoolVar(&echo, "echo", false, "copy the input to standard output")
	return cmd
}

func pipeFlags(flags *pflag.FlagSet, o *forwarder.PipeOptions) {
	flags.StringSliceVar(&o.To, "to", nil, "`HOST[:PORT]` (1463), tls://HOST:PORT or unix:PATH of the next hop, "+
		"several with commas by preference; or srv:NAME, dns:NAME:PORT or file:PATH, which name them (required)")
	tlsFlags(flags, &o.Calls.TLS)
	flags.StringVar(&o.SpoolDir, "spool", "", "`DIR` for lines that cannot be sent now (default memory only)")
	flags.Var(conf.Value(&o.SpoolMax, "1GiB", "size", conf.ParseSize), "spool-max",
		"largest size of the spool; 0 = no limit")
	flags.Var(conf.Value(&o.WhenFull, "block", "word", parseWhenFull), "when-full",
		"when memory and spool are full: block (the writer waits) or drop (discard and count)")
	prefixFlag(flags, &o.Prefix)
	hostFlag(flags, &o.Host)
	flags.Var(conf.Value(&o.DrainTimeout, "10s", "duration", parseDrain), "drain-timeout",
		"how long to wait for the network at the end of the input")
}

// configurePipe fills o from the configuration. An address and a spool that were given by flags override it. It returns
// the place of the spool, and the place in which an older version had it for the same configuration.
func configurePipe(c *config.Config, hop nextHop, o *forwarder.PipeOptions) (spools [2]stateDir, err error) {
	if len(c.Pipes) != 1 {
		return spools, fmt.Errorf("%s: %d <pipe> blocks, want one: of what category is the input?", c.File.Name,
			len(c.Pipes))
	}
	if len(o.To) == 0 {
		o.To = hop.to
	}
	o.Calls = hop.with(o.Calls.TLS)
	p := c.Pipes[0]
	o.Host, o.Version, o.Prefix = cmp.Or(o.Host, c.Host), version(), cmp.Or(o.Prefix, p.Prefix)
	if _, err := forwarder.ParsePrefix(o.Prefix); err != nil {
		return spools, fmt.Errorf("%s: %w", c.File.Name, err)
	}
	o.Category, o.DrainTimeout = p.Category, max(p.DrainTimeout, 1) // 0 stands for the default of the option
	if p.DropWhenFull {
		o.WhenFull = forwarder.Drop
	}
	if o.SpoolDir != "" {
		hop.spool, hop.exact = o.SpoolDir, true
	} else if hop.spooled {
		o.SpoolMax = hop.spoolMax
	}
	if hop.spool != "" {
		spools[0], spools[1] = hop.spools(url.PathEscape(p.Category), "")
	}
	return spools, nil
}

func parseWhenFull(s string) (forwarder.WhenFull, error) {
	switch s {
	case "block":
		return forwarder.Block, nil
	case "drop":
		return forwarder.Drop, nil
	}
	return 0, fmt.Errorf("%q: must be block or drop", s)
}

// parseDrain parses a duration. It turns 0 into the shortest duration, because the zero value of the option means the
// default.
func parseDrain(s string) (time.Duration, error) {
	d, err := conf.ParseDuration(s)
	return max(d, 1), err
}

func (a *app) runPipe(cmd *cobra.Command, o *forwarder.PipeOptions, spools [2]stateDir) error {
	var err error
	if o.To, err = completed(o.To); err != nil {
		return err
	}
	if err := needTLS(cmd, o.To, o.Calls.TLS); err != nil {
		return err
	}
	if o.Category == "" {
		return usagef("CATEGORY is empty")
	}
	log, err := a.log.open(a.screen)
	if err != nil {
		return err
	}
	ctx, abort, stop := a.untilSignals(cmd.Context(), log) // from before anything is taken
	defer stop()
	if spools[0].dir != "" {
		o.SpoolDir = followed{categories: []string{o.Category}}.spoolOf(spools[0], spools[1], log).dir
	}
	defer takeGroupSignals()()
	o.Logger, o.Stats = log, stats.New()
	p, err := forwarder.OpenPipe(a.stdin, *o)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	about := status.Daemon{Role: status.Pipe, State: o.SpoolDir}
	h := a.askableBy(o.Stats, about, (*access.Rules)(nil).MayRead, func() describer { return p })
	silence := a.answerOnce(pipeDaemon{p, end}, stateDir{dir: o.SpoolDir},
		ctl.Options{Name: "inkwell pipe", Logger: log, Stats: o.Stats, HTTP: h.handler})
	counts, err := p.Run(ctx, abort)
	silence()
	h.close()
	fmt.Fprintln(a.screen, countsLine(counts))
	return err
}

// countsLine is the last line that a pipe prints. If entries are left, an error follows that says how many and where.
func countsLine(c forwarder.Counts) string {
	line := fmt.Sprintf("inkwell pipe: read %d, delivered %d, spooled %d, dropped %d", c.Read, c.Delivered, c.Spooled,
		c.Dropped)
	if c.Refused > 0 {
		line += fmt.Sprintf(", refused %d", c.Refused)
	}
	return line
}
