package main

import (
	"cmp"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"

	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"inkwell/forwarder"
	"inkwell/internal/conf"
	"inkwell/internal/config"
)

// forwardHelp is the help of forward.
const forwardHelp = `forward follows the files that match each GLOB, through rotation and restarts, and sends their
lines to the first of the --to addresses that works. Quote the GLOB: it is evaluated continually,
so that new files are found. --journal reads the systemd journal and --syslog receives syslog
messages; with them no GLOB is needed.

The flags stand for a configuration, which 'inkwell check --print -- forward FLAGS' prints. With
-c the <tail>, <journal> and <syslog> blocks of a file say what to read, and its <store> says
where to send it. A start with the printed configuration continues with the positions and the
spool of the flags.

In a GLOB ** stands for any number of directories, {a,b} for a or b, and {name} is a * whose text
CATEGORY can use.

--once waits for a next hop that is down, as long as that takes. With --wait it ends with 75 if
the next hop has accepted nothing for that long; the next run continues.

A position is saved only after the next hop, or the spool, has accepted the lines before it. At
SIGTERM the forwarder finishes what it has read, writes the positions and ends with 0; a second
one ends it at once and loses nothing. At SIGHUP it reopens the log file and, with -c, reads the
configuration again.`

func (a *app) forward() *cobra.Command {
	o, w, feeds, file, userName := new(forwarder.Options), new(lineFlags), new(feedFlags), "", ""
	cmd := &cobra.Command{
		Use:   "forward (-c FILE | --to HOST:PORT --state DIR [--journal WORDS] [--syslog ADDRESS] CATEGORY=GLOB...)",
		Short: "follow files, the journal and syslog, and send their lines",
		Long:  forwardHelp,
		Example: `  inkwell forward --to logs.example.com:1463 --state /var/lib/inkwell 'apache.access=/var/log/apache2/*access.log'
  inkwell forward --to logs:1463 --state /var/lib/inkwell --format cri 'k8s.{ns}.{container}=/var/log/pods/{ns}_{pod}_*/{container}/*.log'
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
			return a.runForward(&forwardCommand{cmd: cmd, args: args, o: *o, flags: w, feeds: feeds, file: file,
				user: userName})
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&file, "config", "c", "", "configuration `FILE` with <tail> blocks and a <store>")
	flags.StringSliceVar(&o.To, "to", nil, "`HOST[:PORT]` (1463), tls://HOST:PORT or unix:PATH of the next hop, "+
		"several with commas in order of preference; or where to find them: srv:NAME, dns:NAME:PORT or file:PATH "+
		"(required)")
	tlsFlags(flags, &o.Calls.TLS)
	flags.StringVar(&o.StateDir, "state", "", "`DIR` for positions and spool (required)")
	flags.Var(conf.Value(&o.SpoolMax, "8GiB", "size", conf.ParseSize), "spool-max",
		"largest size of the spool; 0 = no limit")
	flags.Var(conf.Value(&o.FromEnd, "start", "place", parseFrom), "from",
		"where to begin in a file that is new to it: start or end")
	flags.BoolVar(&o.Once, "once", false, "read all files to their end, deliver the lines, and end")
	flags.Var(conf.Value(&o.Wait, "0", "duration", conf.ParseDuration), "wait",
		"with --once: end with 75 when the next hop has accepted nothing for this long; 0 = wait for ever")
	userFlag(flags, &userName)
	httpFlags(flags)
	hostFlag(flags, &o.Host)
	feeds.register(flags)
	flags.Var(conf.Value(&o.MaxLine, "16MiB", "size", parseLine), "max-line", "split lines that are longer")
	flags.IntVar(&o.MaxCategories, "max-categories", 4096,
		"largest number of categories from a {name}; files of further ones are not followed")
	w.register(flags)
	return cmd
}

// forwardCommand is a command line of forward.
type forwardCommand struct {
	cmd   *cobra.Command
	args  []string
	o     forwarder.Options // the values of flags
	flags *lineFlags
	feeds *feedFlags
	file  string // of the configuration, "" = it is that of the flags
	user  string // user to become, "" = that of the configuration
}

// forwarding is what results from a command line and its configuration.
type forwarding struct {
	o     forwarder.Options
	c     *config.Config
	file  string // of the configuration, "" = it is that of the flags
	flags *lineFlags
	feeds *feedFlags
	hop   nextHop
	user  string // to become, "" = none
	ours  followed
	state [2]stateDir // where positions are to be, and where an older Inkwell had them with the same words
}

// read reads the configuration and combines it with the flags. It may be called several times.
func (f *forwardCommand) read(lookup func(string) (string, bool)) (*forwarding, error) {
	c, hop, err := readForwarding(f.file, func() (string, error) { return flagText(f.cmd, f.args, forwardLines) })
	if err != nil {
		return nil, err
	}
	w := &forwarding{o: f.o, c: c, hop: hop, flags: f.flags, feeds: f.feeds.clone(), file: f.file,
		user: cmp.Or(f.user, c.User)}
	if err := w.configure(f.cmd, lookup); err != nil {
		return nil, err
	}
	if w.o.To, err = completed(w.o.To); err != nil {
		return nil, err
	}
	if err := needTLS(f.cmd, w.o.To, w.o.Calls.TLS); err != nil {
		return nil, err
	}
	return w, w.feeds.check(w.o.Once)
}

// configure fills the options from the configuration; a flag that was given overrides it.
func (w *forwarding) configure(cmd *cobra.Command, lookup func(string) (string, bool)) error {
	o := &w.o
	if w.file == "" { // the configuration has what the flags say
		w.feeds = new(feedFlags)
	}
	if err := w.feeds.configure(w.c); err != nil {
		return err
	}
	if len(w.c.Tails) == 0 && w.feeds.empty() {
		return fmt.Errorf("%s: no <tail>, <journal> or <syslog> block: what shall be followed?", w.c.File.Name)
	}
	if !cmd.Flags().Changed("max-categories") {
		o.MaxCategories = w.c.MaxCategories
	}
	if len(o.To) == 0 {
		o.To = w.hop.to
	}
	o.Host, o.Version = cmp.Or(o.Host, w.c.Host), version()
	o.Calls = w.hop.with(o.Calls.TLS)
	if w.hop.spooled {
		o.SpoolMax = w.hop.spoolMax
	}
	w.ours.categories = make([]string, 0, len(w.c.Tails))
	for _, t := range w.c.Tails {
		in := forwarder.Input{Category: t.Category, Glob: t.Glob, Exclude: t.Exclude, FromEnd: t.FromEnd,
			Prefix: t.Prefix, Lines: t.Lines}
		if w.file != "" {
			w.flags.apply(&in, cmd.Flags().Changed)
		}
		if o.Once { // otherwise no file system is accessed here, because it may hang
			if found, err := in.Finds(); err == nil && !found {
				return fmt.Errorf("%s: %w (--once reads the files that are there: check the name, and write DIR/* "+
					"for those "+
					"in a directory)", in.Glob, fs.ErrNotExist)
			}
		}
		o.Inputs, w.ours.categories = append(o.Inputs, in), append(w.ours.categories, in.Category)
	}
	w.ours.inputs = o.Inputs
	dir := w.c.State
	if given(cmd, "state") || dir == "" {
		dir = o.StateDir
	}
	if dir != "" {
		w.state = [2]stateDir{{dir: dir}, {root: dir, dir: filepath.Join(dir, "forward")}}
		return nil
	}
	root, err := stateRoot(w.c, lookup)
	w.state = [2]stateDir{{root: root, dir: filepath.Join(root, "forward")}, {dir: root}}
	return err
}

// given reports whether a flag was given on the command line.
func given(cmd *cobra.Command, name string) (yes bool) {
	cmd.Flags().Visit(func(f *pflag.Flag) { yes = yes || f.Name == name })
	return yes
}

// settle decides where positions and spool are.
func (w *forwarding) settle(log *slog.Logger) error {
	o := &w.o
	state, err := w.ours.positionsOf(w.state[0], w.state[1], log)
	if err != nil {
		return err
	}
	o.StateRoot, o.StateDir = state.root, state.dir
	if w.hop.spooled {
		here, there := w.hop.spools("forward", w.state[0].dir)
		spool := w.ours.spoolOf(here, there, log)
		o.SpoolRoot, o.SpoolDir = spool.root, spool.dir
	}
	return nil
}

// parseFrom reports whether new files are begun at their end.
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

func peerNote(s forwarder.Status) string {
	return english.Plural(s.Files, "file", "") + " to " + cmp.Or(s.Peer, "nobody yet")
}
