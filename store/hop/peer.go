package hop

import (
	"fmt"
	"time"
)

// Peer is what is known of one of the addresses of a Network.
type Peer struct {
	Address   string
	Connected time.Time // since when it has the connection; zero = it has none
	Inkwell   bool      // it has shown that it is one
	Err       error     // of the last attempt that failed; nil = none has
	Failed    time.Time // when that was
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
		peers[i] = Peer{Address: l.name(i), Connected: k.connected, Inkwell: k.ours, Err: k.err, Failed: k.failed}
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
