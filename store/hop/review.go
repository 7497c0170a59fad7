package hop

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"inkwell/internal/rpc"
	"inkwell/proto"
	"inkwell/store"
)

// When a sender that spreads asks collectors how they are (see choose). Each time is at random, so that a fleet does
// not move at the same moment.
const (
	reviewSoon   = 30 * time.Second // at most so long after it has connected, or after the list has changed
	reviewOften  = 5 * time.Minute  // ± half, otherwise
	reviewUrgent = time.Second      // between two attempts to leave a collector that is about to stop, or slow
	// leaveRest is how long a collector is not chosen that is about to stop, and slowRest one that is slow. Within
	// slowRest a sender leaves a collector only once for being slow, because all may be.
	leaveRest = time.Minute
	slowRest  = 5 * time.Minute
	// A collector is slow when slowCalls calls in a row each took more than a slowShare of their time-out.
	slowCalls = 3
	slowShare = 10
)

// review is the state of a link that spreads. The mutex of the link guards all fields.
type review struct {
	due     time.Time // of the next review
	urgent  bool      // the collector in use is to be left
	senders int       // that it has, in its last answer; -1: it has not said
	slow    int       // slow calls in a row
	moved   time.Time // when a collector was last left for being slow
}

// soon makes the next review come within a time. The caller holds the mutex of the link.
func (r *review) soon(within time.Duration, now time.Time) {
	if at := now.Add(rand.N(within)); r.due.IsZero() || at.Before(r.due) {
		r.due = at
	}
}

// leave makes the link leave the collector in use. The caller holds the mutex of the link.
func (r *review) leave(now time.Time) {
	if !r.urgent {
		r.urgent, r.due = true, now
	}
}

// observe records what the collector in use answered to a call, and how long that took, 0 for a call without entries;
// more says that entries wait.
func (l *link) observe(took time.Duration, more bool, now time.Time) {
	if l.addrs.sender == "" || l.client == nil {
		return
	}
	ours, _ := l.client.Inkwell()
	c := l.client.Condition()
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &l.review
	defer func() {
		if r.urgent { // there may be nothing more to send
			time.AfterFunc(0, l.poke)
		}
	}()
	if r.senders = -1; ours {
		r.senders = c.Senders
	}
	if c.Leaving && !r.urgent {
		l.log.Info("the collector is about to stop: another one is looked for", "peer", l.at.name)
		l.at.restFor(leaveRest, now)
		r.leave(now)
	}
	if took == 0 { // of a call without entries
		return
	}
	if took < l.options.Timeout/slowShare {
		r.slow = 0
	} else if r.slow++; r.slow >= slowCalls && more && !r.urgent && now.Sub(r.moved) > slowRest {
		l.log.Warn("the collector is slow: another one is looked for", "peer", l.at.name, "call took", took)
		l.at.restFor(slowRest, now)
		r.moved = now
		r.leave(now)
	}
}

// reviewDue reports whether it is time for a review by a sender that may stay.
func (l *link) reviewDue(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addrs.sender != "" && !l.probing && !l.review.urgent && !l.review.due.IsZero() && !now.Before(l.review.due)
}

// refresh asks the collector in use how it is: its last answer may be older than moves of other senders.
func (l *link) refresh() {
	ctx, cancel := context.WithTimeout(l.life, maxDial)
	defer cancel()
	if _, err := l.client.Log(ctx, nil); err != nil {
		l.drop() // the next call finds out
		return
	}
	l.observe(0, false, time.Now())
}

// consider starts a review if one is due. The caller holds mu.
func (l *link) consider(now time.Time) {
	r := &l.review
	if r.due.IsZero() || now.Before(r.due) {
		return
	}
	r.due = now.Add(reviewOften/2 + rand.N(reviewOften))
	if r.urgent {
		r.due = now.Add(reviewUrgent)
	}
	own, senders, urgent := l.at, r.senders, r.urgent
	candidates := l.candidates(now)
	if r.slow >= slowCalls { // one attempt to leave a slow collector is enough
		r.urgent, r.slow = false, 0
	}
	if len(candidates) == 0 {
		if urgent {
			time.AfterFunc(reviewUrgent, l.poke)
		}
		return
	}
	l.probing = true
	l.probes.Go(func() { l.ask(candidates, own, senders, urgent) })
}

