package test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"inkwell/test/harness"
)

// shared is a topic with two collectors and a depot, and a forwarder of a file for each category.
type shared struct {
	kafka      *harness.Kafka
	collectors []*harness.Collector
	depot      string
	input      string
	states     []string
	lines      int
}

var sharedCategories = []string{"web", "mail", "app"}

// newShared starts the collectors. options are those of the topic's address. The depot is a bucket of a
// gateway, or a directory if there is none.
func newShared(t *testing.T, k *harness.Kafka, g *harness.Gateway, options string) *shared {
	s := &shared{kafka: k, depot: t.TempDir(), input: t.TempDir()}
	publish := s.depot
	if g != nil {
		s.depot = filepath.Join(g.Dir, "logs", "prod")
		publish = "s3://logs/prod?path_style=yes&region=us-east-1&endpoint=http://" + g.Addr
	}
	k.Topic(t, "logs", 4, "max.message.bytes=2000000", "unclean.leader.election.enable=false")
	for _, name := range []string{"a", "b"} {
		c := ink.NewCollector(t, t.TempDir(), "--max-message", "1MiB", "--publish", publish,
			"--journal", fmt.Sprintf("kafka://%s/logs?replicas=1&every=1s&member=%s&%s", k.Addr, name, options))
		c.Env("AWS_ACCESS_KEY_ID="+harness.GatewayKey, "AWS_SECRET_ACCESS_KEY="+harness.GatewaySecret)
		c.Restart(t)
		s.collectors = append(s.collectors, c)
	}
	return s
}

// forward starts the forwarders. Each sends to the first of the collectors that works, in an order of its own.
func (s *shared) forward(t *testing.T, collectors ...*harness.Collector) {
	t.Helper()
	for i, category := range sharedCategories {
		harness.WriteFile(t, s.file(category), "")
		state := t.TempDir()
		s.states = append(s.states, state)
		to := collectors[i%len(collectors)].Addr
		for k := 1; k < len(collectors); k++ {
			to += "," + collectors[(i+k)%len(collectors)].Addr
		}
		ink.Start(t, harness.Command{Args: []string{"forward", "--to", to, "--state", state, category + "=" + s.file(category)}})
	}
}

func (s *shared) file(category string) string { return filepath.Join(s.input, category+".log") }

// write appends n lines to the file of each category.
func (s *shared) write(t *testing.T, n int) {
	t.Helper()
	for _, category := range sharedCategories {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "%s %08d %s\n", category, s.lines+i, hexNoise(s.lines+i, 100))
		}
		appendTo(t, s.file(category), text.String())
	}
	s.lines += n
}

// arrived reports how many lines are in the depot.
func (s *shared) arrived(t *testing.T) (lines int) {
	for _, category := range sharedCategories {
		data, _ := inDepot(t, s.depot, category)
		lines += bytes.Count(data, []byte("\n"))
	}
	return lines
}

// complete waits until everything that was written is in the depot.
func (s *shared) complete(t *testing.T) {
	t.Helper()
	want := s.lines * len(sharedCategories)
	harness.Until(t, fmt.Sprintf("%d lines are in the depot", want), func() bool { return s.arrived(t) >= want })
}

// some waits until something that was written after a point is in the depot: draining goes on.
func (s *shared) some(t *testing.T, after int, what string) {
	t.Helper()
	harness.Until(t, what, func() bool { return s.arrived(t) > after })
}

// compare compares the depot with the files, byte by byte, and audits it.
func (s *shared) compare(t *testing.T) {
	t.Helper()
	for _, category := range sharedCategories {
		got, files := inDepot(t, s.depot, category)
		want, err := os.ReadFile(s.file(category))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %d files with %d lines (%d bytes) are in the depot, %d lines (%d bytes) were written", category, files,
				bytes.Count(got, []byte("\n")), len(got), bytes.Count(want, []byte("\n")), len(want))
		}
	}
	args := []string{"audit", s.depot}
	for _, state := range s.states {
		args = append(args, "--state", state)
	}
	harness.Until(t, "the audit is content", func() bool { // a manifest comes after its file
		r := ink.Run(t, args...)
		return r.Code == 0 && strings.Contains(r.Stdout, "duplicated 0, missing 0")
	})
}

