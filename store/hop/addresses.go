package hop

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"inkwell/internal/discovery"
)

// restTime is how long an address that failed is tried only after the others, and how often an address that is
// preferred to the current one is probed. spreadRest is the former for senders that spread, which have many addresses.
const (
	restTime   = 10 * time.Second
	spreadRest = time.Minute
)

// maxRound bounds the addresses that are tried for one call. Those that failed rest, so that the next call tries
// others.
const maxRound = 16

// address is one of the addresses of a Network, with what is known of it.
type address struct {
	name     string
	priority int       // the lower, the earlier
	rank     uint64    // for senders that spread: likewise, among those of one priority
	until    time.Time // the address rests until then; zero: it works
	gone     bool      // it is not in the list any more
	info     addressInfo

	room *capacity // used only by the sender
}

// addresses are the addresses of a Network, the preferred one first. An address that failed rests: it is tried after
// the others for a while, ± a quarter, so that many senders do not return to a peer at the same moment. Not safe for
// concurrent use.
type addresses struct {
	list    []*address
	rest    time.Duration
	shuffle bool   // no address is preferred
	sender  string // the order is that of rendezvous hashing for this sender; "" = that of the list
	room    func() *capacity
}

func newAddresses(o NetworkOptions) addresses {
	ts := addresses{rest: restTime, shuffle: o.Shuffle, sender: o.Spread}
	if o.Spread != "" {
		ts.rest = spreadRest
	}
	ts.room = func() *capacity { return newCapacity(o.MaxCall, o.Timeout) }
	return ts
}

// set replaces the list. Addresses that stay keep what is known of them. It returns those that are gone.
func (ts *addresses) set(list []discovery.Address) (gone []*address) {
	old := make(map[string]*address)
	for _, t := range ts.list {
		old[t.name] = t
	}
	ts.list = make([]*address, 0, len(list))
	for _, a := range list {
		t := old[a.Name]
		if t == nil {
			t = &address{name: a.Name, room: ts.room()}
			if ts.sender != "" {
				t.rank = rankOf(ts.sender, a.Name)
			}
		}
		delete(old, a.Name)
		t.priority, t.gone = a.Priority, false
		ts.list = append(ts.list, t)
	}
	slices.SortStableFunc(ts.list, func(a, b *address) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.rank, b.rank))
	})
	for _, t := range old {
		t.gone = true
		gone = append(gone, t)
	}
	return gone
}

// find returns the target with a name, nil if there is none.
func (ts *addresses) find(name string) *address {
	if i := slices.IndexFunc(ts.list, func(t *address) bool { return t.name == name }); i >= 0 {
		return ts.list[i]
	}
	return nil
}

// failed lets a target rest from now on.
func (ts *addresses) failed(t *address, now time.Time) { t.restFor(ts.rest, now) }

// restFor lets the target rest for a time, ± a quarter.
func (t *address) restFor(d time.Duration, now time.Time) { t.until = now.Add(d*3/4 + rand.N(d/2)) }

// resting says whether the target rests.
func (t *address) resting(now time.Time) bool { return t.until.After(now) }

// round returns the targets in the order in which to try them: the one in use (nil: none), then those that do not rest,
// then those that rest, ordered by the end of their rest.
func (ts *addresses) round(inUse *address, now time.Time) []*address {
	order := slices.Clone(ts.list)
	if inUse != nil && !slices.Contains(order, inUse) {
		order = append(order, inUse)
	}
	if ts.shuffle {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	rank := func(t *address) time.Time {
		if t == inUse || !t.resting(now) {
			return time.Time{}
		}
		return t.until
	}
	slices.SortStableFunc(order, func(x, y *address) int {
		if (x == inUse) != (y == inUse) {
			if x == inUse {
				return -1
			}
			return 1
		}
		return rank(x).Compare(rank(y))
	})
	return order[:min(len(order), maxRound)]
}

// better returns the first target before another one that does not rest, nil if there is none. For senders that spread,
// that is not how they choose: see review.
func (ts *addresses) better(than *address, now time.Time) *address {
	if ts.shuffle || ts.sender != "" {
		return nil
	}
	for _, t := range ts.list {
		if t == than {
			break
		}
		if !t.resting(now) {
			return t
		}
	}
	return nil
}
