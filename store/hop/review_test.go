package hop

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"inkwell/internal/rpc"
	"inkwell/internal/stats"
	"inkwell/proto"
)

// one returns an entry with a number of a stream, whose message is the number.
func one(number int64) *proto.Batch {
	b := new(proto.Batch)
	b.Append([]byte("web"), []byte{byte('a' + number)})
	b.Number([16]byte{7}, number, 1)
	return b
}

// site is some collectors between which a Network can choose.
type site struct {
	peers map[string]*sitePeer
	addrs []string
}

type sitePeer struct {
	*peer
	server *rpc.Server
	in     *inbox
	stats  *stats.Set
}

func startSite(t *testing.T, n int) *site {
	s := &site{peers: make(map[string]*sitePeer)}
	for range n {
		p := &sitePeer{in: new(inbox), stats: stats.New()}
		p.server = rpc.NewServer(rpc.ServerOptions{Stats: p.stats}, p.in, nil)
		p.peer = startLimited(t, "", p.server)
		s.peers[p.addr] = p
		s.addrs = append(s.addrs, p.addr)
	}
	return s
}

// settled returns how many senders the collectors count.
func (s *site) settled() (n int64) {
	for _, p := range s.peers {
		n += p.stats.Get("scribe_overall:senders settled")
	}
	return n
}

func mustAppend(t *testing.T, n *Network, b *proto.Batch) {
	t.Helper()
	if err := n.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// TestCollectorThatLeaves: a sender that can go elsewhere does so when its collector is about to stop, between two calls,
// or with a report when it has nothing to send. One that cannot does not hold the collector up.
func TestCollectorThatLeaves(t *testing.T) {
	noLeaks(t)
	s := startSite(t, 2)
	n := openNetwork(t, NetworkOptions{Addrs: s.addrs, Spread: "me"})
	alone := openNetwork(t, NetworkOptions{Addrs: s.addrs[:1], Spread: "alone"})
	mustAppend(t, n, one(0))
	mustAppend(t, alone, one(0))
	if got := s.settled(); got != 1 {
		t.Errorf("%d senders count", got)
	}
	first := s.peers[n.Peer()]
	left := make(chan bool)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		left <- first.server.Leave(ctx)
	}()
	sent := int64(0)
	until(t, "it has moved", func() bool {
		n.Report([]byte("{}"))
		return n.Peer() != first.addr && n.Peer() != ""
	})
	if !<-left {
		t.Error("the collector still counts the sender")
	}
	for sent++; sent < 5; sent++ {
		mustAppend(t, n, one(sent))
	}
	second := s.peers[n.Peer()]
	if got := strings.Join(second.in.got(), ""); !strings.HasSuffix(got, "bcde") {
		t.Errorf("the second got %q", got)
	}
	for _, p := range n.Peers() {
		if p.Err != nil {
			t.Errorf("%s failed: %v", p.Address, p.Err)
		}
	}
}

