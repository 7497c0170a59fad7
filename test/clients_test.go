package test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"inkwell/test/harness"
)

// perlClient is what a Perl program of the time did, with Debian's Thrift library and the code that the compiler makes of our IDL.
const perlClient = `
use strict; use warnings;
use lib $ARGV[0];
use Thrift; use Thrift::BinaryProtocol; use Thrift::FramedTransport; use Thrift::Socket;
use Scribe::Thrift::Types; use Scribe::Thrift::scribe;

my ($host, $port) = split /:/, $ARGV[1];
sub same { my ($got, $want, $what) = @_; die "$what: got $got, want $want\n" if $got ne $want }
sub connected {
	my $transport = Thrift::FramedTransport->new(Thrift::Socket->new($host, $port));
	my $client = Scribe::Thrift::scribeClient->new(Thrift::BinaryProtocol->new($transport));
	$transport->open();
	return ($client, $transport);
}
sub entry { Scribe::Thrift::LogEntry->new({category => $_[0], message => $_[1]}) }

my ($client, $transport) = connected();
same($client->Log([entry("perl", "one\n"), entry("perl", "t\x00wo\xff\n"), entry("perl", "")]), Scribe::Thrift::ResultCode::OK, "Log");
same($client->Log([]), Scribe::Thrift::ResultCode::OK, "empty Log");
for my $batch (0 .. 19) {
	same($client->Log([map { entry("perl.many", sprintf("%05d\n", $batch * 100 + $_)) } 0 .. 99]), Scribe::Thrift::ResultCode::OK, "Log");
}
$transport->close();
for my $n (0 .. 49) { # a connection for each record
	my ($once, $line) = connected();
	same($once->Log([entry("perl.once", "$n\n")]), Scribe::Thrift::ResultCode::OK, "Log once");
	$line->close();
}
($client, $transport) = connected();
same($client->getName(), "Scribe", "getName");
same($client->getVersion(), "2.2", "getVersion");
same($client->getStatus(), 2, "getStatus");
same($client->getStatusDetails(), "", "getStatusDetails");
same($client->getCounter("scribe_overall:received good"), 2053, "getCounter");
same($client->getCounters()->{"perl.many:received good"}, 2000, "getCounters");
$client->setOption("a", "b");
same($client->getOption("a"), "b", "getOption");
same($client->getOptions()->{"a"}, "b", "getOptions");
same($client->getCpuProfile(1), "", "getCpuProfile");
die "aliveSince\n" if $client->aliveSince() < 1600000000;
$client->shutdown();
$transport->close();
print "checked\n";
`

func TestForeignPerlClient(t *testing.T) {
	t.Parallel()
	gen := t.TempDir()
	for _, name := range []string{"fb303.thrift", "scribe.thrift"} {
		harness.Tool(t, "thrift", "--gen", "perl", "-out", gen, filepath.Join("..", "proto", name))
	}
	script := filepath.Join(gen, "client.pl")
	harness.WriteFile(t, script, perlClient)
	s := ink.Scribed(t, globals+fileStore("category=default", "out"))
	if out := harness.Tool(t, "/usr/bin/perl", script, gen, s.Addr); strings.TrimSpace(out) != "checked" {
		t.Errorf("the client says %s", out)
	}
	s.Expect(t, 0)
	var many, once strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&many, "%05d\n", i)
	}
	for i := range 50 {
		fmt.Fprintln(&once, i)
	}
	for category, want := range map[string]string{"perl": "one\nt\x00wo\xff\n", "perl.many": many.String(), "perl.once": once.String()} {
		if got := string(harness.Contents(t, filepath.Join(s.Dir, "out"), category)); got != want {
			t.Errorf("%s holds %.300q, want %.300q", category, got, want)
		}
	}
}

