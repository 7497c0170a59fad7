package fleet

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

const (
	// maxSenders bounds a Table, and maxOfPeer the entries of one peer in it. Beyond them, the sender that has been
	// silent for the longest time is forgotten.
	maxSenders = 4096
	maxOfPeer  = 256
	// A sender that ended in good order is remembered for keepEnded, any other for keepSilent.
	keepEnded  = time.Hour
	keepSilent = 30 * 24 * time.Hour
)

// Table holds the fleet of one collector. The zero value is empty. It is safe for concurrent use.
type Table struct {
	mu      sync.Mutex
	senders map[key]*Sender
	changed bool // since the last Changed
	news    bool // the change is that a sender appeared or ended
}

// key identifies a sender. The peer is an address without its port.
type key struct{ peer, host, name string }

// Hear records a report that came from a peer.
func (t *Table) Hear(peer string, r Report, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := key{peer, r.Host, r.Name}
	s := t.senders[k]
	if s == nil {
		t.room(peer)
		s = &Sender{Peer: peer, First: now}
		if t.senders == nil {
			t.senders = make(map[key]*Sender)
		}
		t.senders[k] = s
	}
	t.news = t.news || s.Heard.IsZero() || s.Ended != r.Ended
	s.Report, s.Heard = r, now
	t.changed = true
}

// room forgets senders until one more of a peer fits in. The caller holds mu.
func (t *Table) room(peer string) {
	var all, of []key
	for k := range t.senders {
		if all = append(all, k); k.peer == peer {
			of = append(of, k)
		}
	}
	switch {
	case len(of) >= maxOfPeer:
		all = of
	case len(all) < maxSenders:
		return
	}
	delete(t.senders, slices.MinFunc(all, func(a, b key) int { return t.senders[a].Heard.Compare(t.senders[b].Heard) }))
}

// forget drops senders that have been silent for too long. The caller holds mu.
func (t *Table) forget(now time.Time) {
	for k, s := range t.senders {
		keep := keepSilent
		if s.Ended {
			keep = keepEnded
		}
		if now.Sub(s.Heard) > keep {
			delete(t.senders, k)
			t.changed = true
		}
	}
}

// Status returns the fleet as of a time.
func (t *Table) Status(now time.Time) Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(now)
	status := Status{Senders: make([]Sender, 0, len(t.senders)), Count: make(map[State]int)}
	for _, s := range t.senders {
		one := *s
		one.State = one.state(now)
		status.Count[one.State]++
		if one.speaks(now) {
			status.Senders = append(status.Senders, one.behind()...)
			for state, n := range one.Senders.Count {
				status.Count[state] += n
			}
			one.Senders = &Summary{Count: one.Senders.Count} // the others are listed by themselves
		}
		status.Senders = append(status.Senders, one)
	}
	slices.SortFunc(status.Senders, compare)
	return status
}

// Count returns how many senders are in a state, those of relays included.
func (t *Table) Count(of State, now time.Time) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(now)
	for _, s := range t.senders {
		if s.state(now) == of {
			n++
		}
		if s.speaks(now) {
			n += s.Senders.Count[of]
		}
	}
	return n
}

// News reports whether a sender appeared or ended since the last call of Changed.
func (t *Table) News() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.news
}

// Changed reports whether a report came since its last call, and returns what a later process needs for Restore.
func (t *Table) Changed() (senders []Sender, changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.changed {
		return nil, false
	}
	t.changed, t.news = false, false
	for _, s := range t.senders {
		senders = append(senders, *s)
	}
	slices.SortFunc(senders, compare)
	return senders, true
}

// Restore takes over what an earlier process saved. It is called before the first Hear.
func (t *Table) Restore(senders []Sender) {
	slices.SortFunc(senders, func(a, b Sender) int { return cmp.Compare(a.Heard.Unix(), b.Heard.Unix()) })
	for _, s := range senders {
		t.Hear(s.Peer, s.Report, s.Heard)
		t.senders[key{s.Peer, s.Host, s.Name}].First = s.First
	}
	t.changed, t.news = false, false
}
