package config

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"inkwell/internal/conf"
)

// spools refuses stores that only a forwarder or a pipe can have.
func (l *loader) spools() {
	for _, b := range l.file.Root.Blocks {
		if slices.Contains(inputBlocks, b.Tag) { // also one with a mistake, which has been reported
			return
		}
	}
	for _, s := range l.config.Stores {
		alone := false
		if s.Sink != nil {
			Walk(s.Sink, func(sink Sink) {
				b, ok := sink.(Buffer)
				alone = alone || ok && b.SpoolDir != ""
			})
		}
		if alone {
			l.config.refuse(s, &refusal{status: "Bad config - spool_dir in a file without an input", line: s.Line,
				cure: "a server keeps what waits beside the files of a <secondary>: write type=file and " +
					"file_path=DIR in one"})
			s.Sink = nil
		}
	}
}

// hiddenPrefixes warns of patterns that never match because a shorter one matches first.
func (l *loader) hiddenPrefixes() {
	if l.config.LongestPrefix {
		return
	}
	type pattern struct {
		prefix string
		line   int
	}
	var all []pattern
	for _, s := range l.config.Stores {
		for _, category := range s.Categories {
			if prefix, ok := strings.CutSuffix(category, "*"); ok {
				all = append(all, pattern{prefix, s.Line})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b pattern) int { return strings.Compare(a.prefix+"*", b.prefix+"*") })
	for i, long := range all {
		for _, short := range all[:i] {
			if short.prefix != long.prefix && strings.HasPrefix(long.prefix, short.prefix) {
				l.warn(long.line, fmt.Sprintf("category %s* is hidden by %s* of line %d: the shorter prefix takes "+
					"its messages, as it always did", conf.Quote(long.prefix), conf.Quote(short.prefix), short.line),
					"add prefix_match=longest at the top of the file, or remove it")
				break
			}
		}
	}
}

// sharedFiles warns of stores that write to the same files.
func (l *loader) sharedFiles() {
	type owner struct {
		line       int
		categories []string
	}
	first := make(map[string]owner)
	for _, s := range l.config.Stores {
		if s.Sink == nil {
			continue
		}
		for _, f := range files(s.Sink) {
			name := filepath.Join(f.Dir, f.Sub, f.Base)
			if l.config.IsModel(s) {
				name = filepath.Join(f.Dir, "*", f.Sub)
			}
			before, again := first[name]
			switch {
			case !again:
				first[name] = owner{s.Line, s.Categories}
			case !l.config.IsModel(s) || slices.ContainsFunc(s.Categories,
				func(c string) bool { return slices.Contains(before.categories, c) }):
				l.warn(s.Line, fmt.Sprintf("its files %s are also those of the store of line %d", conf.Quote(name),
					before.line), "give each a file_path or base_filename of its own")
			}
		}
	}
}

// twins gives each buffer a spool of its own where several have the same secondary, as happens when lines are copied.
func (l *loader) twins() {
	type file struct{ name, category string }
	seen := make(map[file]int)
	for _, s := range l.config.Stores {
		if s.Sink == nil {
			continue
		}
		model := l.config.IsModel(s)
		s.Sink = eachBuffer(s.Sink, func(b Buffer) Buffer {
			f, ok := b.Secondary.(File)
			if !ok {
				return b
			}
			of := []file{{name: filepath.Join(f.Dir, f.Sub, f.Base)}}
			if model {
				of = nil
				for _, category := range s.Categories {
					of = append(of, file{filepath.Join(f.Dir, "*", f.Sub), category})
				}
			}
			for _, key := range of {
				b.Twin = max(b.Twin, seen[key])
			}
			for _, key := range of {
				seen[key] = b.Twin + 1
			}
			return b
		})
	}
}

// eachBuffer applies a change to every buffer in a sink.
func eachBuffer(s Sink, change func(Buffer) Buffer) Sink {
	all := func(children []Sink) []Sink {
		changed := make([]Sink, len(children))
		for i, child := range children {
			changed[i] = eachBuffer(child, change)
		}
		return changed
	}
	switch s := s.(type) {
	case Buffer:
		s.Primary = eachBuffer(s.Primary, change)
		return change(s)
	case Bucket:
		s.Children = all(s.Children)
		return s
	case Multi:
		s.Children = all(s.Children)
		return s
	case ByCategory:
		s.Model = eachBuffer(s.Model, change)
		return s
	}
	return s
}

// IsModel reports whether s is only a model, of which copies are made for its categories.
func (c *Config) IsModel(s *Store) bool {
	return c.ThreadPerCategory && (s.List || slices.ContainsFunc(s.Categories, isPattern))
}

// files lists the file stores in a sink.
func files(s Sink) []File {
	var all []File
	Walk(s, func(s Sink) {
		if f, ok := s.(File); ok {
			all = append(all, f)
		}
	})
	return all
}

// Walk calls see with a sink and all sinks in it.
func Walk(s Sink, see func(Sink)) {
	see(s)
	switch s := s.(type) {
	case Buffer:
		Walk(s.Primary, see)
		Walk(s.Secondary, see)
	case Bucket:
		for _, child := range s.Children {
			Walk(child, see)
		}
	case Multi:
		for _, child := range s.Children {
			Walk(child, see)
		}
	case ByCategory:
		Walk(s.Model, see)
	}
}

// listens returns the addresses on which c listens.
func (c *Config) listens() []string {
	switch {
	case len(c.Listen) > 0 || c.Port == 0:
		return c.Listen
	case c.New:
		return []string{fmt.Sprintf("127.0.0.1:%d", c.Port)}
	}
	return []string{fmt.Sprintf(":%d", c.Port)}
}

// RefuseLoops disables every store that sends to one of the addresses to listen on (HOST:PORT; an empty HOST means
// every address of this machine), because its messages would come back for ever. Load calls it for port= and listen=; a
// program that listens elsewhere calls it with those addresses.
func (c *Config) RefuseLoops(listen []string) {
	own := ownHosts()
	for _, s := range c.Stores {
		if s.Sink == nil {
			continue
		}
		addr := ""
		Walk(s.Sink, func(sink Sink) {
			n, ok := sink.(Network)
			if i := slices.IndexFunc(n.Addrs, func(a string) bool { return reaches(a, listen, own) }); ok && i >= 0 {
				addr = n.Addrs[i]
			}
		})
		if addr == "" {
			continue
		}
		c.refuse(s, &refusal{status: "Bad config - network store sends to this server itself: " + addr, line: s.Line,
			cure: "every message would come back: name another server or port"})
		s.Sink = nil
		if c.Status == "" {
			c.conclude("")
		}
	}
}

// ownHosts returns the names and addresses of this machine.
func ownHosts() []string {
	own := []string{"localhost"}
	if host, err := os.Hostname(); err == nil {
		own = append(own, strings.ToLower(host))
	}
	addrs, _ := net.InterfaceAddrs() // without them, loops over them are not seen
	for _, a := range addrs {
		if network, ok := a.(*net.IPNet); ok {
			own = append(own, network.IP.String())
		}
	}
	return own
}

// reaches reports whether addr is one of the addresses that are listened on.
func reaches(addr string, listen, own []string) bool {
	if strings.HasPrefix(addr, "unix:") {
		return slices.Contains(listen, addr)
	}
	host, port, err := net.SplitHostPort(strings.TrimPrefix(addr, "tls://"))
	if err != nil {
		return false
	}
	host = strings.ToLower(host)
	ip := net.ParseIP(host)
	local := ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) || slices.Contains(own, host)
	return slices.ContainsFunc(listen, func(l string) bool {
		at, on, err := net.SplitHostPort(strings.TrimPrefix(l, "tls://"))
		if err != nil || on != port {
			return false
		}
		bound := net.ParseIP(at)
		switch {
		case at == "" || bound != nil && bound.IsUnspecified():
			return local
		case strings.EqualFold(at, host) || bound != nil && bound.Equal(ip):
			return true
		}
		return at == "localhost" && ip != nil && ip.IsLoopback() || host == "localhost" && bound != nil &&
			bound.IsLoopback()
	})
}
