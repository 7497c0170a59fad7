package hop

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"inkwell/internal/stats"
	"inkwell/proto"
)

// keeper is a collector that keeps what it takes over its deaths, and recognizes what it has by the numbers.
type keeper struct {
	mu    sync.Mutex
	has   map[int64]string // by number
	again int              // entries that came again
	dies  func()           // called once, when a call was taken and before it is answered
}

// Log implements rpc.Handler.
func (k *keeper) Log(_ context.Context, b *proto.Batch) (proto.ResultCode, error) {
	k.mu.Lock()
	for c := b.Cursor(); c.Next(); {
		if number := c.Number().First; k.has[number] != "" {
			k.again++
		} else {
			k.has[number] = string(c.Message())
		}
	}
	dies := k.dies
	if b.Count() > 0 {
		k.dies = nil
	}
	k.mu.Unlock()
	if dies != nil && b.Count() > 0 {
		dies()
	}
	return proto.OK, nil
}

func (k *keeper) numbers() (list []int64, again int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for number := range k.has {
		list = append(list, number)
	}
	slices.Sort(list)
	return list, k.again
}

// pair is two keepers and a Network in front of them, whose first call has found the one that dies.
type pair struct {
	n           *Network
	o           NetworkOptions
	dead, other *keeper
	address     string // of dead
}

// restart lets the dead collector serve again.
func (p *pair) restart(t *testing.T) { startPeer(t, p.address, p.dead) }

// dieInCall lets the collector of a Network die when it has taken a call and before it has answered.
func dieInCall(t *testing.T, after time.Duration) *pair {
	t.Helper()
	keepers, peers := make(map[string]*keeper), make(map[string]*peer)
	var addrs []string
	for range 2 {
		k := &keeper{has: make(map[int64]string)}
		p := startPeer(t, "", k)
		keepers[p.addr], peers[p.addr], addrs = k, p, append(addrs, p.addr)
	}
	p := &pair{o: NetworkOptions{Addrs: addrs, Spread: "me", Stats: stats.New(),
		Memory: Memory{Dir: t.TempDir(), After: after}}}
	n, err := NewNetwork(p.o)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, n, one(0))
	p.n, p.address = n, n.Peer()
	for addr, k := range keepers {
		if p.other = k; addr == p.address {
			p.dead = k
		}
	}
	for addr, k := range keepers {
		if addr != p.address {
			p.other = k
		}
	}
	stopped := make(chan struct{})
	p.dead.mu.Lock()
	p.dead.dies = func() {
		peers[p.address].stop() // it does not wait for the call, and cuts its connection
		close(stopped)
	}
	p.dead.mu.Unlock()
	for number := int64(1); number < 5; number++ {
		mustAppend(t, n, one(number))
	}
	<-stopped
	if list, _ := p.other.numbers(); !slices.Equal(list, []int64{2, 3, 4}) {
		t.Fatalf("the other collector has %v", list)
	}
	if entries := n.InDoubt(); entries != 1 {
		t.Fatalf("%d entries are in doubt", entries)
	}
	if text := n.Trouble(); !strings.Contains(text, p.address) {
		t.Errorf("trouble: %q", text)
	}
	return p
}

// TestDoubtWaitsForItsCollector: a call that a collector has written without answering goes to no other collector. It is
// offered to the same one when that is back, which recognizes it.
func TestDoubtWaitsForItsCollector(t *testing.T) {
	noLeaks(t)
	p := dieInCall(t, time.Hour)
	p.restart(t)
	until(t, "nothing is in doubt", func() bool { return p.n.InDoubt() == 0 })
	if err := p.n.Close(); err != nil {
		t.Fatal(err)
	}
	dead, again := p.dead.numbers()
	if other, _ := p.other.numbers(); !slices.Equal(dead, []int64{0, 1}) || again != 1 || len(other) != 3 {
		t.Errorf("%v with %d that came again, and %v", dead, again, other)
	}
	if n := p.o.Stats.Get("scribe_overall:sent"); n != 5 {
		t.Errorf("%d count as sent", n)
	}
}

// TestDoubtOutlivesTheSender: the next process offers it.
func TestDoubtOutlivesTheSender(t *testing.T) {
	noLeaks(t)
	p := dieInCall(t, time.Hour)
	if err := p.n.Close(); err != nil {
		t.Fatal(err)
	}
	p.restart(t)
	n := openNetwork(t, p.o)
	until(t, "nothing is in doubt", func() bool { return n.InDoubt() == 0 })
	dead, again := p.dead.numbers()
	if other, _ := p.other.numbers(); !slices.Equal(dead, []int64{0, 1}) || again != 1 || len(other) != 3 {
		t.Errorf("%v with %d that came again, and %v", dead, again, other)
	}
}

// TestDoubtEnds: when the collector stays away for the configured time, another one gets the entries, because they may
// be nowhere.
func TestDoubtEnds(t *testing.T) {
	noLeaks(t)
	p := dieInCall(t, time.Second)
	until(t, "another collector has the entry", func() bool {
		list, _ := p.other.numbers()
		return slices.Contains(list, 1)
	})
	until(t, "nothing is in doubt", func() bool { return p.n.InDoubt() == 0 })
	if err := p.n.Close(); err != nil {
		t.Fatal(err)
	}
}
