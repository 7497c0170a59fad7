package journal

import (
	"fmt"
	"sync"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
	"inkwell/store"
)

// mark is how the store of an outlet said that it stands. That becomes the outlet's post when the files are synced.
type mark struct {
	t     *Outlet
	post  *post
	added addition
	files []faultfs.Syncer
	taken uint64 // Outlet.taken when the store was asked
	left  bool   // there were entries behind it then
}

// marks are those that wait to be synced. They are synced together, by file system: with thousands of files one call
// for all of them costs a fraction of an fsync for each.
type marks struct {
	disks faultfs.Disks

	mu      sync.Mutex
	waiting []*mark
	under   []*syncing // not ended
}

// syncing is the marks of a file system that are being synced.
type syncing struct {
	device uint64
	marks  []*mark
	done   chan struct{}
}

// add has m synced with the next checkpoint.
func (k *marks) add(m *mark) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting = append(k.waiting, m)
}

// begin begins to sync what waits, except on file systems on which that is under way.
func (k *marks) begin() []*syncing {
	k.mu.Lock()
	defer k.mu.Unlock()
	busy := make(map[uint64]*syncing)
	for _, s := range k.under {
		busy[s.device] = nil
	}
	later := k.waiting[:0]
	for _, m := range k.waiting {
		dev := faultfs.Device(m.files[0])
		s, known := busy[dev]
		switch {
		case known && s == nil:
			later = append(later, m)
			continue
		case !known:
			s = &syncing{device: dev, done: make(chan struct{})}
			busy[dev] = s
			k.under = append(k.under, s)
			defer func() { go k.sync(s) }()
		}
		s.marks = append(s.marks, m)
	}
	clear(k.waiting[len(later):])
	k.waiting = later
	return append([]*syncing(nil), k.under...)
}

// sync syncs the files of marks, and tells their outlets.
func (k *marks) sync(s *syncing) {
	var files []faultfs.Syncer
	for _, m := range s.marks {
		files = append(files, m.files...)
	}
	errs := k.disks.Sync(files)
	killpoint.Reach("outlet.synced")
	for _, m := range s.marks {
		var err error
		for i := range m.files {
			if errs[i] != nil && err == nil {
				err = errs[i]
			}
		}
		errs = errs[len(m.files):]
		m.end(err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, other := range k.under {
		if other == s {
			k.under = append(k.under[:i:i], k.under[i+1:]...)
		}
	}
	close(s.done)
}

// syncMarks syncs what waits for it. One whose disk hangs is waited for no longer than limit, 0 = for ever; a
// checkpoint comes when it has ended. all says that none was left.
func (r *run) syncMarks(limit time.Duration) (all bool) {
	var expired <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		expired = timer.C
	}
	for {
		under := r.unsynced.begin()
		if len(under) == 0 {
			return true
		}
		for _, s := range under {
			select {
			case <-s.done:
			case <-expired:
				go func() {
					<-s.done
					r.j.saver.hurry()
				}()
				return false
			}
		}
	}
}

// offer makes m the outlet's post as soon as its files are synced.
func (t *Outlet) offer(m *mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m.taken, m.left = t.taken, m.left || !t.fed || t.pending != nil
	if len(m.files) == 0 {
		t.put(m)
		return
	}
	t.marked, t.publish = m, false // the store knows only its last marks
	t.run.unsynced.add(m)
}

// end makes m the outlet's post, or has the store opened again when a sync has failed. Meanwhile the outlet may have
// gone back, and knows nothing of m.
func (m *mark) end(err error) {
	t := m.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.marked != m {
		return
	}
	t.marked = nil
	if err == nil {
		t.put(m)
	} else {
		t.broken = &store.StatusError{Text: "File write error", Err: fmt.Errorf("sync what was written: %w", err)}
	}
	if err != nil || t.run.drains() {
		t.task.wake()
	}
}

// put makes m the outlet's post. The caller holds mu.
func (t *Outlet) put(m *mark) {
	p := m.post
	t.post, t.publish = p, false // the store knows only its last marks
	if len(m.added.added) > 0 {
		t.added = append(t.added, m.added)
	}
	switch {
	case !m.left && t.taken == m.taken && t.fed && t.pending == nil: // nothing was taken since
		t.undone = noOffset
	case t.undone != noOffset:
		t.undone = max(t.undone, p.through)
	default:
		t.undone = p.through
	}
}

// unsynced says whether a mark waits to be synced.
func (t *Outlet) unsynced() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.marked != nil
}

// failure is why the store has to be opened again, nil as a rule.
func (t *Outlet) failure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.broken
}
