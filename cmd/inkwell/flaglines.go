package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"inkwell/forwarder"
	"inkwell/internal/conf"
	"inkwell/internal/config"
	"inkwell/internal/discovery"
	"inkwell/internal/rpc"
)

// flagLines is the configuration that the flags of a command stand for. The command runs it, and check --print shows
// it.
type flagLines struct {
	flags *pflag.FlagSet
	args  []string
	lines []string
	wrong []error // values that no configuration can have
}

// flagText returns the text of the configuration that render makes of the flags of cmd and of args. It has no errors.
func flagText(cmd *cobra.Command, args []string, render func(*flagLines) error) (string, error) {
	l := &flagLines{flags: cmd.Flags(), args: args}
	l.add("inkwell 1")
	if err := render(l); err != nil {
		return "", err
	}
	if err := errors.Join(l.wrong...); err != nil {
		return "", err
	}
	text := strings.Join(l.lines, "\n") + "\n"
	var errs []error
	for _, p := range config.Load("flags", []byte(text)).Problems {
		switch {
		case p.Error && p.Cure == "":
			errs = append(errs, errors.New(p.Text))
		case p.Error:
			errs = append(errs, fmt.Errorf("%s (%s)", p.Text, p.Cure))
		}
	}
	if len(errs) > 0 {
		return "", usageError{errors.Join(errs...)}
	}
	return text, nil
}

// linesOf returns the configuration that a command line stands for.
func (a *app) linesOf(args []string) (string, error) {
	commands := map[string]struct {
		cmd    *cobra.Command
		render func(*flagLines) error
	}{
		"collect": {a.collect(), collectLines}, "forward": {a.forward(), forwardLines}, "pipe": {a.pipe(), pipeLines},
	}
	command, ok := commands[args[0]]
	if !ok {
		return "", usagef("%q has no configuration: give collect, forward or pipe and their flags behind --", args[0])
	}
	if err := command.cmd.ParseFlags(args[1:]); err != nil {
		return "", usageError{err}
	}
	flags := command.cmd.Flags()
	if err := conf.FromEnvironment(flags, a.lookup); err != nil {
		return "", usageError{err}
	}
	if args[0] == "collect" && flags.NArg() > 0 {
		return "", usagef("%q is one argument too many", flags.Arg(0))
	}
	return flagText(command.cmd, flags.Args(), command.render)
}

func (l *flagLines) add(lines ...string) { l.lines = append(l.lines, lines...) }

// set adds a line with a value.
func (l *flagLines) set(key, value string) {
	if strings.ContainsAny(value, "\r\n") {
		l.wrong = append(l.wrong, usagef("%q: the end of a line cannot stand in a name", value))
	}
	l.add(conf.Line(key, value))
}

// text returns the value of a flag in the notation of a configuration.
func (l *flagLines) text(name string) string {
	v := l.flags.Lookup(name).Value
	text := v.String()
	switch v.Type() {
	case "bool":
		return map[string]string{"true": "yes", "false": "no"}[text]
	case "size", "count", "lines":
		if text = strings.TrimSpace(text); strings.Trim(text, "0123456789") == "" { // a leading 0 would make it octal
			text = cmp.Or(strings.TrimLeft(text, "0"), "0")
		}
	}
	return text
}

// list returns the values of a flag that can be given several times.
func (l *flagLines) list(name string) []string {
	return slices.Clone(l.flags.Lookup(name).Value.(pflag.SliceValue).GetSlice())
}

// flagKey pairs a key of a configuration with the flag that sets it.
type flagKey struct{ key, flag string }

