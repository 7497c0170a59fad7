package hop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/spool"
)

// proofs is how many times in a row an entry must be answered with TRY_LATER and another entry be taken after it,
// before the entry counts as the cause. Once is not enough: a peer that has room only at times behaves the same.
const proofs = 3

// held is the list of entries that a peer answers with TRY_LATER. They are kept in a spool of their own, so that later
// entries can be sent:
//
//	TRY_LATER three times ─► held, suspected ─── TRY_LATER, and the next entry is taken, three times ─► held
//	                            │                                                                        │
//	                            ├─ it is taken: nothing was wrong with it                         offered from time
//	                            └─ the next is not taken either: the peer is busy,                to time until taken,
//	                               and all entries wait                                           or set aside (After)
//
// While the newest entry is suspected, it is offered before anything else, so that a peer that is merely busy gets the
// entries in order. The mutex of the Quarantine guards all fields but count.
type held struct {
	q       *Quarantine
	count   atomic.Int64  // length of list; the only field that may be read without the mutex
	all     *atomic.Int64 // sum of count over all Quarantines
	dir     *faultfs.Dir  // nil: there are no held entries
	log     *spool.Log
	reader  *spool.Reader
	list    []holding   // oldest first
	first   proto.Batch // the oldest entry; empty: not read yet
	last    proto.Batch // the newest entry, while it is suspected
	proved  int         // how many times in a row others were taken and last was not
	suspect bool        // last is suspected: not proved to be what the peer does not take
	refused bool        // last was just offered and not taken
	passed  time.Time   // when other entries were last taken
	running bool
}

// holding is one held entry.
type holding struct {
	since time.Time // since when this process has held it
	tried time.Time
	end   uint64 // offset behind it in the spool
	done  bool

	refusals int // number of exceptions in answer to it
}

// recover reads the entries that an earlier process held.
func (h *held) recover() error {
	if h.q.o.Dir == "" {
		return nil
	}
	dir, err := faultfs.OpenBeneath(h.q.o.Root, h.q.o.Dir, nil)
	if err != nil {
		return err
	}
	defer dir.Close()
	if _, err := dir.Lstat(h.q.o.Held); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := h.open(); err != nil {
		return err
	}
	for {
		rec, ok, err := h.reader.TryNext()
		var damage *spool.CorruptError
		switch {
		case errors.As(err, &damage):
			h.q.o.Logger.Error("spool of held entries is damaged: the damaged place is skipped",
				"bytes", damage.End-damage.Start, "error", damage)
			continue
		case err != nil:
			return errors.Join(err, h.close())
		case !ok:
			return h.start()
		}
		h.list = append(h.list, holding{since: time.Now(), end: rec.End})
	}
}

// start begins to offer the recovered entries, if there are any.
func (h *held) start() error {
	h.addCount(len(h.list))
	if len(h.list) == 0 {
		return h.close()
	}
	acked, _ := h.log.Bounds()
	if err := h.reader.Close(); err != nil {
		return err
	}
	h.reader = h.log.Reader(acked)
	h.offerPeriodically()
	return nil
}

// open opens the spool.
func (h *held) open() error {
	parent, err := faultfs.OpenBeneath(h.q.o.Root, h.q.o.Dir, nil)
	if err != nil {
		return err
	}
	defer parent.Close()
	if h.dir, err = parent.Sub(h.q.o.Held); err != nil {
		return err
	}
	if h.log, err = spool.Open(h.dir, spool.Options{Logger: h.q.o.Logger}); err != nil {
		return errors.Join(err, h.dir.Close())
	}
	acked, _ := h.log.Bounds()
	h.reader = h.log.Reader(acked)
	return nil
}

// close closes the spool. The next Quarantine will offer its content again.
func (h *held) close() error {
	if h.log == nil {
		return nil
	}
	if n := len(h.list); n > 0 {
		h.q.o.Logger.Warn("entries that the peer answered with TRY_LATER are held until they are offered again",
			"entries", n, "directory", h.dir.Path())
	}
	err := errors.Join(h.reader.Close(), h.log.Close(), h.dir.Close())
	h.all.Add(-int64(len(h.list)))
	h.log, h.list, h.suspect = nil, nil, false
	h.first.Reset()
	return err
}

// addCount adds n to the number of held entries.
func (h *held) addCount(n int) {
	h.count.Add(int64(n))
	h.all.Add(int64(n))
}