// TestSenderReturnsToItsCollector: it stays with the one that it chose, also after a restart, and goes when that leaves
// the list.
func TestSenderReturnsToItsCollector(t *testing.T) {
	noLeaks(t)
	s := startSite(t, 3)
	list, dir := filepath.Join(t.TempDir(), "collectors"), t.TempDir()
	write := func(addrs ...string) {
		t.Helper()
		if err := os.WriteFile(list, []byte(strings.Join(addrs, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(s.addrs...)
	o := NetworkOptions{Addrs: []string{"file:" + list}, Spread: "me", Memory: Memory{Dir: dir}}
	n, err := NewNetwork(o)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, n, one(0))
	chosen := n.Peer()
	if want := namesOf(n.link.addrs.list)[0]; chosen != want {
		t.Errorf("%s is used, %s is the first in the order", chosen, want)
	}
	other := namesOf(n.link.addrs.list)[2]
	write(other)
	until(t, "it has moved", func() bool {
		n.Report([]byte("{}"))
		return n.Peer() == other
	})
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	write(s.addrs...)
	n = openNetwork(t, o)
	mustAppend(t, n, one(1))
	if n.Peer() != other {
		t.Errorf("after a restart %s is used, it was %s", n.Peer(), other)
	}
	until(t, "it knows the list", func() bool {
		n.Report([]byte("{}"))
		n.running.Wait()
		return len(n.link.addresses()) == 3
	})
	// What was known is used when nothing can be looked up.
	if err := os.Remove(list); err != nil {
		t.Fatal(err)
	}
	later := openNetwork(t, NetworkOptions{Addrs: o.Addrs, Spread: "me", Memory: Memory{Dir: copyOf(t, dir)}})
	mustAppend(t, later, one(2))
	if got := later.link.addresses(); len(got) != 3 || later.Trouble() == "" {
		t.Errorf("it knows %v, trouble %q", got, later.Trouble())
	}
	none := openNetwork(t, NetworkOptions{Addrs: []string{"file:" + list}, Spread: "none"})
	if err := none.Append(t.Context(), one(0)); err == nil || !strings.Contains(err.Error(), "no collector is known: file:") {
		t.Error(err)
	}
}

// copyOf copies the files of a directory.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestSenderGoesWhereFewAre: a collector that comes gets its share from senders that have many neighbours.
func TestSenderGoesWhereFewAre(t *testing.T) {
	noLeaks(t)
	s := startSite(t, 2)
	var all []*Network
	for i := range 8 {
		n := openNetwork(t, NetworkOptions{Addrs: s.addrs[:1], Spread: string(rune('a' + i))})
		n.link.choice.Store(true) // they count before the other one is known
		mustAppend(t, n, one(int64(i)))
		all = append(all, n)
	}
	for _, n := range all {
		n.link.mu.Lock()
		n.link.addrs.set(named(s.addrs...))
		n.link.review.due = time.Now()
		n.link.mu.Unlock()
		until(t, "it has decided", func() bool {
			n.Report([]byte("{}"))
			n.running.Wait()
			n.link.mu.Lock()
			defer n.link.mu.Unlock()
			return n.link.review.due.After(time.Now()) && !n.link.probing && n.link.spare == nil
		})
	}
	count := func(i int) int64 { return s.peers[s.addrs[i]].stats.Get("scribe_overall:senders settled") }
	until(t, "connections that were left are closed", func() bool { return s.settled() == 8 })
	if a, b := count(0), count(1); a != 4 || b != 4 {
		t.Errorf("%d and %d senders", a, b)
	}
}

// TestSlowCollectorIsLeft, once, by a sender that has more to send.
func TestSlowCollectorIsLeft(t *testing.T) {
	noLeaks(t)
	s := startSite(t, 2)
	n := openNetwork(t, NetworkOptions{Addrs: s.addrs, Spread: "me", Timeout: time.Second})
	mustAppend(t, n, one(0))
	first := n.Peer()
	n.running.Wait()
	for range slowCalls {
		n.link.observe(time.Second/slowShare, true, time.Now())
	}
	until(t, "it has moved", func() bool {
		n.Report([]byte("{}"))
		return n.Peer() != first && n.Peer() != ""
	})
	second := n.Peer()
	n.running.Wait()
	for range 2 * slowCalls {
		n.link.observe(time.Second/slowShare, true, time.Now())
	}
	n.Report([]byte("{}"))
	n.running.Wait()
	if n.link.review.urgent || n.Peer() != second {
		t.Error("it moves again, although all may be slow")
	}
}

// TestPriorities: senders use collectors of the lowest number, others when none of these works, and return.
func TestPriorities(t *testing.T) {
	ts := newAddresses(NetworkOptions{MaxCall: 1000, Timeout: time.Second, Spread: "me"})
	list := named("a", "b", "c", "d")
	list[0].Priority, list[1].Priority = 1, 1
	ts.set(list)
	if got := namesOf(ts.list)[:2]; slices.Contains(got, "a") || slices.Contains(got, "b") {
		t.Errorf("the order is %v", namesOf(ts.list))
	}
	l := &link{addrs: ts, at: ts.list[0]}
	now := time.Now()
	if got := namesOf(l.candidates(now)); len(got) != 1 {
		t.Errorf("beside one of the first: %v", got)
	}
	l.review.urgent = true
	ts.list[1].restFor(time.Minute, now)
	if got := l.candidates(now); len(got) != 2 || got[0].priority != 1 {
		t.Errorf("to leave it, while the other rests: %v", namesOf(got))
	}
	l.at, l.review.urgent = ts.list[3], false
	if got := namesOf(l.candidates(now)); len(got) != 1 || got[0] != ts.list[0].name {
		t.Errorf("to return: %v", got)
	}
	back := []asking{{address: ts.list[0], senders: 9}}
	if i := l.pick(back, l.at, 1, false); i != 0 {
		t.Errorf("it stays with a collector for emergencies: %d", i)
	}
}

// TestSenderWaitsForItsCollectorAfterAKill: what a process that was killed may have sent is sent again to the same
// collector, even if that comes back only later.
func TestSenderWaitsForItsCollectorAfterAKill(t *testing.T) {
	noLeaks(t)
	s := startSite(t, 2)
	dir := t.TempDir()
	o := NetworkOptions{Addrs: s.addrs, Spread: "me", Memory: Memory{Dir: dir}}
	n := openNetwork(t, o)
	mustAppend(t, n, one(0))
	chosen := s.peers[n.Peer()]
	o.Memory.Dir = copyOf(t, dir) // as after a kill
	chosen.stop()
	next := openNetwork(t, o)
	if err := next.Append(t.Context(), one(0)); err == nil {
		t.Fatalf("%s took it", next.Peer())
	}
	back := new(inbox)
	startPeer(t, chosen.addr, back)
	mustAppend(t, next, one(0))
	if next.Peer() != chosen.addr || len(back.got()) != 1 {
		t.Errorf("%s took it", next.Peer())
	}
	// It does not wait for ever.
	o.Memory.Dir = copyOf(t, dir)
	late := openNetwork(t, o)
	late.link.loyal = time.Now()
	mustAppend(t, late, one(1))
}
