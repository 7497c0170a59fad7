package hop

import (
	"context"
	"time"
)

// reportTime bounds how long a call that only reports may take.
const reportTime = 2 * time.Second

// Report has the peer in use told how the sender is, between two calls, if it has shown that it is an Inkwell: what no
// such peer can be told at once is forgotten. text is not changed any more. Close waits until it was told.
func (n *Network) Report(text []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	n.report = text
	n.begun()
}

// tell tells what is to be reported. A connection is made for that to an address that was an Inkwell when it was used
// last.
func (n *Network) tell() {
	n.mu.Lock()
	text := n.report
	n.report = nil
	n.mu.Unlock()
	if text == nil {
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, reportTime)
	defer cancel()
	round := n.link.round()
	if len(round) == 0 || !n.link.capacity(round[0]).ours {
		return
	}
	if _, err := n.link.connect(ctx, round[0]); err != nil {
		return // the next call finds out what there is to tell of it
	}
	if err := n.link.client.Report(ctx, text); err != nil {
		n.link.drop() // the client is closed
	}
}
