package hop

import (
	"errors"
	"strconv"
	"testing"
	"time"
)

// TestNetworkRenewsItsConnection: with MaxAge, connections are replaced while calls go on, to one address and to one of
// several equal ones. No call fails because of that, and every message arrives once and in order.
func TestNetworkRenewsItsConnection(t *testing.T) {
	for _, equals := range []bool{false, true} {
		t.Run("equals="+strconv.FormatBool(equals), func(t *testing.T) {
			noLeaks(t)
			in := new(inbox)
			p := startPeer(t, "", in)
			n := openNetwork(t, NetworkOptions{Addrs: []string{p.addr}, MaxAge: 10 * time.Millisecond, Shuffle: equals})
			var want []string
			until(t, "five connections follow each other", func() bool {
				want = append(want, strconv.Itoa(len(want)))
				mustSend(t, n, want[len(want)-1])
				return p.ln.accepted.Load() >= 5
			})
			if failed := n.failed.Load(); failed != 0 {
				t.Errorf("%d calls failed", failed)
			}
			wantMessages(t, in, want...)
		})
	}
}

// TestNetworkKeepsAnOldConnection: while no new connection can be made, calls use the old one.
func TestNetworkKeepsAnOldConnection(t *testing.T) {
	noLeaks(t)
	in := new(inbox)
	p := startPeer(t, "", in)
	n := openNetwork(t, NetworkOptions{Addrs: []string{p.addr}, MaxAge: time.Nanosecond})
	mustSend(t, n, "a")
	if err := p.ln.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "a renewal has failed", func() bool {
		mustSend(t, n, "b")
		return n.Peers()[0].Err != nil
	})
	peer := n.Peers()[0]
	if peer.Address != p.addr || peer.Connected.IsZero() || peer.Failed.IsZero() || errors.Unwrap(peer.Err) == nil {
		t.Errorf("%+v", peer)
	}
	mustSend(t, n, "c")
}

func TestAgeHasJitter(t *testing.T) {
	now := time.Now()
	seen := make(map[time.Duration]bool)
	for range 100 {
		a := age{most: time.Hour}
		a.start(now)
		d := a.end.Sub(now)
		if d < 45*time.Minute || d > time.Hour {
			t.Fatalf("a connection is renewed after %v", d)
		}
		seen[d] = true
	}
	if len(seen) < 50 {
		t.Errorf("%d ages of 100 connections", len(seen))
	}
	a := new(age)
	if a.start(now); a.expired(now.Add(1000 * time.Hour)) {
		t.Error("without a greatest age a connection is renewed")
	}
}
