package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"inkwell/internal/config"
	"inkwell/internal/faultfs"
	"inkwell/internal/rpc"
	"inkwell/store/spool"
)

// scribeConfigs are the places of the original's configuration, in the order in which they are tried.
var scribeConfigs = []string{scribedConfig, "/etc/scribe/scribe.conf", "/etc/scribe.conf", "/etc/scribed/scribe.conf"}

// migrateOptions are the flags of migrate scribed.
type migrateOptions struct {
	file        string // configuration
	bin         string // the directory of the programs; "" = that of the scribed in PATH
	apply, back bool
}

func (a *app) migrate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate scribed",
		Short: "replace another program by Inkwell, or restore it",
		Long: "migrate replaces another program on this machine by Inkwell, after it has shown what that changes, " +
			"and can restore it.",
		Example: "  inkwell migrate scribed\n  inkwell migrate scribed --apply",
		Args:    unknownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.migrateScribed())
	return cmd
}

func (a *app) migrateScribed() *cobra.Command {
	o := new(migrateOptions)
	cmd := &cobra.Command{
		Use:   "scribed [--apply | --back]",
		Short: "replace scribed by Inkwell, or restore it",
		Long: `scribed checks the configuration of the original scribed and shows what would change on this machine. It changes
nothing without one of these flags:

--apply keeps each of the old programs (scribed, scribe_cat, scribe_ctrl, scribe_pipe) as NAME` + keptSuffix + `
and puts a link to inkwell in its place. Start scripts and units keep working, because the names stay the same. It
stops and starts nothing: a server that runs continues until it is stopped.

--back removes the links, restores the names of the old programs, and says where messages wait in files of Inkwell
that the original does not read.`,
		Example: `  inkwell migrate scribed -c /etc/scribe/scribe.conf
  inkwell migrate scribed --apply
  inkwell migrate scribed --back`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			if o.apply && o.back {
				return usagef("--apply and --back do not go together")
			}
			m, err := a.migration(o)
			switch {
			case err != nil:
				return err
			case o.back:
				return m.back()
			}
			return m.forth(o.apply)
		},
	}
	cmd.Flags().StringVarP(&o.file, "config", "c", "",
		"configuration `FILE` of scribed (default: the first of the usual places, "+scribedConfig+" …)")
	cmd.Flags().StringVar(&o.bin, "bin", "",
		"`DIR` of the programs (default: that of the scribed in PATH, or /usr/local/bin)")
	cmd.Flags().BoolVar(&o.apply, "apply", false, "make the change")
	cmd.Flags().BoolVar(&o.back, "back", false, "restore the old programs")
	return cmd
}

// migration is what the command found out about the machine.
type migration struct {
	a       *app
	file    string
	c       *config.Config // nil with --back, if there is no file
	program string         // inkwell
	bin     binDir
}

func (a *app) migration(o *migrateOptions) (*migration, error) {
	m := &migration{a: a, file: o.file}
	for _, path := range scribeConfigs {
		if _, err := os.Stat(path); m.file == "" && err == nil {
			m.file = path
		}
	}
	if m.file != "" {
		c, err := (&configured{file: m.file}).read()
		if err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		m.c = c
	} else if !o.back {
		return nil, usagef("no configuration of scribed was found (%s): name it with -c FILE", scribedConfig)
	}
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	m.program = program
	m.bin, err = openBin(o.bin)
	return m, err
}

func (m *migration) port() int { return cmp.Or(m.c.Port, listened(m.c), defaultPort) }

