package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"inkwell/internal/conf"
	"inkwell/internal/config"
	"inkwell/internal/rpc"
)

// initOptions are the flags of init.
type initOptions struct {
	output string // file, - = standard output, "" = the system's place
	force  bool
	dir    string // of a collector's files
	listen string
	to     string // of a forwarder
	root   string // where logs are looked for, for tests

	nothing bool // no logs were found: the configuration of a forwarder has to be completed first
}

func (a *app) init() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init collect|forward",
		Short: "write a configuration for this machine",
		Long: `init writes a commented configuration for this machine, checks whether a start with it would
succeed, and prints the next command. It finds out what it can by itself, and overwrites nothing.
The file of root is written to /etc/inkwell, that of other users to ~/.config/inkwell.`,
		Example: `  inkwell init collect --dir /srv/logs
  inkwell init forward --to logs.example.com`,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.initCollect(), a.initForward())
	return cmd
}

func (o *initOptions) flags(cmd *cobra.Command, name string) {
	cmd.Flags().StringVarP(&o.output, "output", "o", "",
		"`FILE` to write, - for standard output (default "+name+".conf in /etc/inkwell or ~/.config/inkwell)")
	cmd.Flags().BoolVar(&o.force, "force", false, "overwrite FILE if it exists")
}

func (a *app) initCollect() *cobra.Command {
	o := new(initOptions)
	cmd := &cobra.Command{
		Use:   "collect",
		Short: "write the configuration of a collector",
		Long: `collect writes the configuration of a collector, which receives entries and writes compressed
files per category, new ones each day, and keeps them for 30 days. Without --dir the files go to
/var/log/inkwell, or for users other than root to ~/inkwell.`,
		Example: "  inkwell init collect --dir /srv/logs\n  inkwell init collect -o - --listen 0.0.0.0:1463",
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			text, err := a.collectorText(o)
			if err != nil {
				return err
			}
			return a.writeInitial(o, "collect", text)
		},
	}
	o.flags(cmd, "collect")
	cmd.Flags().StringVar(&o.dir, "dir", "", "`DIR` for the files")
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:1463",
		"`HOST:PORT`, tls://HOST:PORT or unix:PATH to listen on")
	return cmd
}

func (a *app) initForward() *cobra.Command {
	o := new(initOptions)
	cmd := &cobra.Command{
		Use:   "forward",
		Short: "write the configuration of a forwarder",
		Long: `forward writes the configuration of a forwarder. It looks for the logs of Apache, nginx and
containers, the systemd journal, and, where there is no journal, the files of syslog. Without --to
it sends to a collector on this machine, if there is one; otherwise it asks, if it runs on a
terminal.`,
		Example: "  inkwell init forward --to logs.example.com\n  inkwell init forward --to " +
			"tls://logs.example.com:1464 -o forward.conf",
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			text, err := a.forwarderText(o)
			if err != nil {
				return err
			}
			return a.writeInitial(o, "forward", text)
		},
	}
	o.flags(cmd, "forward")
	cmd.Flags().StringVar(&o.to, "to", "", "`HOST[:PORT]` (1463), tls://HOST:PORT or unix:PATH of the collector, or "+
		"srv:NAME, dns:NAME:PORT or file:PATH")
	return cmd
}

// collectorText writes the configuration of a collector.
func (a *app) collectorText(o *initOptions) (string, error) {
	dir := o.dir
	if dir == "" {
		dir = "/var/log/inkwell"
		if a.uid() != 0 {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", fmt.Errorf("find a directory for the files (give one with --dir): %w", err)
			}
			dir = filepath.Join(home, "inkwell")
		}
	}
	dir, err := absolute(dir)
	if err != nil {
		return "", err
	}
	return `inkwell 1
# A collector receives what forwarders and Scribe clients send, and writes files for each category.
# docs/configuration.md explains every option; inkwell check --start FILE says what is wrong with this file.

# Everybody who can connect to this address can write logs. To receive them from other machines, give an address of the
# internal network, such as 10.0.0.5:1463, or use TLS: listen=tls://0.0.0.0:1464 with tls_cert=, tls_key=, tls_ca= and
# <allow> blocks (docs/security.md).
` + conf.Line("listen", o.listen) + `

<store>
category=default
type=file
` + conf.Line("file_path", dir) + `
# gzip or zstd; none makes plain files.
compress=gzip
# A new file is begun daily (or hourly), and before one takes up more than max_size on the disk.
rotate_period=daily
rotate_hour=0
rotate_minute=0
max_size=1GB
# Older files are removed. keep_total=500GB bounds the size of all files together.
keep=30d
# A message that does not end with a newline gets one, so that each message is a line.
add_newlines=if-missing
</store>
`, nil
}

