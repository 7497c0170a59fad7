package hop

import (
	"fmt"
	"slices"
	"time"

	"inkwell/proto"
	"inkwell/store"
)

// probeBytes is the largest size of the messages of a call that is sent without a probe.
const probeBytes = 4096

// call is the current call of the sender. Its memory is reused.
type call struct {
	batches []*proto.Batch
	part    proto.Batch // the part of the first batch, if that needs several calls
	first   *waiter
	size    size
	more    bool // entries wait that are not in the call
	smaller bool // the call was not taken, and the next one will be smaller
}

// offerTo sends a call to t, over the existing connection if there is one.
func (n *Network) offerTo(t *address) error {
	n.call.smaller = false
	fresh, err := n.link.connect(n.ctx, t)
	if err == nil {
		n.remember()
		err = n.callOnce(t, fresh)
		if fresh || !hungUp(err) {
			return n.forStatus(err)
		}
		if _, err = n.link.connect(n.ctx, t); err == nil {
			return n.forStatus(n.callOnce(t, true))
		}
	}
	return n.unreachable(err)
}

// forStatus wraps err for the status.
func (n *Network) forStatus(err error) error {
	if n.o.IgnoreError && err != nil && err != errLeft && !isRefusal(err) {
		return &store.StatusError{Err: err}
	}
	return err
}

// callOnce sends a call, as large as the peer is expected to take, over the connection to t. fresh says that
// the connection was made for this call. An older one may have been closed before the call, so that an error need not
// be caused by its size.
func (n *Network) callOnce(t *address, fresh bool) error {
	room := t.room
	batches := n.begin(room.next)
	if len(batches) == 0 {
		return errLeft
	}
	code, err, probed := proto.OK, error(nil), false
	if n.o.Probe && !room.ours && n.call.large() {
		code, err = n.link.client.Log(n.ctx, nil)
		probed = err != nil || code != proto.OK
	}
	began := time.Now()
	if !probed {
		code, err = n.link.client.Log(n.ctx, batches)
	}
	parked := false
	if n.inDoubt(room, err) {
		code, err = n.askAgain(t, batches, err)
		parked = err != nil && n.park(t, batches)
	}
	now := time.Now()
	taken := err == nil && code == proto.OK
	switch {
	case probed: // a probe says nothing about the size
		n.call.smaller = false
	case taken:
		if is, known := n.link.client.Inkwell(); known {
			room.ours, room.foreign = is, !is
		}
		if thrown := n.link.client.Refused(); thrown > 0 {
			n.thrown.Add(int64(thrown))
			n.link.recordThrown(t, thrown, now)
		}
		room.taken(n.call.size, now.Sub(began), now)
		n.link.observe(now.Sub(began), n.call.more, now)
	case err == nil || isRefusal(err):
		n.call.smaller = room.refused(n.call.size, restLater, now)
	case n.ctx.Err() == nil && (fresh || !hungUp(err)):
		n.call.smaller = room.refused(n.call.size, restBroken, now)
	case n.ctx.Err() == nil:
		n.call.smaller = room.refused(n.call.size, 0, now)
	}
	if n.call.smaller {
		n.smaller.Add(1)
	}
	n.finish(taken || parked, room.next)
	switch {
	case err != nil:
		n.link.drop() // the client is closed
	case code == proto.TryLater:
		defer n.link.peerBusy()
		err = fmt.Errorf("%s says: %w", t.name, store.ErrTryLater)
	case code != proto.OK:
		err = fmt.Errorf("%s answered with the unknown result %d", t.name, code)
	}
	return err
}

// begin selects the entries of a call: whole batches, as far as there is room. A batch is split only if it does not fit
// into a call of its own.
func (n *Network) begin(room size) []*proto.Batch {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := &n.call
	k.batches, k.size = k.batches[:0], size{}
	for i, w := range n.queue {
		left := size{entries: w.batch.Count() - w.taken.Entries, bytes: w.batch.Size() - w.taken.Bytes}
		fits := k.size.entries+left.entries <= room.entries && k.size.bytes+left.bytes <= room.bytes
		if i > 0 && !fits {
			break
		}
		w.until = w.batch.PlaceBehind(w.taken, room.entries, room.bytes)
		k.add(w)
	}
	k.more = len(k.batches) < len(n.queue)
	if n.inCall, n.wanted = len(k.batches), len(k.batches); n.inCall > 0 {
		k.first = n.queue[0]
	}
	return k.batches
}

// add adds the entries of a waiter to the call.
func (k *call) add(w *waiter) {
	b := w.batch
	if count := w.until.Entries - w.taken.Entries; count < b.Count() {
		k.part.SetPart(w.batch, w.taken, w.until)
		b = &k.part
	}
	k.batches = append(k.batches, b)
	k.size.entries += b.Count()
	k.size.bytes += b.Size()
}

// large reports whether the messages of the call are so large that a probe should be sent first.
func (k *call) large() bool { return k.size.bytes-k.size.entries*proto.EntryOverhead > probeBytes }

// finish ends a call. If it was taken, waiters without remaining entries are done. In any case, waiters whose callers
// left during the call are removed from the queue.
func (n *Network) finish(taken bool, next size) {
	n.mu.Lock()
	defer n.mu.Unlock()
	members := n.queue[:n.inCall]
	n.inCall, n.next = 0, next
	clear(n.call.batches)
	kept := 0
	for _, w := range members {
		if taken {
			w.taken = w.until
		}
		whole := w.taken.Entries == w.batch.Count()
		if !whole && !w.left {
			n.queue[kept] = w
			kept++
			continue
		}
		if !whole {
			w.err = errLeft
		}
		if w == n.call.first {
			n.call.first = nil
		}
		w.done <- struct{}{} // w belongs to its caller from now on
	}
	n.queue = slices.Delete(n.queue, kept, len(members))
}