// TestTopicOfTwoCollectors has two collectors share a topic, with a depot in S3. One is killed, one is stopped for longer than its session,
// and the broker is killed: every line is in the depot once, in the order in which it was written.
func TestTopicOfTwoCollectors(t *testing.T) {
	k, ok := harness.NewKafka(t)
	if !ok {
		return
	}
	g, ok := harness.NewGateway(t, "logs")
	if !ok {
		return
	}
	s := newShared(t, k, g, "session=6s")
	a, b := s.collectors[0], s.collectors[1]
	s.forward(t, a, b)
	s.write(t, 3000)
	s.some(t, 0, "the first lines are in the depot")
	a.Kill()
	s.write(t, 3000)
	s.complete(t) // by b alone, when a's session is over
	a.Restart(t)
	s.write(t, 3000)
	s.some(t, s.arrived(t), "more is in the depot")
	b.Signal(syscall.SIGSTOP)
	s.write(t, 3000)
	time.Sleep(9 * time.Second) // its session is over
	before := s.arrived(t)
	s.write(t, 3000)
	s.some(t, before, "the other one goes on")
	b.Signal(syscall.SIGCONT)
	s.write(t, 3000)
	s.some(t, s.arrived(t), "both go on")
	s.kafka.Kill()
	s.write(t, 3000)
	s.kafka.Begin(t)
	s.write(t, 3000)
	s.complete(t)
	for range 20 { // what was written twice would come now
		s.write(t, 50)
		s.complete(t)
	}
	s.compare(t)
	for _, c := range s.collectors {
		c.Stop(t)
	}
	s.compare(t)
}

// TestTopicTakeOver has two collectors share a topic of a fake broker. The one that takes no calls is killed, and comes
// back, and is stopped for longer than its session. Every line is in the depot once, and top shows who drains.
func TestTopicTakeOver(t *testing.T) {
	t.Parallel()
	s := newShared(t, harness.NewFakeKafka(t), nil, "session=2s&fan=3")
	a, b := s.collectors[0], s.collectors[1]
	s.forward(t, a)
	s.write(t, 300)
	s.complete(t)
	b.Kill()
	s.write(t, 300)
	s.complete(t) // by a alone, when b's session is over
	b.Restart(t)
	s.write(t, 300)
	s.complete(t)
	b.Signal(syscall.SIGSTOP)
	s.write(t, 300)
	s.complete(t) // by a alone
	b.Signal(syscall.SIGCONT)
	sendOdd(t, a.Addr)
	s.write(t, 300)
	s.complete(t)
	harness.Until(t, "both drain partitions", func() bool {
		owners := make(map[string]bool)
		for line := range strings.Lines(ink.Run(t, "top", a.Addr).Stdout) {
			if f := strings.Fields(line); len(f) == 6 && f[4] == "logs" {
				owners[f[3]] = true
			}
		}
		return owners["a"] && owners["b"]
	})
	s.compare(t)
}

