package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/depot"
)

// lines is an engine that writes each message as a line of one file.
type lines struct {
	epoch   Epoch
	text    strings.Builder
	entries int64
}

func (l *lines) Append(_ context.Context, b *proto.Batch) error {
	for c := b.Cursor(); c.Next(); l.entries++ {
		fmt.Fprintf(&l.text, "%s\n", c.Message())
	}
	return nil
}

func (l *lines) Finish() (Product, error) {
	f := File{Path: filepath.Join(l.epoch.Dir, "made"), Name: "web/dt=2026-11-29/web_" + l.epoch.Who + ".gz",
		Line: []byte("{}"), Entries: l.entries}
	return Product{Files: []File{f}}, os.WriteFile(f.Path, []byte(l.text.String()), 0o600)
}

func (l *lines) Status() string { return "" }

func (l *lines) Discard() error { return nil }

// broker starts a fake broker with a topic of one partition.
func broker(t *testing.T) (*kfake.Cluster, string) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	value := func(s string) *string { return &s }
	_, err = kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, map[string]*string{"unclean.leader.election.enable": value("false"),
		"retention.ms": value("604800000")}, "logs")
	if err != nil {
		t.Fatal(err)
	}
	return c, c.ListenAddrs()[0]
}

// open opens a Log over the broker that writes to a depot in a directory every second.
func open(t *testing.T, addr, dir, member string) *Log {
	t.Helper()
	return openEvery(t, addr, dir, "every=1s&member="+member)
}

