package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"inkwell/forwarder"
	"inkwell/internal/conf"
)

// printLines prints the configuration that a command line stands for.
func (a *app) printLines(args []string) error {
	commands := map[string]struct {
		cmd    *cobra.Command
		render func(*flagLines) error
	}{
		"collect": {a.collect(), collectLines}, "forward": {a.forward(), forwardLines}, "pipe": {a.pipe(), pipeLines},
	}
	command, ok := commands[args[0]]
	if !ok {
		return usagef("%q has no configuration: give collect, forward or pipe and their flags behind --", args[0])
	}
	if err := command.cmd.ParseFlags(args[1:]); err != nil {
		return usageError{err}
	}
	flags := command.cmd.Flags()
	if err := conf.FromEnvironment(flags, a.lookup); err != nil {
		return usageError{err}
	}
	l := &flagLines{flags: flags, args: flags.Args()}
	l.add("inkwell 1")
	if err := command.render(l); err != nil {
		return err
	}
	for _, line := range l.lines {
		if strings.Contains(strings.TrimPrefix(line, "#"), "#") || strings.ContainsAny(line, "\r\n") {
			return usagef("%q cannot stand in a configuration: what is behind # is a comment there", line)
		}
	}
	_, err := fmt.Fprintln(a.output(), strings.Join(l.lines, "\n"))
	return err
}

// flagLines is the configuration that flags stand for.
type flagLines struct {
	flags *pflag.FlagSet
	args  []string
	lines []string
}

func (l *flagLines) add(lines ...string) { l.lines = append(l.lines, lines...) }

// text is the value of a flag, as it was given.
func (l *flagLines) text(name string) string { return l.flags.Lookup(name).Value.String() }

// set adds a line with the value of a flag.
func (l *flagLines) set(key, flag string) { l.add(key + "=" + l.text(flag)) }

// without says of a flag that was given that the configuration has nothing for it.
func (l *flagLines) without(names ...string) {
	for _, name := range names {
		if l.flags.Changed(name) {
			l.add(fmt.Sprintf("# --%s %s: stays a flag", name, l.text(name)))
		}
	}
}

// collectLines is what the flags of collect stand for.
func collectLines(l *flagLines) error {
	if len(l.args) > 0 {
		return usagef("%q is one argument too many", l.args[0])
	}
	dir, state := l.text("dir"), l.text("state")
	if dir == "" {
		return usagef("--dir DIR is missing: where shall the files go?")
	}
	if state == "" {
		state = filepath.Join(dir, ".inkwell")
	}
	listen, err := l.flags.GetStringSlice("listen")
	if err != nil {
		return err
	}
	for _, addr := range listen {
		l.add("listen=" + addr)
	}
	l.tls()
	l.add("state_dir=" + state)
	l.user()
	l.set("durability", "durability")
	l.set("journal_max", "journal-max")
	l.set("stream_ttl", "stream-ttl")
	l.set("max_frame_size", "max-frame")
	l.set("max_conn", "max-connections")
	l.set("max_categories", "max-categories")
	l.guarded()
	at := strings.Split(l.text("rotate-at"), ":")
	l.add("", "<store>", "category=default", "type=file", "file_path="+dir)
	l.set("compress", "compress")
	compressed := l.text("compress") != "none"
	if compressed {
		l.set("level", "level")
	}
	l.add("rotate_period=" + period(l.text("rotate"), compressed))
	for i, key := range []string{"rotate_hour", "rotate_minute"} {
		n, err := strconv.Atoi(at[min(i, len(at)-1)])
		if err != nil {
			return usagef("--rotate-at %s: %w", l.text("rotate-at"), err)
		}
		l.add(fmt.Sprintf("%s=%d", key, n))
	}
	l.set("max_size", "max-size")
	if compressed {
		l.set("keep", "keep")
		l.set("keep_bytes", "keep-bytes")
	} else {
		l.without("keep", "keep-bytes", "level")
	}
	l.newlines()
	l.without("keep-open", "done-markers", "lateness")
	l.add("</store>")
	return nil
}

// newlines adds what is put behind messages.
func (l *flagLines) newlines() {
	switch l.text("add-newlines") {
	case "always":
		l.add("add_newlines=yes")
	case "never":
		l.add("add_newlines=no")
	default:
		l.without("add-newlines")
	}
}

