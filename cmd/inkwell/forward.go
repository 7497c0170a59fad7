package main

import (
	"cmp"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"

	"inkwell/forwarder"
	"inkwell/internal/conf"
	"inkwell/internal/stats"
)

func (a *app) forward() *cobra.Command {
	o, feeds, file, userName := new(forwarder.Options), new(feedFlags), "", ""
	cmd := &cobra.Command{
		Use:   "forward (-c FILE | --to HOST:PORT --state DIR [--journal WORDS] [--syslog ADDRESS] CATEGORY=GLOB...)",
		Short: "follow files, the journal and syslog, and send their lines",
		Long: `forward follows the files that match each GLOB, through rotation and restarts, and sends their lines to the first of the --to
addresses that works. Quote the GLOB: it is matched anew all the time, so that new files are found. With -c the <tail> blocks of a
configuration say what to follow, and its <store> where to send. --journal reads the systemd journal, --syslog takes syslog messages in;
with them no GLOB is needed.

Positions move only behind what the next hop, or the spool, has taken. SIGTERM finishes what was read, writes the positions and ends
with 0; a second one ends at once and loses nothing. SIGHUP opens the log file anew.`,
		Example: `  inkwell forward --to logs.example.com:1463 --state /var/lib/inkwell 'apache.access=/var/log/apache2/*access.log'
  inkwell forward --to localhost:1463 --state /var/lib/inkwell --journal 'unit=nginx.service unit=app-*.service'
  inkwell forward --to localhost:1463 --state /var/lib/inkwell --syslog 'udp://127.0.0.1:514 category=syslog.{app}'
  inkwell forward -c /etc/inkwell/forward.conf
  inkwell forward --once --to localhost:1463 --state /tmp/import old=/srv/archive/app.log`,
		Args: func(cmd *cobra.Command, args []string) error {
			if file != "" {
				return exactly()(cmd, args)
			}
			if !feeds.empty() {
				return nil
			}
			return several("CATEGORY=GLOB")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if file != "" {
				if err := a.configureForward(cmd, o, forwardConfig{file: file, user: &userName, feeds: feeds}); err != nil {
					return err
				}
			}
			return a.runForward(cmd, o, forwarding{inputs: args, user: userName, feeds: feeds})
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&file, "config", "c", "", "configuration `FILE` with <tail> blocks and a <store>")
	flags.StringSliceVar(&o.To, "to", nil, "`HOST:PORT`, tls://HOST:PORT or unix:PATH of the next hop, several with commas in order of preference (required)")
	tlsFlags(flags, &o.Calls.TLS)
	flags.StringVar(&o.StateDir, "state", "", "`DIR` of positions and spool (required)")
	flags.Var(conf.Value(&o.SpoolMax, "8GiB", "size", conf.ParseSize), "spool-max", "bytes the spool may take; 0 = no bound")
	flags.Var(conf.Value(&o.FromEnd, "start", "place", parseFrom), "from", "where files that are not known yet are begun: start or end")
	flags.BoolVar(&o.Once, "once", false, "read all files to their end, deliver, and end")
	userFlag(flags, &userName)
	feeds.register(flags)
	flags.Var(conf.Value(&o.MaxLine, "16MiB", "size", parseLine), "max-line", "longer lines are split")
	return cmd
}

// forwardConfig is what goes with a configuration of the forwarder.
type forwardConfig struct {
	file  string
	user  *string // becomes that of the configuration unless a flag gave one
	feeds *feedFlags
}

// configureForward fills o from a configuration; flags that were given stand.
func (a *app) configureForward(cmd *cobra.Command, o *forwarder.Options, w forwardConfig) error {
	c, hop, err := readForwarding(w.file)
	if err != nil {
		return err
	}
	if err := w.feeds.configure(c); err != nil {
		return err
	}
	if len(c.Tails) == 0 && w.feeds.empty() {
		return fmt.Errorf("%s: no <tail>, <journal> or <syslog> block: what shall be followed?", w.file)
	}
	*w.user = cmp.Or(*w.user, c.User)
	if len(o.To) == 0 {
		o.To = hop.to
	}
	o.Calls = hop.with(o.Calls.TLS)
	if hop.spooled {
		o.SpoolRoot, o.SpoolDir, o.SpoolMax = hop.spoolDir, filepath.Join(hop.spoolDir, "forward.spool"), hop.spoolMax
	}
	if o.StateDir == "" {
		dir, err := stateDir(c, a.lookup)
		if err != nil {
			return err
		}
		o.StateRoot, o.StateDir = dir, filepath.Join(dir, "forward")
	}
	for _, t := range c.Tails {
		in := forwarder.Input{Category: t.Category, Glob: t.Glob, FromEnd: t.FromEnd, MaxLine: t.MaxLine}
		if cmd.Flags().Changed("max-line") {
			in.MaxLine = 0
		}
		o.Inputs = append(o.Inputs, in)
	}
	return nil
}

// parseFrom says whether files are begun at their end.
func parseFrom(s string) (bool, error) {
	if s != "start" && s != "end" {
		return false, fmt.Errorf("place %q: must be start or end", s)
	}
	return s == "end", nil
}

func parseLine(s string) (int, error) {
	n, err := conf.ParseSize(s)
	if err == nil && (n < 1<<10 || n > 64<<20) {
		err = fmt.Errorf("line size %q: must be between 1KiB and 64MiB", s)
	}
	return int(n), err
}

// forwarding is what of a command line is not an option of the forwarder.
type forwarding struct {
	inputs []string // CATEGORY=GLOB
	user   string   // to become, "" = none
	feeds  *feedFlags
}

func (a *app) runForward(cmd *cobra.Command, o *forwarder.Options, w forwarding) error {
	if err := needTo(o.To); err != nil {
		return err
	}
	if err := needTLS(cmd, o.To, o.Calls.TLS); err != nil {
		return err
	}
	if o.StateDir == "" {
		return usagef("--state DIR is missing: where shall positions and spool be kept?")
	}
	for _, arg := range w.inputs {
		in, err := forwarder.ParseInput(arg)
		if err != nil {
			return usageError{err}
		}
		if found, _ := filepath.Glob(in.Glob); o.Once && len(found) == 0 {
			return fmt.Errorf("%s: %w (--once reads the files that are there: check the name)", in.Glob, fs.ErrNotExist)
		}
		o.Inputs = append(o.Inputs, in)
	}
	if err := w.feeds.listen(o.Once); err != nil {
		return err
	}
	acc, err := a.account(w.user)
	if err == nil {
		err = acc.make(o.StateDir, cmp.Or(o.SpoolRoot, o.SpoolDir))
	}
	if err != nil {
		return err
	}
	log, err := a.log.openFor(a.screen, acc)
	if err == nil {
		err = acc.become()
	}
	if err != nil {
		return err
	}
	ctx, stop := a.untilSignal(cmd.Context(), log, func() {}) // from before anything is taken
	defer stop()
	o.Logger, o.Stats = log, stats.New()
	o.Feeds = w.feeds.feeds(o, log, o.Stats)
	f, err := forwarder.Open(*o)
	if err != nil {
		return err
	}
	return a.run(ctx, job{log: log, stats: o.Stats, work: f.Run, read: func() reading {
		s := f.Status()
		r := reading{lines: s.Entries, bytes: s.Bytes, backlog: s.Backlog, note: peerNote(s)}
		if o.Once {
			r.whole = s.BytesTotal
		}
		return r
	}})
}

func peerNote(s forwarder.Status) string {
	return english.Plural(s.Files, "file", "") + " to " + cmp.Or(s.Peer, "nobody yet")
}