func openEvery(t *testing.T, addr, dir, options string) *Log {
	t.Helper()
	a, err := ParseAddress("kafka://" + addr + "/logs?replicas=1&session=2s&" + options)
	if err != nil {
		t.Fatal(err)
	}
	d, err := depot.Open(dir, depot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := Open(t.Context(), Options{Address: a, Depot: d, Scratch: filepath.Join(t.TempDir(), "scratch"), MaxMessage: 1000,
		Begin: func(e Epoch) (Engine, error) { return &lines{epoch: e}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// add appends numbered messages.
func add(t *testing.T, l *Log, from, n int) {
	t.Helper()
	var b proto.Batch
	for i := range n {
		b.Append([]byte("web"), fmt.Append(nil, from+i))
	}
	if err := l.Append(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
}

// until waits until the published files have the numbers below n, in their order and once.
func until(t *testing.T, dir string, n int) {
	t.Helper()
	want := ""
	for i := range n {
		want += fmt.Sprintln(i)
	}
	got := ""
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline) && len(got) < len(want); {
		names, err := filepath.Glob(filepath.Join(dir, "web/dt=2026-11-29/web_*.gz"))
		if err != nil {
			t.Fatal(err)
		}
		got = ""
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got += string(data)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got != want {
		t.Fatalf("%d lines are published, want %d:\n%.200q", strings.Count(got, "\n"), n, got)
	}
}

// TestCommitOfUnknownOutcome answers a commit with an error that says nothing about its outcome: the member joins again
// and goes on where the commit stands. And it cuts the connection instead: the client asks again.
func TestCommitOfUnknownOutcome(t *testing.T) {
	cluster, addr := broker(t)
	dir := t.TempDir()
	l := open(t, addr, dir, "a")
	add(t, l, 0, 100)
	until(t, dir, 100)
	for round, cut := range []bool{false, true} {
		var members atomic.Int32
		cluster.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			members.Add(1)
			return nil, nil, false
		})
		cluster.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
			if cut {
				return nil, errors.New("cut"), true
			}
			return refuseCommit(r.(*kmsg.OffsetCommitRequest)), nil, true
		})
		add(t, l, (round+1)*100, 100)
		until(t, dir, (round+2)*100)
		if !cut && members.Load() == 0 {
			t.Error("it did not join again")
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	until(t, dir, 300)
}

// TestOpenWaitsForBrokers has something accept the first connections and hang up, as a load balancer does before brokers
// that start.
func TestOpenWaitsForBrokers(t *testing.T) {
	_, addr := broker(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for i := 0; ; i++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if i < 2 {
				_ = conn.Close() // that is the fault
				continue
			}
			go relay(conn, addr)
		}
	}()
	l := open(t, ln.Addr().String(), t.TempDir(), "a")
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// relay connects conn with an address until one of them ends.
func relay(conn net.Conn, addr string) {
	defer conn.Close()
	to, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer to.Close()
	go io.Copy(to, conn)
	_, _ = io.Copy(conn, to) // ends with the client, or the broker
}

// TestFirstEpochIsShort has an owner begin with more than its first epoch takes: that is in the depot long before the time
// by the clock.
func TestFirstEpochIsShort(t *testing.T) {
	_, addr := broker(t)
	dir := t.TempDir()
	l := openEvery(t, addr, dir, "every=24h&member=a")
	var b proto.Batch
	for b.Count() < 1000 {
		b.Append([]byte("web"), make([]byte, 800))
	}
	for sent := 0; sent <= firstEpoch; sent += b.Count() * 800 {
		if err := l.Append(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		names, err := filepath.Glob(filepath.Join(dir, "web/dt=2026-11-29/web_*.gz"))
		if err != nil {
			t.Fatal(err)
		}
		if len(names) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing is in the depot")
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestFormerCoordinator has a broker answer that does not know the membership, as one that was the coordinator of the
// group before: what it says about the committed offset is not used.
func TestFormerCoordinator(t *testing.T) {
	cluster, addr := broker(t)
	dir := t.TempDir()
	l := open(t, addr, dir, "a")
	add(t, l, 0, 100)
	until(t, dir, 100)
	pointer := func() pointer {
		l.member.mu.Lock()
		defer l.member.mu.Unlock()
		if w := l.member.workers[0]; w != nil {
			return w.partition.ledger.pointer
		}
		return nil
	}
	before := pointer()
	if before == nil {
		t.Fatal("nobody drains")
	}
	var former atomic.Bool
	cluster.ControlKey(int16(kmsg.Heartbeat), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		answer := r.ResponseKind().(*kmsg.HeartbeatResponse)
		answer.ErrorCode = kerr.IllegalGeneration.Code
		return answer, nil, former.Load()
	})
	former.Store(true)
	if offset, _, err := before.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "does not know this member") {
		t.Errorf("offset %d is believed: %v", offset, err)
	}
	former.Store(false)
	add(t, l, 100, 100)
	until(t, dir, 200)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// refuseCommit answers a commit with an error that says nothing about its outcome.
func refuseCommit(r *kmsg.OffsetCommitRequest) kmsg.Response {
	answer := r.ResponseKind().(*kmsg.OffsetCommitResponse)
	for _, t := range r.Topics {
		topic := kmsg.NewOffsetCommitResponseTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			partition := kmsg.NewOffsetCommitResponseTopicPartition()
			partition.Partition, partition.ErrorCode = p.Partition, kerr.UnknownServerError.Code
			topic.Partitions = append(topic.Partitions, partition)
		}
		answer.Topics = append(answer.Topics, topic)
	}
	return answer
}

// TestMembersTakeTurns closes the member that drains and opens another one, again and again.
func TestMembersTakeTurns(t *testing.T) {
	_, addr := broker(t)
	dir := t.TempDir()
	for i := range 4 {
		l := open(t, addr, dir, []string{"a", "b"}[i%2])
		add(t, l, 100*i, 100)
		if i%2 == 1 { // the others are closed in the middle of an epoch
			until(t, dir, 100*i+100)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestLag warns of records that nobody has read for half of the retention, and takes no more at 80 percent.
func TestLag(t *testing.T) {
	_, addr := broker(t)
	a, err := ParseAddress("kafka://" + addr + "/logs?replicas=1")
	if err != nil {
		t.Fatal(err)
	}
	cl, err := a.client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	const week = 7 * 24 * time.Hour
	for _, age := range []time.Duration{week * 9 / 10, week * 6 / 10, time.Hour} {
		r := &kgo.Record{Topic: "logs", Value: []byte("x"), Timestamp: time.Now().Add(-age)}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for committed, c := range []struct{ warns, declines bool }{{true, true}, {true, false}, {false, false}, {false, false}} {
		if committed > 0 {
			to := kadm.OffsetsFromRecords(kgo.Record{Topic: "logs", Offset: int64(committed - 1)})
			if _, err := adm.CommitOffsets(t.Context(), a.Group, to); err != nil {
				t.Fatal(err)
			}
		}
		lag, err := look(t.Context(), &a, adm, week)
		if err != nil || lag.Records != int64(3-committed) || (lag.Warning != "") != c.warns || (lag.Refusal != "") != c.declines {
			t.Fatalf("%d records are committed: %+v, %v", committed, lag, err)
		}
		l := &Log{o: Options{Address: a}}
		l.lag.Store(lag)
		if l.Takes() == c.declines {
			t.Errorf("with %d of the records committed more are taken: %v", committed, l.Takes())
		}
		if c.declines {
			if err := l.Append(t.Context(), new(proto.Batch)); !errors.Is(err, store.ErrTryLater) {
				t.Errorf("it is taken: %v", err)
			}
		}
	}
	if lag, err := look(t.Context(), &a, adm, 0); err != nil || lag.Warning != "" {
		t.Errorf("records are kept for ever: %+v, %v", lag, err)
	}
}
