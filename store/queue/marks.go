package queue

import (
	"errors"
	"maps"
	"time"

	"inkwell/internal/killpoint"
	"inkwell/store"
)

// mark makes durable what the store was given and posts it, when it is time to, or now.
func (w *worker) mark(now time.Time, always bool) {
	k, keeps := w.store.(store.Keeper)
	if !w.dirty || w.partly {
		return
	}
	if !keeps {
		w.dirty = false
		w.q.put(&post{through: w.through, saved: make(chan struct{})}, w.load != nil)
		w.j.saver.sent()
		return
	}
	u, _ := w.store.(interface{ Urgent() bool })
	urgent := u != nil && u.Urgent()
	if !always && (!w.q.known() || !urgent && now.Sub(w.marked) < w.j.o.saveEvery) {
		return
	}
	if w.published(); w.store == nil { // of the post before, while the store still knows which marks those are
		return
	}
	before, _ := w.q.posted()
	marks := maps.Clone(before.marks) // of stores that are not open again yet, too
	if marks == nil {
		marks = make(store.States)
	}
	if err := k.Mark(&store.Marks{Files: marks}); err != nil {
		w.failed(errors.Join(err, store.ErrBroken))
		return
	}
	killpoint.Reach("queue.marked")
	w.marked, w.dirty = now, false
	w.q.put(&post{through: w.through, marks: marks, saved: make(chan struct{})}, w.load != nil)
	if urgent {
		w.j.saver.hurry()
	}
}

// published tells the store that a checkpoint has its marks.
func (w *worker) published() {
	w.q.mu.Lock()
	due := w.q.publish
	w.q.publish = false
	w.q.mu.Unlock()
	k, ok := w.store.(store.Keeper)
	if !due || !ok {
		return
	}
	if err := k.Publish(); err != nil {
		w.failed(err)
	}
}

// seal finishes the files of the store.
func (w *worker) seal() {
	s, ok := w.store.(store.Sealer)
	if !ok || w.partly {
		return
	}
	w.dirty = true
	if err := s.Seal(); err != nil {
		w.failed(err)
	}
}
