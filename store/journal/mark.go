package journal

import (
	"fmt"
	"sync"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
	"inkwell/store"
)

// mark is the result of a Mark of an outlet's store. Its report becomes that of the outlet when the files are synced.
type mark struct {
	t      *Outlet
	report *report
	added  addition
	files  []faultfs.Syncer
	taken  uint64 // Outlet.taken at the time of the Mark
	left   bool   // there were entries behind the mark then
}

// marks are the marks that wait for their files to be synced. Files are synced together by file system: with thousands
// of files, one call for all of them costs a fraction of an fsync for each.
type marks struct {
	disks faultfs.Disks

	mu      sync.Mutex
	waiting []*mark
	under   []*syncing // being synced
}

// syncing is a group of marks on one file system whose files are being synced.
type syncing struct {
	device uint64
	marks  []*mark
	done   chan struct{}
}

// add has the files of m synced before the next checkpoint.
func (k *marks) add(m *mark) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting = append(k.waiting, m)
}

// begin starts syncing all waiting marks, except those on file systems where a sync is in progress. It returns all
// syncs in progress.
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

// sync syncs the files of s and tells the outlets the results.
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
		m.synced(err)
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

// syncMarks syncs all waiting marks. It waits for at most limit, 0 = without limit, for a disk that hangs; when such a
// sync ends later, it requests a checkpoint. all reports whether every mark was synced.
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

// offer makes the report of m that of the outlet as soon as the files are synced.
func (t *Outlet) offer(m *mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m.taken, m.left = t.taken, m.left || !t.fed || t.pending != nil
	if len(m.files) == 0 {
		t.accept(m)
		return
	}
	t.marked, t.publish = m, false // the store can publish only its last marks
	t.run.unsynced.add(m)
}

// synced makes the report of m that of the outlet, or, after an error, has the store reopened. If the outlet was
// rewound since the Mark, m is ignored.
func (m *mark) synced(err error) {
	t := m.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.marked != m {
		return
	}
	t.marked = nil
	if err == nil {
		t.accept(m)
	} else {
		t.broken = &store.StatusError{Text: "File write error", Err: fmt.Errorf("sync what was written: %w", err)}
	}
	if err != nil || t.run.drains() {
		t.task.wake()
	}
}

// accept makes the report of m that of the outlet. The caller holds mu.
func (t *Outlet) accept(m *mark) {
	p := m.report
	t.report, t.publish = p, false // the store can publish only its last marks
	if len(m.added.added) > 0 {
		t.added = append(t.added, m.added)
	}
	switch {
	case !m.left && t.taken == m.taken && t.fed && t.pending == nil: // nothing was taken since the Mark
		t.undone = noOffset
	case t.undone != noOffset:
		t.undone = max(t.undone, p.through)
	default:
		t.undone = p.through
	}
}

// unsynced reports whether a mark waits to be synced.
func (t *Outlet) unsynced() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.marked != nil
}

// failure returns why the store must be reopened, nil if it need not be.
func (t *Outlet) failure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.broken
}
