package hop

import (
	"errors"
	"fmt"
	"slices"

	"inkwell/store"
)

// offer offers calls to each address in turn, until one takes a call or has refused a single entry.
func (n *Network) offer() {
	round := n.link.round()
	if len(round) == 0 {
		if round = n.await(); len(round) == 0 {
			return
		}
	}
	for len(round) > 0 {
		var failures []error
		var smaller []*address // addresses that may take a smaller call
		for _, t := range round {
			err := n.offerTo(t)
			if n.ctx.Err() != nil || err == errLeft { // no caller waits for it any more
				return
			}
			if err == nil || isRefusal(err) {
				n.link.worked(t)
				n.endAnswered(err)
				return
			}
			later := n.call.smaller && errors.Is(err, store.ErrTryLater)
			if later {
				smaller = append(smaller, t)
			}
			if !later || n.link.several() {
				n.link.failed(t, err)
			}
			n.failed.Add(1)
			failures = append(failures, err)
		}
		if round = smaller; len(round) == 0 {
			n.giveUp(joinFailures(failures))
		}
	}
}

// await waits until an address is known. If none can be found, the callers get the reason.
func (n *Network) await() []*address {
	n.link.watch.Wait(n.ctx)
	n.link.update()
	round := n.link.round()
	if len(round) == 0 {
		n.failed.Add(1)
		n.giveUp(n.unreachable(fmt.Errorf("no collector is known: %s", n.link.watch.Trouble())))
	}
	return round
}

// endAnswered handles the end of a call that a peer answered. If a single entry was refused, its caller gets the error.
func (n *Network) endAnswered(err error) {
	if err == nil || n.call.smaller {
		return
	}
	n.failed.Add(1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) > 0 && n.queue[0] == n.call.first { // else its caller left
		n.end(1, err)
	}
}

// giveUp ends all queued waiters with err.
func (n *Network) giveUp(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.end(len(n.queue), err)
}

// end ends the first count waiters of the queue with err. The caller holds mu.
func (n *Network) end(count int, err error) {
	for _, w := range n.queue[:count] {
		w.err = err
		w.done <- struct{}{}
	}
	n.queue = slices.Delete(n.queue, 0, count)
}

// unreachable wraps err for the status.
func (n *Network) unreachable(err error) error {
	if n.o.IgnoreError {
		return &store.StatusError{Err: err}
	}
	return &store.StatusError{Text: "Failed to connect", Err: err}
}