// TestConnectionForEachRecord is how some logging libraries send.
func TestConnectionForEachRecord(t *testing.T) {
	t.Parallel()
	const clients, each = 4, 250
	s := ink.Scribed(t, globals+fileStore("category=default", "out"))
	var work sync.WaitGroup
	want := map[string]int{}
	for i := range clients {
		source := fmt.Sprint("src", i)
		want[source] = each
		work.Go(func() {
			for seq := range each {
				if err := stress(s.Addr, "cat", source, seq, seq+1); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	s.Shutdown(t)
	harness.Audit(t, filepath.Join(s.Dir, "out"), "cat").Exactly(t, want)
}

// TestPipeliningClient sends all its calls before it reads an answer, some of them in the style of newer libraries: each is answered, in order.
func TestPipeliningClient(t *testing.T) {
	t.Parallel()
	const calls, each = 300, 10
	s := ink.Scribed(t, globals+fileStore("category=default", "out"))
	c := dialScribe(t, s.Addr)
	failed := make(chan error, 1)
	go func() {
		var all []byte
		for call := range calls {
			c.Strict = call%3 == 1
			all = c.LogCall(all, harness.Entries("cat", "src", call*each, (call+1)*each))
		}
		_, err := c.Conn.Write(all)
		failed <- err
	}()
	for seq := range int32(calls) {
		if code, err := c.LogReply(seq + 1); code != harness.OK || err != nil {
			t.Fatalf("answer %d: %d, %v", seq+1, code, err)
		}
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	s.Shutdown(t)
	harness.Audit(t, filepath.Join(s.Dir, "out"), "cat").Exactly(t, map[string]int{"src": calls * each})
}

// TestHugeMessage sends a message of 50 MB, as some did, through a client to its central.
func TestHugeMessage(t *testing.T) {
	t.Parallel()
	const size = 50 << 20
	client, central := pair(t)
	central.Restart(t)
	client.Restart(t)
	message := bytes.Repeat([]byte("0123456789abcde\n"), size/16)
	c := dialScribe(t, client.Addr)
	mustLog(t, c, harness.Entry{Category: "huge", Message: "before\n"})
	mustLog(t, c, harness.Entry{Category: "huge", Message: string(message)})
	mustLog(t, c, harness.Entry{Category: "huge", Message: "after\n"})
	central.Reaches(t, "huge:received good", 3)
	client.Shutdown(t)
	central.Shutdown(t)
	var all []byte
	for _, path := range harness.Published(t, filepath.Join(central.Dir, "out"), "huge") {
		all = append(all, read(t, path)...)
	}
	if want := "before\n" + string(message) + "after\n"; string(all) != want {
		t.Errorf("%d bytes, want %d", len(all), len(want))
	}
}

// TestClientThatDoesNotBackOff sends on and on what is to be tried later; a good client beside it is served.
func TestClientThatDoesNotBackOff(t *testing.T) {
	t.Parallel()
	const lines = 2000
	s := ink.NewScribed(t, "port={PORT}\ncheck_interval=1\nmax_queue_size=100000\n"+fileStore("category=default", "out")+fileStore("category=bad", "bad"))
	block(t, filepath.Join(s.Dir, "bad"))
	s.Restart(t)
	var stopped atomic.Bool
	var refused, taken atomic.Int64
	var work sync.WaitGroup
	for range 3 {
		work.Go(func() {
			c, err := harness.DialScribe(s.Addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			message := strings.Repeat("x", 50_000)
			for !stopped.Load() {
				code, err := c.Log(harness.Entry{Category: "bad", Message: message})
				switch {
				case err != nil:
					t.Error(err)
					return
				case code == harness.TryLater:
					refused.Add(1)
				default:
					taken.Add(1)
				}
			}
		})
	}
	harness.Until(t, "calls are refused", func() bool { return refused.Load() > 100 })
	mustStress(t, s.Addr, "good", "src", lines)
	holds(t, filepath.Join(s.Dir, "out"), "good", lines)
	stopped.Store(true)
	work.Wait()
	if n := taken.Load(); n > 20 {
		t.Errorf("%d calls of 50 kB were taken into a queue of 100 kB that goes nowhere", n)
	}
	if n := s.Counter(t, "bad:denied for queue size"); n != refused.Load() {
		t.Errorf("denied for queue size is %d, the clients counted %d", n, refused.Load())
	}
	unblock(t, filepath.Join(s.Dir, "bad"))
	s.Shutdown(t)
	harness.Audit(t, filepath.Join(s.Dir, "out"), "good").Exactly(t, map[string]int{"src": lines})
	if got := len(read(t, s.Dir, "bad/bad_00000")); got != int(taken.Load())*50_000 {
		t.Errorf("bad holds %d bytes, %d calls were taken", got, taken.Load())
	}
}

// TestJunkOnThePort hurts nobody, and stays out of the log.
func TestJunkOnThePort(t *testing.T) {
	t.Parallel()
	s := ink.Scribed(t, globals+fileStore("category=default", "out"))
	c := dialScribe(t, s.Addr)
	mustLog(t, c, harness.Entries("cat", "src", 0, 1)...)
	var work sync.WaitGroup
	for name, data := range junk {
		work.Go(func() {
			closed, answer, err := throw(s.Addr, data, 5*time.Second)
			if err != nil || len(answer) > 0 && !bytes.Contains(answer, []byte{3, 0, 0, 0}) && !(name == "http" && bytes.HasPrefix(answer, []byte("HTTP/1.1 404 "))) {
				t.Errorf("%s: closed %v, answer %q, %v", name, closed, answer, err)
			}
		})
	}
	work.Wait()
	mustLog(t, c, harness.Entries("cat", "src", 1, 2)...) // the connection of before goes on
	if code, details := s.Status(t); code != harness.Alive {
		t.Errorf("status %d %q", code, details)
	}
	if _, most := s.Memory(t); most > 600<<20 {
		t.Errorf("%d MB of memory", most>>20)
	}
	s.Shutdown(t)
	if strings.Contains(s.Stderr(), marker) {
		t.Errorf("a payload is in the log:\n%s", s.Stderr())
	}
	harness.Audit(t, filepath.Join(s.Dir, "out"), "cat").Exactly(t, map[string]int{"src": 2})
}
