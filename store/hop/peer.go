package hop

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Peer describes one address of a Network.
type Peer struct {
	Address   string
	Connected time.Time // when the current connection was made; zero = there is none
	Inkwell   bool      // the peer has shown that it is an Inkwell
	Err       error     // of the last failed attempt; nil = none has failed
	Failed    time.Time // when that was
	Down      time.Time // since when calls to it fail; zero = the last one succeeded
}

// Peers lists the addresses of several Networks, for example of one for each category. Safe for concurrent use. The
// zero value is empty.
type Peers struct {
	mu       sync.Mutex
	networks []*Network // in the order of their creation
}

// add adds a Network; with a nil p it does nothing.
func (p *Peers) add(n *Network) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.networks = append(p.networks, n)
}

// remove removes a Network.
func (p *Peers) remove(n *Network) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.networks = slices.DeleteFunc(p.networks, func(m *Network) bool { return m == n })
}

// List returns each address once, although several Networks may use it; the address is down if one of them finds it
// down.
func (p *Peers) List() (list []Peer) {
	p.mu.Lock()
	networks := slices.Clone(p.networks)
	p.mu.Unlock()
	at := make(map[string]int)
	for _, n := range networks {
		for _, peer := range n.Peers() {
			i, known := at[peer.Address]
			if !known {
				at[peer.Address] = len(list)
				list = append(list, peer)
				continue
			}
			list[i].merge(peer)
		}
	}
	return list
}

// merge adds what another Network knows about the same address: the oldest connection, the last error and the longest
// outage count.
func (p *Peer) merge(o Peer) {
	p.Inkwell = p.Inkwell || o.Inkwell
	p.Connected, p.Down = earlier(p.Connected, o.Connected), earlier(p.Down, o.Down)
	if o.Failed.After(p.Failed) {
		p.Err, p.Failed = o.Err, o.Failed
	}
}

// earlier returns the earlier of two times; the zero time does not count.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// addressInfo is what a link records about an address for Peers.
type addressInfo struct {
	connected time.Time
	ours      bool
	err       error
	failed    time.Time

	thrown int64     // entries that the peer discarded
	threw  time.Time // when it last did
	told   time.Time // when that was logged
}

// maxPeers bounds the addresses of one Network that are described.
const maxPeers = 50

// Peers describes the addresses, in their order; of many the first ones and the one in use. It may be called at any
// time.
func (n *Network) Peers() []Peer {
	l := n.link
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.addrs.list[:min(len(l.addrs.list), maxPeers)]
	if l.at != nil && !slices.Contains(list, l.at) {
		list = append(slices.Clip(list), l.at)
	}
	peers := make([]Peer, len(list))
	for i, t := range list {
		k := &t.info
		peers[i] = Peer{Address: t.name, Connected: k.connected, Inkwell: k.ours, Err: k.err, Failed: k.failed,
			Down: l.health.Since(t.name)}
	}
	return peers
}

// Thrown is the counter of entries that a peer acknowledged but discarded, as an Inkwell reports in its answer: no rule
// of it lets this sender write their categories, or they are too long.
const Thrown = "refused by the next hop"

// The status mentions discarded entries for thrownTime. The log mentions them at most once per thrownPause.
const (
	thrownTime  = 10 * time.Minute
	thrownPause = time.Minute
)

const whyThrown = "none of its rules lets this sender write their categories, or they are too long"

// recordThrown records that the peer at t discarded entries.
func (l *link) recordThrown(t *address, entries int, now time.Time) {
	l.mu.Lock()
	k := &t.info
	k.thrown, k.threw = k.thrown+int64(entries), now
	tell := now.Sub(k.told) >= thrownPause
	if tell {
		k.told = now
	}
	l.mu.Unlock()
	if tell {
		l.log.Warn("the next hop discards entries: "+whyThrown+"; see its log", "peer", t.name, "entries",
			entries)
	}
}

// Trouble describes the problem of an address, "" if there is none.
func (n *Network) Trouble() string {
	if text := cmp.Or(n.link.health.Status(), n.link.watch.Trouble()); text != "" {
		return text
	}
	if entries, address := n.doubts.entries(); entries > 0 {
		return fmt.Sprintf("%d entries wait for %s, which may have them and does not answer", entries, address)
	}
	n.link.mu.Lock()
	defer n.link.mu.Unlock()
	for _, t := range n.link.addrs.list {
		k := &t.info
		if k.thrown > 0 && time.Since(k.threw) < thrownTime {
			return fmt.Sprintf("%s has thrown %d entries away: %s", t.name, k.thrown, whyThrown)
		}
	}
	return ""
}
