package hop

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Peer is what is known of one of the addresses of a Network.
type Peer struct {
	Address   string
	Connected time.Time // since when it has the connection; zero = it has none
	Inkwell   bool      // it has shown that it is one
	Err       error     // of the last attempt that failed; nil = none has
	Failed    time.Time // when that was
	Down      time.Time // since when calls to it fail; zero = the last one did not
}

// Peers are the addresses of several Networks, for example of one for each category. Safe for concurrent use. The zero
// value is none.
type Peers struct {
	mu       sync.Mutex
	networks []*Network // in the order in which they were made
}

// add notes a Network; nil notes nothing.
func (p *Peers) add(n *Network) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.networks = append(p.networks, n)
}

// remove forgets it.
func (p *Peers) remove(n *Network) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.networks = slices.DeleteFunc(p.networks, func(m *Network) bool { return m == n })
}

// List tells of each address once: it is down if one Network finds it so.
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

// merge takes over what another Network knows of the same address: the oldest connection, the last error, the longest
// outage.
func (p *Peer) merge(o Peer) {
	p.Inkwell = p.Inkwell || o.Inkwell
	p.Connected, p.Down = earlier(p.Connected, o.Connected), earlier(p.Down, o.Down)
	if o.Failed.After(p.Failed) {
		p.Err, p.Failed = o.Err, o.Failed
	}
}

// earlier is the earlier of two times of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// known is what a link remembers of an address for Peers.
type known struct {
	connected time.Time
	ours      bool
	err       error
	failed    time.Time

	thrown int64     // entries that it threw away
	threw  time.Time // the last of them
	told   time.Time // when that was logged
}

// Peers tells of each address, in their order. It may be called at any time.
func (n *Network) Peers() []Peer {
	l := n.link
	l.mu.Lock()
	defer l.mu.Unlock()
	peers := make([]Peer, len(l.known))
	for i, k := range l.known {
		peers[i] = Peer{Address: l.name(i), Connected: k.connected, Inkwell: k.ours, Err: k.err, Failed: k.failed, Down: l.health.Since(l.name(i))}
	}
	return peers
}

// Thrown is the counter of entries that a peer acknowledged and threw away, as an Inkwell says: no rule of its lets
// this sender write them, or they are too long.
const Thrown = "refused by the next hop"

// thrownTime is how long a status tells that a peer throws entries away, and the pause between two words of it in the
// log.
const (
	thrownTime  = 10 * time.Minute
	thrownPause = time.Minute
)

const whyThrown = "none of its rules lets this sender write their categories, or they are too long"

// threw notes that the peer at address i threw entries away.
func (l *link) threw(i, entries int, now time.Time) {
	l.mu.Lock()
	k := &l.known[i]
	k.thrown, k.threw = k.thrown+int64(entries), now
	tell := now.Sub(k.told) >= thrownPause
	if tell {
		k.told = now
	}
	l.mu.Unlock()
	if tell {
		l.log.Warn("the next hop throws entries away: "+whyThrown+"; see its log", "peer", l.name(i), "entries", entries)
	}
}

// Trouble says what is wrong with the addresses, "" when nothing is.
func (n *Network) Trouble() string {
	if text := n.link.health.Status(); text != "" {
		return text
	}
	n.link.mu.Lock()
	defer n.link.mu.Unlock()
	for i, k := range n.link.known {
		if k.thrown > 0 && time.Since(k.threw) < thrownTime {
			return fmt.Sprintf("%s has thrown %d entries away: %s", n.link.name(i), k.thrown, whyThrown)
		}
	}
	return ""
}
