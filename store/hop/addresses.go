package hop

import (
	"math/rand/v2"
	"slices"
	"time"
)

// restTime is how long an address that failed is tried only after the others, and how often an address that is
// preferred to the current one is probed.
const restTime = 10 * time.Second

// addresses are the addresses of a Network, the preferred one first. An address that failed rests: it is tried after
// the others for a while, ± a quarter, so that many senders do not return to a peer at the same moment. Not safe for
// concurrent use.
type addresses struct {
	list    []address
	rest    time.Duration
	shuffle bool // no address is preferred
}

type address struct {
	name  string
	until time.Time // the address rests until then; zero: it works
}

func newAddresses(names []string) addresses {
	a := addresses{rest: restTime}
	for _, name := range names {
		a.list = append(a.list, address{name: name})
	}
	return a
}

// failed lets address i rest from now on.
func (a *addresses) failed(i int, now time.Time) {
	a.list[i].until = now.Add(a.rest*3/4 + rand.N(a.rest/2))
}

// worked records that address i took a call.
func (a *addresses) worked(i int) { a.list[i].until = time.Time{} }

// round returns the indexes of all addresses in the order in which to try them: the current one (-1: none), then those
// that do not rest, then those that rest, ordered by the end of their rest.
func (a *addresses) round(inUse int, now time.Time) []int {
	order := make([]int, len(a.list))
	for i := range order {
		order[i] = i
	}
	if a.shuffle {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	rank := func(i int) time.Time {
		if i == inUse || !a.list[i].until.After(now) {
			return time.Time{}
		}
		return a.list[i].until
	}
	slices.SortStableFunc(order, func(x, y int) int {
		if (x == inUse) != (y == inUse) {
			if x == inUse {
				return -1
			}
			return 1
		}
		return rank(x).Compare(rank(y))
	})
	return order
}

// better returns the first address before i that does not rest.
func (a *addresses) better(i int, now time.Time) (int, bool) {
	if a.shuffle {
		return 0, false
	}
	for j := range i {
		if !a.list[j].until.After(now) {
			return j, true
		}
	}
	return 0, false
}