// sendOdd sends entries that are in no file, or under another name: they hold up nothing.
func sendOdd(t *testing.T, addr string) {
	t.Helper()
	c, err := harness.DialScribe(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, category := range append(sharedCategories, "a/../b", strings.Repeat("x", 300)) {
		if code, err := c.Log(harness.Entry{Category: category}, harness.Entry{Category: category}); code != harness.OK || err != nil {
			t.Fatal(code, err)
		}
	}
}

// TestTopicNeedsALogin uses a topic over TLS, with a certificate and with each kind of login. A wrong password keeps the
// collector from starting, and the message says so.
func TestTopicNeedsALogin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authority := harness.NewAuthority(t, dir)
	cert, key := authority.Issue(t, "127.0.0.1")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(authority.CA())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate of the authority")
	}
	password := filepath.Join(dir, "password")
	for mechanism, kind := range map[string]string{"plain": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			harness.WriteFile(t, password, "secret\n")
			k := harness.NewFakeKafka(t, kfake.EnableSASL(), kfake.Superuser(kind, "ink", "secret"), kfake.TLS(&tls.Config{
				Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}))
			k.Client = []kgo.Opt{kgo.DialTLSConfig(&tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool}),
				kgo.SASL(map[string]sasl.Mechanism{"PLAIN": plain.Auth{User: "ink", Pass: "secret"}.AsMechanism(),
					"SCRAM-SHA-256": scram.Auth{User: "ink", Pass: "secret"}.AsSha256Mechanism(),
					"SCRAM-SHA-512": scram.Auth{User: "ink", Pass: "secret"}.AsSha512Mechanism()}[kind])}
			s := newShared(t, k, nil, fmt.Sprintf("session=2s&tls=yes&ca=%s&cert=%s&key=%s&sasl=%s&user=ink&password_file=%s",
				authority.CA(), cert, key, mechanism, password))
			s.forward(t, s.collectors...)
			s.write(t, 100)
			s.complete(t)
			s.compare(t)
			harness.WriteFile(t, password, "wrong")
			r := ink.Run(t, "check", "--start", "--", "collect", "--listen", "127.0.0.1:0", "--dir", t.TempDir(), "--max-message", "1MiB",
				"--publish", s.depot, "--journal", fmt.Sprintf("kafka://%s/logs?replicas=1&tls=yes&ca=%s&cert=%s&key=%s&sasl=%s&user=ink&password_file=%s",
					k.Addr, authority.CA(), cert, key, mechanism, password))
			if r.Code == 0 || !strings.Contains(r.Stdout, "do tls= and sasl= fit") {
				t.Errorf("with a wrong password: %d\n%s%s", r.Code, r.Stdout, r.Stderr)
			}
		})
	}
}

// TestTopicOfCommitsIsChecked has a real broker that would make its topic of committed offsets with one replica, and then
// has made it: inkwell check says so to whoever wants three.
func TestTopicOfCommitsIsChecked(t *testing.T) {
	k, ok := harness.NewKafka(t)
	if !ok {
		return
	}
	k.Topic(t, "logs", 4, "max.message.bytes=2000000", "unclean.leader.election.enable=false", "retention.ms=604800000")
	check := func(replicas int, want string, warned bool) {
		t.Helper()
		r := ink.Run(t, "check", "--start", "--", "collect", "--listen", "127.0.0.1:0", "--dir", t.TempDir(), "--max-message", "1MiB",
			"--publish", t.TempDir(), "--journal", fmt.Sprintf("kafka://%s/logs?replicas=%d", k.Addr, replicas))
		if strings.Contains(r.Stdout, "__consumer_offsets") != warned || !strings.Contains(r.Stdout, want) {
			t.Errorf("%d replicas are wanted: %d\n%s%s", replicas, r.Code, r.Stdout, r.Stderr)
		}
	}
	check(3, "warning: the brokers will make __consumer_offsets, which has what is committed, with 1 replicas", true)
	c := ink.Collect(t, t.TempDir(), "--max-message", "1MiB", "--publish", t.TempDir(), "--journal",
		"kafka://"+k.Addr+"/logs?replicas=1&session=6s&member=a")
	harness.Until(t, "it has the partitions", func() bool { return c.Counter(t, "kafka partitions") == 4 })
	check(3, "warning: __consumer_offsets, which has what is committed, has 1 replicas of partition 0", true)
	check(1, "group inkwell: 1 collector", false)
	c.Stop(t)
}