// forth shows the changes, and makes them with --apply.
func (m *migration) forth(apply bool) error {
	if err := m.a.checkFile(m.a.output(), m.file, checks{}); err != nil {
		return fmt.Errorf("%w: nothing was changed; correct it first", err)
	}
	state, err := (&configured{name: "scribed", tolerant: true}).stateOf(m.c, m.port(), m.a.lookup)
	if err != nil {
		return err
	}
	steps, err := m.bin.plan(m.program)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(m.a.output(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w,
		"journal\t%s\tis created by the first start: entries that were answered OK wait there for their stores\n",
		state.dir)
	for _, s := range steps {
		fmt.Fprintf(w, "program\t%s\t%s\n", filepath.Join(m.bin.path, s.name), s.text(m.program))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if !apply {
		say(m.a.stdout, "nothing was changed. To make the change: inkwell migrate scribed --apply%s\n", m.again())
		return nil
	}
	if err := m.bin.apply(steps, m.program); err != nil {
		return fmt.Errorf("%w (what was done before that was undone)", err)
	}
	say(m.a.stdout, "done. To undo it: inkwell migrate scribed --back%s\n", m.again())
	if m.runs() {
		say(m.a.stdout,
			"next: a server still runs on port %d; stop it, scribe_ctrl stop %[1]d, and start scribed as before\n",
			m.port())
	} else {
		say(m.a.stdout, "next: start scribed as before, or: scribed -c %s\n", m.file)
	}
	return nil
}

// again returns the flags that lead to the same configuration and directory again.
func (m *migration) again() string { return " -c " + m.file + " --bin " + m.bin.path }

// runs reports whether a server answers on the port of the configuration.
func (m *migration) runs() bool {
	return reach("localhost:"+strconv.Itoa(m.port()), rpc.TLSFiles{}) == nil
}

// back removes the links, and lists the messages that the original will not find.
func (m *migration) back() error {
	done, err := m.bin.back(m.program)
	for _, text := range done {
		say(m.a.stdout, "%s\n", text)
	}
	if err != nil {
		return err
	}
	if len(done) == 0 {
		say(m.a.stdout, "there is nothing to undo in %s (--bin DIR names another)\n", m.bin.path)
	}
	if m.c == nil {
		return nil
	}
	held, err := m.held()
	for _, text := range held {
		say(m.a.stdout, "%s\n", text)
	}
	if m.runs() {
		say(m.a.stdout, "next: a server still runs on port %d; stop it, and start the old scribed\n", m.port())
	}
	return err
}

// held lists the journal and the spools that hold messages and that the original does not read.
func (m *migration) held() (texts []string, err error) {
	roots, err := stateRoots(m.c, m.a.lookup)
	if err != nil {
		return nil, err
	}
	dirs := make([]string, 0, len(roots))
	for _, root := range roots {
		dirs = append(dirs, filepath.Join(cmp.Or(m.c.State, filepath.Join(root, "scribed-"+strconv.Itoa(m.port()))),
			"journal"))
	}
	for _, st := range m.c.Stores {
		dirs = append(dirs, config.Spools(st.Sink)...)
	}
	for _, dir := range distinct(dirs) {
		spools, err := spoolsIn(dir)
		if err != nil {
			continue // there is none
		}
		for _, path := range spools {
			n, err := waitingIn(path)
			if err != nil {
				return texts, err
			}
			if n > 0 {
				texts = append(texts, fmt.Sprintf("%s: %d bytes wait that the original does not read: see \"Going "+
					"back\" in docs/migrating-from-scribe.md", path, n))
			}
		}
	}
	return texts, nil
}

// waitingIn returns how many bytes wait in a spool or journal.
func waitingIn(path string) (n uint64, err error) {
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	report, err := spool.Verify(dir, func(int64, int64) {})
	if err != nil {
		return 0, fmt.Errorf("look into %s: %w", path, err)
	}
	if report.Waiting == 0 {
		return 0, nil
	}
	return report.End - report.Acked, nil
}

// keptSuffix is appended to the name of an original program that is kept.
const keptSuffix = ".before-inkwell"

// binRecord is a file beside the links that lists the links that were made, one a line.
const binRecord = ".inkwell-links"

// scribeTools are the programs of the original.
var scribeTools = []string{"scribed", "scribe_cat", "scribe_ctrl", "scribe_pipe"}

// binStep is a change to one program.
type binStep struct {
	name string
	keep bool // a program of that name exists and is kept
	done bool // it is a link to inkwell already
}

func (s binStep) text(program string) string {
	switch {
	case s.done:
		return "is a link to inkwell already"
	case s.keep:
		return "is kept as " + s.name + keptSuffix + ", and becomes a link to " + program
	}
	return "is new, a link to " + program
}

// tempName returns the name of a link before it replaces a program.
func tempName(name string) string {
	return "." + name + "." + strconv.FormatInt(time.Now().UnixNano(), 36)
}

// isLinkTo reports whether path is a symbolic link to the program.
func isLinkTo(path, program string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSymlink {
		return false
	}
	a, err1 := os.Stat(path)
	b, err2 := os.Stat(program)
	return errors.Join(err1, err2) == nil && os.SameFile(a, b)
}

// withoutRepeats returns the elements of list in order, each once.
func withoutRepeats(list []string) (once []string) {
	for _, s := range list {
		if s != "" && !slices.Contains(once, s) {
			once = append(once, s)
		}
	}
	return once
}
