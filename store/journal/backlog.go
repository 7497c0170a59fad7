package journal

import (
	"sync"
	"time"
)

// maxAges bounds the memory of ages: at one a second these are more than an hour exactly, and many days by and by less
// so.
const maxAges = 4096

// ages remembers when the journal had come how far, so that it can be told how old an entry is by its offset. Safe for
// concurrent use.
type ages struct {
	mu   sync.Mutex
	list []reached // in order of time and of end
}

// reached says that at a time the journal held everything below end.
type reached struct {
	at  time.Time
	end uint64
}

// note remembers how far the journal has come, and forgets what lies below acked. When there is too much, the older
// half keeps every second: an entry then looks younger than it is, by at most what its neighbours are apart.
func (a *ages) note(now time.Time, acked, end uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	first := 0
	for first < len(a.list) && a.list[first].end <= acked {
		first++
	}
	a.list = append(a.list[:0], a.list[first:]...)
	if n := len(a.list); end <= acked || n > 0 && a.list[n-1].end >= end {
		return
	}
	if len(a.list) >= maxAges {
		half := len(a.list) / 2
		kept := a.list[:0]
		for i, r := range a.list {
			if i >= half || i%2 == 0 {
				kept = append(kept, r)
			}
		}
		a.list = kept
	}
	a.list = append(a.list, reached{now, end})
}

// of is the age of the entry at an offset; 0 if it came after the last note.
func (a *ages) of(offset uint64, now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.list {
		if r.end > offset {
			return max(now.Sub(r.at), 0)
		}
	}
	return 0
}

// Note remembers how far the journal has come at a time. Whoever wants to know ages calls it about once a second.
func (j *Journal) Note(now time.Time) {
	acked, end := j.spool.Bounds()
	j.ages.note(now, acked, end)
}

// Oldest is how long the oldest entry has been in the journal that no checkpoint covers, as far as Note has seen; 0 =
// there is none.
func (j *Journal) Oldest(now time.Time) time.Duration {
	acked, end := j.spool.Bounds()
	if acked >= end {
		return 0
	}
	return j.ages.of(acked, now)
}

// Limit is how many bytes may wait in the journal.
func (j *Journal) Limit() int64 { return j.o.MaxBytes }

// Waits is what waits for the stores of one name.
type Waits struct {
	Bytes  int64         // of messages that no store was offered yet
	Oldest time.Duration // for how long the oldest entry has waited that some store does not have durably; 0 = there is none
	Status string        // what is wrong with a store, "" if nothing is
}

// Waiting tells what waits for the outlets, by their names.
func (j *Journal) Waiting(now time.Time) map[string]Waits {
	r := j.current()
	if r == nil {
		return nil
	}
	all := make(map[string]Waits)
	for _, t := range r.all() {
		w := all[t.o.Name]
		w.Bytes += t.Waiting()
		if _, undone := t.posted(); undone != noOffset {
			w.Oldest = max(w.Oldest, j.ages.of(undone, now))
		}
		if w.Status == "" {
			w.Status = t.Status()
		}
		all[t.o.Name] = w
	}
	return all
}
