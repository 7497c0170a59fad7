package forwarder

import (
	"context"
	"errors"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/proto"
	"inkwell/store"
)

// A spool passes from one process to the next when a daemon is restarted. Example: a web server starts its new piped
// logger while the old one still reads what the server's old children write. The new logger must not make its writers
// wait, and the old one must release the spool as soon as it has nothing more to put there:
//
//	old: reads until its writers have ended ─ spools the rest ─ sees that the lock "next" is held ─ closes the spool
//	new: reads at once; sends, or holds in memory ─ holds the lock "next", polls the spool ─ opens the spool, replays it
//
// The new process may send before it has the spool: its entries are another stream than those of the old one, so that
// their order does not matter. What it cannot send stays in memory, and once that is full its writers wait.

// nextLock is the file that a process locks while it waits for the spool.
const nextLock = "next"

const (
	// lookOften and lookSeldom bound the pause between two attempts to take the spool: it is a hundredth of the time
	// that was waited so far.
	lookOften  = 5 * time.Millisecond
	lookSeldom = 250 * time.Millisecond
	// resend is the pause before the network is tried again while another process has the spool.
	resend = time.Second
)

// awaitSpool takes the spool in the background, as soon as its owner releases it.
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
		// This fails while the owner tests the lock, and while yet another process waits.
		if next == nil {
			next, _ = h.dir.Lock(nextLock)
		}
		err := h.takeSpool()
		switch {
		case err == nil:
			leave() // first, because whenWanted would take this lock for that of another process
			close(h.spooled)
			h.o.log.Info("took over the spool", "dir", h.dir.Path(), "after", time.Since(began).Round(time.Millisecond))
			return
		case !errors.Is(err, faultfs.ErrLocked) && !said:
			h.o.log.Error("cannot take over the spool, trying again", "dir", h.dir.Path(), "err", err)
			said = true
		}
	}
}

// appendWaiting sends b while another process has the spool, and continues with the spool once that is open.
func (h *nextHop) appendWaiting(ctx context.Context, b *proto.Batch) error {
	for {
		err := h.network.Append(ctx, b)
		if err == nil {
			return nil
		}
		b = store.Rest(b, err)
		select {
		case <-h.spooled:
			return h.buffer.Append(ctx, b)
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