// add holds an entry and reports whether that succeeded.
func (h *held) add(entry *proto.Batch) bool {
	var err error
	if h.log == nil {
		err = h.open()
	}
	var end uint64
	if err == nil {
		end, err = h.log.AppendJoined(context.Background(), entry.Entries(), entry.AppendRecordTail(nil), entry.Count())
	}
	if err != nil {
		h.q.o.Logger.Error("entry is answered with TRY_LATER, but cannot be held: those after it wait", "error", err)
		return false
	}
	now := time.Now()
	h.list = append(h.list, holding{since: now, tried: now, end: end})
	h.last.Reset()
	h.last.AppendBatch(entry)
	h.suspect, h.proved, h.refused = true, 0, true
	h.addCount(1)
	h.offerPeriodically()
	return true
}

// prove offers the newest entry, which is suspected, again. It returns how many of the other entries may be offered
// now.
func (h *held) prove(ctx context.Context, others int) (int, error) {
	err := h.q.to.Append(ctx, &h.last)
	h.refused = errors.Is(err, store.ErrTryLater)
	last := &h.list[len(h.list)-1]
	switch {
	case err == nil || last.hopeless(err) && h.q.setAside(&h.last, err):
		last.done, h.suspect = true, false
		h.sweep()
		return others, nil
	case h.refused:
		last.tried = time.Now()
		return 1, nil
	}
	return 0, err
}

// hopeless counts err if it is an exception, and reports whether there were too many.
func (o *holding) hopeless(err error) bool {
	if isRefusal(err) {
		o.refusals++
	}
	return o.refusals >= maxRefusals
}

// othersPass records that other entries were taken.
func (h *held) othersPass() {
	h.passed = time.Now()
	if !h.suspect || !h.refused {
		return
	}
	h.refused = false
	if h.proved++; h.proved == proofs {
		h.suspect = false
		h.q.o.Logger.Error("entry is answered with TRY_LATER while others are accepted: it is held, and the others "+
			"continue",
			"bytes", h.last.Size(), "directory", h.dir.Path(), "set aside after", h.q.o.After)
	}
}

// othersWait records that other entries were not taken either.
func (h *held) othersWait() { h.proved = 0 }

// offerPeriodically offers the held entries from time to time until there are none.
func (h *held) offerPeriodically() {
	if h.running {
		return
	}
	h.running = true
	h.q.looks.Go(func() {
		tick := time.NewTicker(min(time.Minute, max(h.q.o.After/10, time.Millisecond)))
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-h.q.life.Done():
				return
			}
			h.q.mu.Lock()
			h.retry(h.q.life)
			if len(h.list) == 0 {
				h.running = false
				h.q.mu.Unlock()
				return
			}
			h.q.mu.Unlock()
		}
	})
}

// retry offers the oldest entry and, as long as the entries are taken or set aside, the next ones.
func (h *held) retry(ctx context.Context) {
	for h.sweep(); len(h.list) > 0; h.sweep() {
		if h.first.Count() == 0 {
			if err := h.read(); err != nil {
				h.q.o.Logger.Error("held entries cannot be read: they wait", "directory", h.dir.Path(), "error", err)
				return
			}
		}
		one := &h.list[0]
		err := h.q.to.Append(ctx, &h.first)
		old := time.Since(one.since) >= h.q.o.After && h.passed.After(one.tried) && !(h.suspect && len(h.list) == 1)
		over := old && errors.Is(err, store.ErrTryLater)
		switch {
		case err == nil:
		case (over || one.hopeless(err)) && h.q.setAside(&h.first, err):
		default:
			one.tried = time.Now()
			return
		}
		one.done = true
		h.suspect = h.suspect && len(h.list) > 1
	}
}

// read reads the oldest entry.
func (h *held) read() error {
	for {
		rec, ok, err := h.reader.TryNext()
		switch {
		case err != nil:
			return err
		case !ok:
			return fmt.Errorf("%d entries are missing", len(h.list))
		case rec.End < h.list[0].end:
			continue
		}
		var b proto.Batch
		if err := canonical(&b, rec); err != nil {
			return err
		}
		h.first.Reset()
		h.first.AppendBatch(&b)
		return nil
	}
}

// sweep removes the entries at the head of the list that are done.
func (h *held) sweep() {
	for len(h.list) > 0 && h.list[0].done {
		if err := h.log.Ack(h.list[0].end); err != nil {
			h.q.o.Logger.Error("held entry is done, but that cannot be noted: it may be sent twice",
				"directory", h.dir.Path(), "error", err)
		}
		h.list = h.list[1:]
		h.first.Reset()
		h.addCount(-1)
	}
	if len(h.list) == 0 && h.log != nil {
		if err := h.close(); err != nil {
			h.q.o.Logger.Error("close spool of held entries", "error", err)
		}
	}
}