// forwarderText writes the configuration of a forwarder.
func (a *app) forwarderText(o *initOptions) (string, error) {
	to, err := a.collectorFor(o)
	if err != nil {
		return "", err
	}
	if to, err = completed(to); err != nil {
		return "", err
	}
	spool, err := a.initialSpool(o.root)
	if err != nil {
		return "", err
	}
	found := findInputs(o.root, hasJournal(o.root))
	if o.nothing = len(found.blocks) == 0; o.nothing {
		found.blocks = []string{
			"# No logs were found in the usual places. Name yours, and remove the # of each line:\n" +
				"#<tail>\n#category=app\n#path=/srv/app/log/*.log\n#</tail>\n"}
	}
	if len(found.names) > 0 {
		say(a.screen, "found %s\n", strings.Join(found.names, ", "))
	}
	for _, path := range found.unread {
		say(a.screen,
			"%s cannot be read by this user: run the forwarder as a user who can (on Debian one in the group adm)\n",
			path)
	}
	return `inkwell 1
# A forwarder follows logs and sends their lines to a collector.
# docs/configuration.md explains every option; inkwell check --start FILE says what is wrong with this file.

` + strings.Join(found.blocks, "\n") + `
<store>
category=default
type=buffer
# Entries that cannot be sent wait here, on the disk, until the collector is back.
` + conf.Line("spool_dir", spool) + `
spool_max=8GB
<primary>
type=network
# The collector. If several are given, separated by blanks, the first that works is used. srv:NAME, dns:NAME:PORT or
# file:/path names a group of collectors: each forwarder chooses one of them, so that all have about the same load.
` + conf.Line("service_list", strings.Join(to, " ")) + `
service_order=` + orderOf(to) + `
</primary>
</store>
`, nil
}

// collectorFor returns the address to which a forwarder of this machine sends.
func (a *app) collectorFor(o *initOptions) ([]string, error) {
	if o.to != "" {
		return strings.Split(o.to, ","), nil
	}
	here := "localhost:" + scribePort
	if reach(here, rpc.TLSFiles{}) == nil {
		say(a.screen, "found a collector at %s\n", here)
		return []string{here}, nil
	}
	if a.stdin == nil || !term.IsTerminal(int(a.stdin.Fd())) {
		return nil, usagef("there is no collector at %s: say where it is with --to HOST[:PORT]", here)
	}
	say(a.screen, "There is no collector at %s. Where is it (HOST[:PORT])? ", here)
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if text := strings.TrimSpace(line); text != "" {
		return []string{text}, nil
	}
	return nil, errors.Join(usagef("no collector was named: say where it is with --to HOST[:PORT]"), err)
}

// hasJournal reports whether the systemd journal can be read here.
func hasJournal(root string) bool {
	if _, err := exec.LookPath("journalctl"); err != nil {
		return false
	}
	for _, dir := range []string{"/var/log/journal", "/run/log/journal"} {
		if list, err := filepath.Glob(filepath.Join(root, dir, "*", "*.journal")); err == nil && len(list) > 0 {
			return true
		}
	}
	return false
}

// unitDirs are the directories in which systemd looks for units.
var unitDirs = []string{"/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// hasUnit reports whether one of Inkwell's units is installed.
func hasUnit(root, name string) bool {
	for _, dir := range unitDirs {
		if _, err := os.Stat(filepath.Join(root, dir, name)); err == nil {
			return true
		}
	}
	return false
}

// initialSpool returns a spool directory: one that the unit may write to, or else one beside the positions.
func (a *app) initialSpool(root string) (string, error) {
	if a.uid() == 0 && hasUnit(root, "inkwell-forward.service") {
		return "/var/lib/inkwell-forward/spool", nil
	}
	state, err := stateRoot(config.Load("flags", nil), a.lookup)
	return filepath.Join(state, "spool"), err
}

// writeInitial writes the configuration, checks it, and prints the next command.
func (a *app) writeInitial(o *initOptions, name, text string) error {
	if o.output == "-" {
		_, err := fmt.Fprint(a.output(), text)
		return err
	}
	path := o.output
	if path == "" {
		dir := "/etc/inkwell"
		if a.uid() != 0 {
			base, err := os.UserConfigDir()
			if err != nil {
				return fmt.Errorf("find a place for the configuration (name it with -o FILE): %w", err)
			}
			dir = filepath.Join(base, "inkwell")
		}
		path = filepath.Join(dir, name+".conf")
	}
	if _, err := os.Lstat(path); err == nil && !o.force {
		return fmt.Errorf("%s exists already and was not changed (write another with -o FILE, or overwrite it with "+
			"--force)", path)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644) // the daemon's user must be able to read it
	}
	if err != nil {
		return fmt.Errorf("write the configuration (to another place with -o FILE): %w", err)
	}
	say(a.stdout, "wrote %s\n", path)
	if o.nothing {
		return fmt.Errorf("no logs were found in the usual places: name yours in %s, check it with "+
			"'inkwell check --start %s', and then: %s", path, path, o.next(a, name, path))
	}
	err = a.checkFile(a.output(), path, checks{start: true})
	next := o.next(a, name, path)
	if err != nil {
		return fmt.Errorf("%w; correct %s, look again with 'inkwell check --start %s', and then: %s", err, path, path,
			next)
	}
	say(a.stdout, "next: %s\n", next)
	return nil
}

// next returns the command that starts what the configuration in path describes.
func (o *initOptions) next(a *app, name, path string) string {
	if unit := "inkwell-" + name; a.uid() == 0 && filepath.Dir(path) == "/etc/inkwell" &&
		hasUnit(o.root, unit+".service") {
		return "systemctl enable --now " + unit
	}
	return fmt.Sprintf("inkwell %s -c %s", name, path)
}