// keysOf lists the keys of a configuration that flags stand for, by their section: global and file for collect, tail
// for forward. The other flags have a function below.
var keysOf = map[string][]flagKey{
	"global": {
		{"durability", "durability"}, {"journal", "journal"}, {"journal_max", "journal-max"}, {"stream_ttl",
			"stream-ttl"},
		{"max_frame_size", "max-frame"}, {"max_trusted_frame_size", "max-trusted-frame"},
		{"max_conn", "max-connections"},
		{"max_categories", "max-categories"}, {"max_conn_per_address", "max-connections-per-address"},
		{"max_entries", "max-entries"},
		{"max_message_size", "max-message"}, {"max_in_flight", "max-in-flight"}, {"idle_timeout", "idle-timeout"},
		{"header_timeout", "header-timeout"},
	},
	"tail": {
		{"max_line", "max-line"}, {"encoding", "encoding"}, {"format", "format"}, {"stamp", "stamp"},
		{"prefix", "prefix"}, {"multiline_start", "multiline-start"},
		{"multiline_lines", "multiline-lines"}, {"multiline_wait", "multiline-wait"},
	},
	"file": {
		{"who", "who"}, {"away_max", "away-max"}, {"max_size", "max-size"}, {"add_newlines", "add-newlines"},
		{"keep", "keep"}, {"keep_total", "keep-bytes"},
		{"keep_open", "keep-open"}, {"layout", "layout"}, {"done_markers", "done-markers"}, {"lateness", "lateness"},
	},
}

// copy adds the lines for several keys of a section.
func (l *flagLines) copy(section string) {
	for _, k := range keysOf[section] {
		l.copyOne(section, k)
	}
}

// copyOne adds the line for a key of a section. It leaves the line out if nobody gave the flag and the default of the
// key is the same.
func (l *flagLines) copyOne(section string, k flagKey) {
	if value := l.text(k.flag); l.flags.Changed(k.flag) || value != config.Default(section, k.key) {
		l.set(k.key, value)
	}
}

// without records that a flag was given for which a configuration has no key.
func (l *flagLines) without(names ...string) {
	for _, name := range names {
		if l.flags.Changed(name) {
			l.add(fmt.Sprintf("# --%s %s: stays a flag", name, l.flags.Lookup(name).Value))
		}
	}
}

// user adds the user to run as, if one was given.
func (l *flagLines) user() {
	if name := l.text("user"); name != "" {
		l.set("user", name)
	}
}

// host adds the name of the machine, if one was given.
func (l *flagLines) host() {
	if name := l.text("host"); name != "" {
		l.set("host", name)
	}
}

// forwardLines writes the configuration that the flags of forward stand for.
func forwardLines(l *flagLines) error {
	to, err := l.to()
	if err != nil {
		return err
	}
	state := l.text("state")
	if state == "" {
		return usagef("--state DIR is missing: where shall positions and spool be kept?")
	}
	if state, err = absolute(state); err != nil {
		return err
	}
	l.http()
	if slices.ContainsFunc(l.list("http"), isTLS) {
		l.tls()
	}
	l.set("state", state)
	l.user()
	l.host()
	l.readers()
	for _, arg := range l.args {
		in, err := forwarder.ParseInput(arg)
		if err != nil {
			return usageError{err}
		}
		path, err := absolute(in.Glob)
		if err != nil {
			return err
		}
		l.add("", "<tail>")
		l.set("category", in.Category)
		l.set("path", path)
		l.fromEnd()
		for _, pattern := range l.list("exclude") {
			l.set("exclude", pattern)
		}
		l.copy("tail")
		l.add("</tail>")
	}
	l.feeds()
	l.copyOne("global", flagKey{"max_categories", "max-categories"})
	l.without("once")
	l.without("wait")
	l.buffered(to, filepath.Join(state, "spool"))
	return nil
}

// absolute returns an absolute path, so that the configuration does not depend on the working directory.
func absolute(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", path, err)
	}
	return abs, nil
}

// fromEnd adds the position at which a new input is begun.
func (l *flagLines) fromEnd() {
	if l.text("from") == "end" {
		l.add("from_end=yes")
	}
}

// feeds adds the blocks of --journal and --syslog.
func (l *flagLines) feeds() {
	for _, text := range l.flags.Lookup("journal").Value.(*wordsValue).texts {
		l.add("", "<journal>")
		for _, word := range strings.Fields(text) {
			if key, value, pair := strings.Cut(word, "="); pair {
				l.set(key, value)
			}
		}
		l.fromEnd()
		l.add("</journal>")
	}
	for _, text := range l.flags.Lookup("syslog").Value.(*wordsValue).texts {
		l.add("", "<syslog>")
		for _, word := range strings.Fields(text) {
			if key, value, pair := strings.Cut(word, "="); pair {
				l.set(key, value)
			} else {
				l.set("listen", word)
			}
		}
		l.add("</syslog>")
	}
}

