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

// origin knows the host name under which the inputs are reported to the collector, and registers the source of each
// stream.
type origin struct {
	host  string
	names *stream.Names
}

// openOrigin returns the origin of this machine. host overrides the hostname.
func openOrigin(host string, log *slog.Logger) *origin {
	if host == "" {
		name, err := os.Hostname()
		if err != nil {
			log.Warn("the name of this machine is not known and cannot be reported: give --host", "err", err)
		}
		host = name
	}
	return &origin{host: host, names: stream.NewNames(log)}
}

// source returns the source name of an input.
func (o *origin) source(path string) stream.Source { return stream.Source{Host: o.host, Path: path} }

// tell registers the source of each stream in a batch, for an input that is not a file.
func (o *origin) tell(b *proto.Batch, name string) {
	for _, s := range b.Spans() {
		if s.Numbered() {
			o.names.Tell(s.Stream, o.source(name))
		}
	}
	o.names.Save()
}

// prefixNames matches the {names} in a prefix.
var prefixNames = regexp.MustCompile(`\{[^{}]*\}`)

// ParsePrefix checks a prefix for messages: any text, in which {host} and {path} stand for those of the input.
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

// prefix returns the text before each message of an input. File names may contain anything, so characters that would
// end the line are replaced.
func (o *origin) prefix(template, path string) []byte {
	if template == "" {
		return nil
	}
	s := o.source(path).Clean()
	return []byte(strings.NewReplacer("{host}", cmp.Or(s.Host, "-"), "{path}", s.Path).Replace(template))
}

// writerName is the name of the parent process, which is usually the one that writes into the pipe.
func writerName() string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", os.Getppid()))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(name), "\n")
}
