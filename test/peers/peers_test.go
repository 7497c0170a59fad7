// Package peers sends to next hops that nobody here wrote, with bounds of their own: Flume with a small channel, a Ruby
// server that takes so many messages at once or takes its time, a Node server that knows only Log. They are fetched by
// the package managers, which takes a while, so that this is none of the usual tests:
//
//	make peers
//
// Without INKWELL_PEERS, which make peers sets, each says that it was not run. What a machine does not have then (maven
// and java, npm and node, ruby with its thrift) fails by its name.
package peers

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/test/harness"
)

var ink harness.Inkwell

// variable says that the tests are to be run.
const variable = "INKWELL_PEERS"

// wanted says whether a test is to be run.
func wanted(t *testing.T) bool {
	t.Helper()
	if os.Getenv(variable) == "" {
		harness.NotRun(t, "it takes minutes, and downloads: make peers")
		return false
	}
	return true
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	defer harness.ReportNotRun()
	if os.Getenv(variable) == "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "inkwell-peers-bin-")
	if err == nil {
		defer os.RemoveAll(dir)
		ink, err = harness.Build(dir, false)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// tool runs a program in a directory; it must end with 0.
func tool(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// data is the path of a file of testdata.
func data(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// server is a next hop that writes what it takes into a file.
type server struct {
	*harness.Process
	addr, out string
}

// start starts a program with the port of an address of its own and a file for its output.
func start(t *testing.T, command func(port, out string) harness.Command) *server {
	t.Helper()
	s := &server{addr: harness.FreeAddr(t), out: filepath.Join(t.TempDir(), "out")}
	_, port, _ := strings.Cut(s.addr, ":")
	s.Process = ink.Start(t, command(port, s.out))
	harness.Until(t, "the peer listens", func() bool {
		if s.Ended() {
			t.Fatalf("%s has ended\n%s", s, s.Stderr())
		}
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	return s
}

// deliver sends lines of a file with a forwarder, and says how long that took.
func (s *server) deliver(t *testing.T, lines int, flags ...string) time.Duration {
	t.Helper()
	dir := t.TempDir()
	in := filepath.Join(dir, "in.log")
	harness.WriteFile(t, in, string(harness.Lines("peer", 0, lines)))
	conf := filepath.Join(dir, "forward.conf")
	harness.WriteFile(t, conf, "inkwell 1\nstate="+dir+"/state\n<tail>\ncategory=peer\npath="+in+"\n</tail>\n<store>\ncategory=default\ntype=buffer\nspool_dir="+
		dir+"/spool\n<primary>\ntype=network\nservice_list="+s.addr+"\n"+strings.Join(flags, "\n")+"\n</primary>\n</store>\n")
	began := time.Now()
	cmd := exec.Command(ink.Path, "forward", "--once", "--wait", "2m", "-c", conf)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("forward --once: %v\n%s", err, out)
	}
	return time.Since(began)
}

// judge wants every line in data once, and tells how long that took.
func judge(t *testing.T, data []byte, lines int, took time.Duration) {
	t.Helper()
	l := harness.NewLedger()
	l.Bytes(data)
	l.Exactly(t, map[string]int{"peer": lines})
	t.Logf("%d lines, %d of them twice, in %v", lines, l.Of("peer").Twice, took.Round(100*time.Millisecond))
}

// whole is what the server wrote.
func (s *server) whole(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(s.out)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestFlume sends to Apache Flume's scribe source, whose memory channel takes a transaction of so many events or says
// TRY_LATER, and is drained by a sink of its own.
func TestFlume(t *testing.T) {
	if !wanted(t) {
		return
	}
	lib := filepath.Join(t.TempDir(), "lib")
	tool(t, ".", "mvn", "-q", "-B", "-f", data(t, "pom.xml"), "dependency:copy-dependencies", "-DoutputDirectory="+lib)
	for _, c := range []struct{ channel, lines int }{{20_000, 60_000}, {100, 1_990}} {
		t.Run(fmt.Sprint("channel of ", c.channel), func(t *testing.T) {
			sink := t.TempDir()
			s := start(t, func(port, _ string) harness.Command {
				conf := filepath.Join(t.TempDir(), "flume.conf")
				harness.WriteFile(t, conf, strings.NewReplacer("{PORT}", port, "{CAP}", fmt.Sprint(c.channel), "{OUT}", sink).Replace(
					`a.sources=s
a.channels=c
a.sinks=k
a.sources.s.type=org.apache.flume.source.scribe.ScribeSource
a.sources.s.port={PORT}
a.sources.s.channels=c
a.channels.c.type=memory
a.channels.c.capacity={CAP}
a.channels.c.transactionCapacity={CAP}
a.sinks.k.type=file_roll
a.sinks.k.channel=c
a.sinks.k.sink.directory={OUT}
a.sinks.k.sink.rollInterval=0
`))
				return harness.Command{Program: "java", Args: []string{"-cp", lib + "/*", "org.apache.flume.node.Application", "-f", conf, "-n", "a", "--no-reload-conf"}}
			})
			took := s.deliver(t, c.lines)
			written := func() (all []byte) {
				files, err := filepath.Glob(filepath.Join(sink, "*"))
				if err != nil {
					t.Fatal(err)
				}
				for _, path := range files {
					text, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, bytes.ReplaceAll(text, []byte("\n\n"), []byte("\n"))...) // the sink ends each event itself
				}
				return all
			}
			harness.Until(t, "the channel is empty", func() bool { return bytes.Count(written(), []byte("\n")) >= c.lines })
			judge(t, written(), c.lines, took)
		})
	}
}

// generated is what the Thrift compiler makes of Log alone for a language.
func generated(t *testing.T, language string) string {
	t.Helper()
	dir := t.TempDir()
	tool(t, dir, "thrift", "-out", dir, "--gen", language, data(t, "log.thrift"))
	return dir
}

// TestNode sends to a server of npm's thrift that knows only Log, calls of more than 4,096 bytes too: it must not be
// asked anything else.
func TestNode(t *testing.T) {
	if !wanted(t) {
		return
	}
	gen, modules := generated(t, "js:node"), t.TempDir()
	tool(t, modules, "npm", "install", "--no-audit", "--no-fund", "--silent", "thrift@0.24.0")
	s := start(t, func(port, out string) harness.Command {
		return harness.Command{Program: "node", Args: []string{data(t, "server.js"), gen, port, out}, Env: []string{"NODE_PATH=" + filepath.Join(modules, "node_modules")}}
	})
	took := s.deliver(t, 60_000)
	judge(t, s.whole(t), 60_000, took)
	if s.Ended() {
		t.Errorf("%s has ended\n%s", s, s.Stderr())
	}
}

// TestRuby sends to a server of Ruby's thrift that takes at most 5,000 messages at once, as scribe-rb's message_limit
// has it, and to one that takes 1.5 ms for each, with a time-out of five seconds.
func TestRuby(t *testing.T) {
	if !wanted(t) {
		return
	}
	gen := generated(t, "rb")
	for _, c := range []struct {
		name, limit, wait string
		lines             int
	}{{"5,000 at once", "5000", "0", 60_000}, {"1.5 ms a message", "1000000", "0.0015", 60_000}} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, func(port, out string) harness.Command {
				return harness.Command{Program: "ruby", Args: []string{data(t, "server.rb"), gen, port, out, c.limit, c.wait}}
			})
			took := s.deliver(t, c.lines, "timeout=5000")
			judge(t, s.whole(t), c.lines, took)
		})
	}
}