// pipeLines writes the configuration that the flags of pipe stand for.
func pipeLines(l *flagLines) error {
	to, err := l.to()
	if err != nil {
		return err
	}
	if len(l.args) != 1 || l.args[0] == "" {
		return usagef("pipe needs one CATEGORY")
	}
	l.host()
	l.add("", "<pipe>")
	l.set("category", l.args[0])
	l.copyOne("pipe", flagKey{"when_full", "when-full"})
	l.copyOne("pipe", flagKey{"drain_timeout", "drain-timeout"})
	l.copyOne("pipe", flagKey{"prefix", "prefix"})
	l.without("echo")
	l.add("</pipe>")
	if spool := l.text("spool"); spool != "" {
		if spool, err = absolute(spool); err != nil {
			return err
		}
		l.buffered(to, spool)
		return nil
	}
	l.add("", "<store>", "category=default")
	l.network(to)
	l.add("</store>")
	return nil
}

// to parses --to and returns each address in the form that a configuration has.
func (l *flagLines) to() ([]string, error) {
	to, err := completed(l.list("to"))
	if err != nil {
		return nil, err
	}
	for i, addr := range to {
		if strings.ContainsAny(addr, " \t") {
			return nil, usagef("--to %q: a blank cannot stand in an address", addr)
		}
		if path, ok := strings.CutPrefix(addr, "unix:"); ok {
			path, err := absolute(path)
			if err != nil {
				return nil, err
			}
			to[i] = "unix:" + path
			continue
		}
		colon := strings.LastIndexByte(addr, ':')
		to[i] = addr[:colon+1] + strings.TrimLeft(addr[colon+1:], "0") // which would make it octal
	}
	return to, checkTLS(to, rpc.TLSFiles{Cert: l.text("tls-cert"), Key: l.text("tls-key"), CA: l.text("tls-ca"),
		ServerName: l.text("tls-server-name")})
}

// tls adds the TLS files that were given.
func (l *flagLines) tls() {
	for _, name := range []string{"tls-cert", "tls-key", "tls-ca", "tls-server-name"} {
		if f := l.flags.Lookup(name); f != nil && f.Value.String() != "" {
			l.set(strings.ReplaceAll(name, "-", "_"), f.Value.String())
		}
	}
}

// rules adds the rules of --allow.
func (l *flagLines) rules() {
	for _, r := range l.flags.Lookup("allow").Value.(*allowValue).rules {
		l.add("", "<allow>")
		l.set("from", r.From)
		l.set("categories", r.Categories)
		l.add("</allow>")
	}
	l.readers()
}

// readers adds the rules of --allow-status.
func (l *flagLines) readers() {
	for _, from := range l.list("allow-status") {
		l.add("", "<allow>")
		l.set("from", from)
		l.add("status=yes", "</allow>")
	}
}

// http adds the addresses on which HTTP is answered.
func (l *flagLines) http() {
	for _, addr := range l.list("http") {
		l.set("http", addr)
	}
}

// network adds a store that sends to the first address of to that works, or, with sources of addresses, to its share.
func (l *flagLines) network(to []string) {
	l.add("type=network")
	l.set("service_list", strings.Join(to, " "))
	l.add("service_order="+orderOf(to), "timeout=30s")
	l.tls()
}

// orderOf returns the service_order for the addresses of --to.
func orderOf(to []string) string {
	if slices.ContainsFunc(to, discovery.IsSource) {
		return "spread"
	}
	return "listed"
}

// buffered adds a store that sends, with a spool for the time in which that fails.
func (l *flagLines) buffered(to []string, dir string) {
	l.add("", "<store>", "category=default", "type=buffer")
	l.set("spool_dir", dir)
	l.set("spool_max", l.text("spool-max"))
	l.add("<primary>")
	l.network(to)
	l.add("</primary>", "</store>")
}
