package hop

import "time"

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

// Trouble says what is wrong with the addresses, "" when nothing is.
func (n *Network) Trouble() string { return n.link.health.Status() }