// user adds whom to become, if anybody.
func (l *flagLines) user() {
	if l.text("user") != "" {
		l.set("user", "user")
	}
}

// period is a rotation period as plain files know it: with one unit.
func period(text string, compressed bool) string {
	if d, err := conf.ParseDuration(text); err == nil && !compressed {
		return fmt.Sprintf("%ds", int64(d.Seconds()))
	}
	return text
}

// forwardLines is what the flags of forward stand for.
func forwardLines(l *flagLines) error {
	to, err := l.to()
	if err != nil {
		return err
	}
	state := l.text("state")
	if state == "" {
		return usagef("--state DIR is missing: where shall positions and spool be kept?")
	}
	l.add("state_dir=" + state)
	l.user()
	for _, arg := range l.args {
		in, err := forwarder.ParseInput(arg)
		if err != nil {
			return usageError{err}
		}
		l.add("", "<tail>", "category="+in.Category, "path="+in.Glob)
		if l.text("from") == "end" {
			l.add("from_end=yes")
		}
		l.set("max_line", "max-line")
		l.add("</tail>")
	}
	l.feeds()
	l.without("once")
	l.buffered(to, filepath.Join(state, "spool"), "default")
	return nil
}

// feeds adds the blocks of --journal and --syslog.
func (l *flagLines) feeds() {
	for _, text := range l.flags.Lookup("journal").Value.(*wordsValue).texts {
		l.add("", "<journal>")
		for _, word := range strings.Fields(text) {
			if word != "all" {
				l.add(word)
			}
		}
		l.add("</journal>")
	}
	for _, text := range l.flags.Lookup("syslog").Value.(*wordsValue).texts {
		l.add("", "<syslog>")
		for _, word := range strings.Fields(text) {
			if !strings.Contains(word, "=") {
				word = "listen=" + word
			}
			l.add(word)
		}
		l.add("</syslog>")
	}
}

// pipeLines is what the flags of pipe stand for.
func pipeLines(l *flagLines) error {
	to, err := l.to()
	if err != nil {
		return err
	}
	if len(l.args) != 1 || l.args[0] == "" {
		return usagef("pipe needs one CATEGORY")
	}
	l.add("", "<pipe>", "category="+l.args[0])
	l.set("when_full", "when-full")
	l.set("drain_timeout", "drain-timeout")
	l.without("echo")
	l.add("</pipe>")
	if spool := l.text("spool"); spool != "" {
		l.buffered(to, spool, l.args[0])
		return nil
	}
	l.add("", "<store>", "category="+l.args[0])
	l.network(to)
	l.add("</store>")
	return nil
}

// to reads --to.
func (l *flagLines) to() ([]string, error) {
	to, err := l.flags.GetStringSlice("to")
	if err != nil {
		return nil, err
	}
	return to, needTo(to)
}

// tls adds the files of TLS that were given.
func (l *flagLines) tls() {
	for _, name := range []string{"tls-cert", "tls-key", "tls-ca", "tls-server-name"} {
		if f := l.flags.Lookup(name); f != nil && f.Value.String() != "" {
			l.set(strings.ReplaceAll(name, "-", "_"), name)
		}
	}
}

// guarded adds the lines of guardFlags.
func (l *flagLines) guarded() {
	for _, line := range [][2]string{{"max_conn_per_address", "max-connections-per-address"}, {"max_entries", "max-entries"}, {"max_message_size", "max-message"},
		{"max_in_flight", "max-in-flight"}, {"idle_timeout", "idle-timeout"}, {"header_timeout", "header-timeout"}} {
		l.set(line[0], line[1])
	}
	for _, r := range l.flags.Lookup("allow").Value.(*allowValue).rules {
		l.add("", "<allow>", "from="+r.From, "categories="+r.Categories, "</allow>")
	}
}

// network adds the lines of a store that sends to the first of to that works.
func (l *flagLines) network(to []string) {
	l.add("type=network", "service_list="+strings.Join(to, " "), "service_order=listed")
	l.tls()
}

// buffered adds a store that sends, with a directory for the time when that fails.
func (l *flagLines) buffered(to []string, dir, category string) {
	l.add("", "<store>", "category="+category, "type=buffer")
	l.set("spool_max", "spool-max")
	l.add("<primary>")
	l.network(to)
	l.add("</primary>", "<secondary>", "type=file", "file_path="+dir, "</secondary>", "</store>")
}
