package hop

import (
	"context"
	"time"
)

// reportTime bounds a call that only reports.
const reportTime = 2 * time.Second

// Report sends text, a report on the sender, to the current peer between two calls, if the peer has shown that it is an
// Inkwell. Otherwise the report is dropped. text must not be changed any more. Close waits until it was sent.
func (n *Network) Report(text []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	n.report = text
	n.ensureSender()
}

// sendReport sends the pending report. If necessary, it connects to an address whose peer was an Inkwell the last time.
func (n *Network) sendReport() {
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
		return // the next call will report the error
	}
	if err := n.link.client.Report(ctx, text); err != nil {
		n.link.drop() // the client is closed
	}
}