// candidates returns the first collectors in the order that could be chosen in place of the one in use: of the lowest
// priority, unless none of it works. The caller holds mu.
func (l *link) candidates(now time.Time) (list []*address) {
	for _, t := range l.addrs.list {
		if t == l.at || t.resting(now) {
			continue
		}
		if len(list) == asked || len(list) > 0 && t.priority > list[0].priority {
			break
		}
		if !l.review.urgent && t.priority > l.at.priority {
			break
		}
		list = append(list, t)
	}
	return list
}

// asking is a collector that was asked.
type asking struct {
	*address
	client  *rpc.Client
	senders int
	leaving bool
	err     error
}

// ask asks candidates how they are, while calls to the collector own continue, and provides a connection to the one
// that is to be used from now on, if that is another one.
func (l *link) ask(candidates []*address, own *address, senders int, urgent bool) {
	answers := make([]asking, len(candidates))
	var asks sync.WaitGroup
	for i, t := range candidates {
		asks.Go(func() { answers[i] = l.askOne(t) })
	}
	asks.Wait()
	chosen, answers := l.judge(answers, own, senders, urgent)
	for i, a := range answers {
		if i != chosen {
			l.discard(a.client, a.address)
		}
	}
	spare := asking{}
	if chosen >= 0 {
		if spare = answers[chosen]; !spare.settle(l.life) {
			spare = asking{}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.probing = false
	switch {
	case spare.client != nil:
		l.spare, l.spareAt, l.spareFor = spare.client, spare.address, own
		time.AfterFunc(0, l.poke)
	case urgent:
		time.AfterFunc(reviewUrgent, l.poke)
	}
}

// settle asks once more, by which the collector counts the sender before others ask it.
func (a *asking) settle(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, maxDial)
	defer cancel()
	_, err := a.client.Log(ctx, nil)
	return err == nil
}

// judge records what came of asking, and returns the answers of collectors that can be used, and the index of the one
// to be used from now on, -1 to stay.
func (l *link) judge(answers []asking, own *address, senders int, urgent bool) (int, []asking) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, a := range answers {
		switch {
		case a.err != nil:
			l.addrs.failed(a.address, now)
			a.info.err, a.info.failed = a.err, now
		case a.leaving:
			a.restFor(leaveRest, now)
		}
	}
	answers = slices.DeleteFunc(answers, func(a asking) bool {
		if a.leaving {
			l.discard(a.client, a.address)
		}
		return a.err != nil || a.leaving
	})
	return l.pick(answers, own, senders, urgent), answers
}

// pick returns the index of the answer to be used in place of own, -1 to stay. The caller holds mu.
func (l *link) pick(answers []asking, own *address, senders int, urgent bool) int {
	if len(answers) == 0 || !urgent && senders < 0 {
		return -1
	}
	if !urgent && own.priority > answers[0].priority {
		urgent = true // back to the collectors that are meant to be used
	}
	at := -1
	var counts []int
	for _, a := range answers {
		counts = append(counts, a.senders)
	}
	if !urgent { // own comes last: whether it stays does not depend on its place
		at = len(counts)
		counts = append(counts, senders)
	}
	if i := choose(counts, at); i != at {
		return i
	}
	return -1
}

// askOne connects to a collector and asks how it is. A server that is no Inkwell is taken only if there is no other.
func (l *link) askOne(t *address) asking {
	ctx, cancel := context.WithTimeout(l.life, maxDial)
	defer cancel()
	a := asking{address: t}
	if a.client, a.err = rpc.Dial(ctx, t.name, l.options); a.err != nil {
		return a
	}
	var code proto.ResultCode
	if code, a.err = a.client.Log(ctx, nil); a.err != nil {
		return a // the client is closed
	}
	if code != proto.OK { // it takes nothing now
		a.err = errors.Join(fmt.Errorf("%s says: %w", t.name, store.ErrTryLater), a.client.Close())
		return a
	}
	c := a.client.Condition()
	a.senders, a.leaving = c.Senders, c.Leaving
	if ours, _ := a.client.Inkwell(); !ours {
		a.senders = math.MaxInt32
	}
	return a
}
