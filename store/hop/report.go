package hop

import (
	"context"
	"slices"
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
	if len(round) == 0 || !round[0].room.ours {
		return
	}
	if _, err := n.link.connect(ctx, round[0]); err != nil {
		return // the next call will report the error
	}
	if err := n.link.client.Report(ctx, text); err != nil {
		n.link.drop() // the client is closed
		return
	}
	n.link.observe(0, false, time.Now())
}

// Report sends a report to each next hop that has shown that it is an Inkwell, once to each address in use, although
// several Networks may send there. It returns to how many; text is called only if there is one.
func (p *Peers) Report(text func() []byte) int {
	p.mu.Lock()
	networks := slices.Clone(p.networks)
	p.mu.Unlock()
	told := make(map[string]bool)
	var report []byte
	for _, n := range networks {
		addr, ours := n.link.inUse()
		if !ours || told[addr] {
			continue
		}
		if report == nil {
			report = text()
		}
		told[addr] = true
		n.Report(report)
	}
	return len(told)
}

// inUse returns the address to which calls go, or went last, and whether the peer there has shown that it is an
// Inkwell. It may be called at any time.
func (l *link) inUse() (addr string, ours bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.at
	if t == nil {
		t = l.addrs.find(l.last)
	}
	if t == nil {
		return "", false
	}
	return t.name, t.info.ours
}
