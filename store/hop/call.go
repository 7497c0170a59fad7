package hop

import (
	"fmt"
	"slices"
	"time"

	"inkwell/proto"
	"inkwell/store"
)

// probeBytes is how large the messages of a call may be that is sent without a probe.
const probeBytes = 4096

// call is what the sender puts into the client's hands. Its memory is used again.
type call struct {
	batches []*proto.Batch
	part    proto.Batch // of the first, if that goes in several calls
	first   *waiter
	size    size
	smaller bool // it was not taken, and the next one will be smaller
}

// offerTo offers a call to address i, over the connection that stands if there is one.
func (n *Network) offerTo(i int) error {
	n.call.smaller = false
	fresh, err := n.link.connect(n.ctx, i)
	if err == nil {
		err = n.once(i, fresh)
		if fresh || !hungUp(err) {
			return n.told(err)
		}
		if _, err = n.link.connect(n.ctx, i); err == nil {
			return n.told(n.once(i, true))
		}
	}
	return n.unreachable(err)
}

// told is err with what a status is to tell of it.
func (n *Network) told(err error) error {
	if n.o.IgnoreError && err != nil && err != errLeft && !isRefusal(err) {
		return &store.StatusError{Err: err}
	}
	return err
}

// once makes a call, as large as the peer takes, over the connection to address i. A connection that was not made for
// it may have been closed before the call: then its size is not known to be the reason.
func (n *Network) once(i int, fresh bool) error {
	room := n.link.capacity(i)
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
	now := time.Now()
	taken := err == nil && code == proto.OK
	switch {
	case probed: // which says nothing about the size
		n.call.smaller = false
	case taken:
		if is, known := n.link.client.Inkwell(); known {
			room.ours = is
		}
		if refused := n.link.client.Refused(); refused > 0 {
			n.refused.Add(int64(refused))
			n.link.threw(i, refused, now)
		}
		room.taken(n.call.size, now.Sub(began), now)
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
	n.finish(taken, room.next)
	switch {
	case err != nil:
		n.link.drop() // the client is closed
	case code == proto.TryLater:
		defer n.link.refused()
		err = fmt.Errorf("%s says: %w", n.link.name(n.link.at), store.ErrTryLater)
	case code != proto.OK:
		err = fmt.Errorf("%s answered with the unknown result %d", n.link.name(n.link.at), code)
	}
	return err
}

// begin puts the bytes of a call into the client's hands: whole batches, as far as there is room; only one that would
// not fit into a call of its own is split.
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
	if n.inCall, n.wanted = len(k.batches), len(k.batches); n.inCall > 0 {
		k.first = n.queue[0]
	}
	return k.batches
}

// add puts a waiter's part into the call.
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

// large says whether the messages of the call are so many bytes that it should be announced by an empty one.
func (k *call) large() bool { return k.size.bytes-k.size.entries*proto.EntryOverhead > probeBytes }

// finish takes the bytes back. With a call that was taken those who have nothing left are done; after another those who
// left meanwhile are let go before the next attempt.
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
		w.done <- struct{}{} // w is its caller's from here on
	}
	n.queue = slices.Delete(n.queue, kept, len(members))
}
