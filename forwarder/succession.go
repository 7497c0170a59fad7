package forwarder

import (
	"context"
	"errors"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/proto"
	"inkwell/store"
)

// A spool passes from one process to the next when a daemon is restarted: a web server starts the new logger while the
// old one still reads what old children write. The new one must not make its writers wait, and the old one must not
// keep the spool for longer than it has something to put there:
//
//	old ── reads on until its writers have ended ── all is in the spool ── sees that somebody waits ── closes the spool
//	new ── reads at once; sends, or holds in memory ── holds the lock "next", looks for the spool ──► has the spool, replays it
//
// The new one has not the entries of the old one, and its own are another stream: it may send while it waits. What
// cannot be sent then stays in memory, and once that is full its writers wait.

// nextLock is the file that the process holds a lock on that waits for the spool.
const nextLock = "next"

const (
	// lookOften and lookSeldom are the pauses between two looks whether the spool is free. They grow with the wait, of
	// which they are a hundredth.
	lookOften  = 5 * time.Millisecond
	lookSeldom = 250 * time.Millisecond
	// resend is the pause before the network is tried again while the spool is waited for.
	resend = time.Second
)

// awaitSpool takes the spool as soon as its owner lets go of it.
func (h *nextHop) awaitSpool() {
	ctx, end := context.WithCancel(context.Background())
	h.end = end
	h.o.log.Info("another process has the spool: reading, and waiting until it ends", "dir", h.dir.Path())
	h.waiting.Go(func() { h.lookForSpool(ctx, time.Now()) })
}

func (h *nextHop) lookForSpool(ctx context.Context, began time.Time) {
	var next *faultfs.File
	leave := func() {
		if next != nil {
			_ = next.Close() // nothing was written to it
		}
		next = nil
	}
	defer leave()
	said := false
	for {
		waited := time.Since(began)
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(max(waited/100, lookOften), lookSeldom)):
		}
		if next == nil { // the owner looks whether it is locked, and has it then for a moment; another one may be ahead
			next, _ = h.dir.Lock(nextLock)
		}
		err := h.takeSpool()
		switch {
		case err == nil:
			leave() // first: whenWanted would take this lock for one of another process
			close(h.spooled)
			h.o.log.Info("took the spool over", "dir", h.dir.Path(), "after", time.Since(began).Round(time.Millisecond))
			return
		case !errors.Is(err, faultfs.ErrLocked) && !said:
			h.o.log.Error("cannot take the spool over, trying again", "dir", h.dir.Path(), "err", err)
			said = true
		}
	}
}

// appendWaiting sends b while another process has the spool, and goes on with the spool as soon as that is there.
func (h *nextHop) appendWaiting(ctx context.Context, b *proto.Batch) error {
	for {
		err := h.network.Append(ctx, b)
		if err == nil {
			return nil
		}
		b = store.Rest(b, err)
		select {
		case <-h.spooled:
			return h.appendBuffered(ctx, b)
		case <-ctx.Done():
			return err
		case <-time.After(resend):
		}
	}
}

// whenWanted calls do once another process waits for the spool, unless ctx ends before that.
func (h *nextHop) whenWanted(ctx context.Context, do func()) {
	for h.dir != nil {
		if h.hasSpool() {
			if wanted, err := h.dir.Locked(nextLock); wanted || err != nil {
				if err != nil {
					h.o.log.Warn("cannot see whether another process waits for the spool", "err", err)
				}
				do()
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookOften):
		}
	}
}
