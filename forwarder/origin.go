package forwarder

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"

	"inkwell/proto"
	"inkwell/store/stream"
)

// origin is where the inputs of a forwarder or a pipe are.
type origin struct {
	host  string
	names *stream.Names
}

// openOrigin finds out the name of this machine, unless it is given one.
func openOrigin(host string, log *slog.Logger) *origin {
	if host == "" {
		name, err := os.Hostname()
		if err != nil {
			log.Warn("the name of this machine cannot be found out, so that none is told: give --host", "err", err)
		}
		host = name
	}
	return &origin{host: host, names: stream.NewNames(log)}
}

// source is that of an input.
func (o *origin) source(path string) stream.Source { return stream.Source{Host: o.host, Path: path} }

// tell says where the streams of a batch come from: an input that is no file.
func (o *origin) tell(b *proto.Batch, name string) {
	for _, s := range b.Spans() {
		if s.Numbered() {
			o.names.Tell(s.Stream, o.source(name))
		}
	}
	o.names.Save()
}

// prefixNames are what a prefix can use.
var prefixNames = regexp.MustCompile(`\{[^{}]*\}`)

// ParsePrefix checks what is to be put before each line: any text in which {host} and {path} stand for those.
func ParsePrefix(s string) (string, error) {
	for _, name := range prefixNames.FindAllString(s, -1) {
		if name != "{host}" && name != "{path}" {
			return "", fmt.Errorf("prefix %q: %s is not known, {host} and {path} are", s, name)
		}
	}
	if strings.ContainsAny(s, "\r\n") {
		return "", fmt.Errorf("prefix %q: it goes into a line, so that it cannot have the end of one", s)
	}
	return s, nil
}

// prefix is what is put before each message of an input. Names of files may be anything: what would end the line is
// replaced.
func (o *origin) prefix(template, path string) []byte {
	if template == "" {
		return nil
	}
	s := o.source(path).Clean()
	return []byte(strings.NewReplacer("{host}", cmp.Or(s.Host, "-"), "{path}", s.Path).Replace(template))
}

// writerName is that of the program that writes into the pipe that is read: that of the parent, as a rule.
func writerName() string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", os.Getppid()))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(name), "\n")
}
