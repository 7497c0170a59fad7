package journal

import (
	"sync"
	"time"
)

// maxAges bounds the memory of ages. With one note a second, the last hour is exact, and older notes become sparser.
const maxAges = 4096

// ages records how far the journal had grown at which time, so that the age of an entry can be derived from its offset.
// Safe for concurrent use.
type ages struct {
	mu   sync.Mutex
	list []reached // sorted by time, and so by end
}

// reached says that at a certain time the journal held everything below end.
type reached struct {
	at  time.Time
	end uint64
}

// note records the end of the journal, and forgets what is below acked. When the list is full, every second note of its
// older half is dropped: entries there then look younger than they are, by at most the distance between the remaining
// notes.
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

// age returns the age of the entry at an offset; 0 if it was appended after the last note.
func (a *ages) age(offset uint64, now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.list {
		if r.end > offset {
			return max(now.Sub(r.at), 0)
		}
	}
	return 0
}

// Note records how far the journal has grown at a time. A caller that wants to know ages calls it about once a second.
func (j *Journal) Note(now time.Time) {
	acked, end := j.spool.Bounds()
	j.ages.note(now, acked, end)
}

// Oldest returns the age of the oldest entry beyond the last checkpoint, as far as Note has seen; 0 = there is none.
func (j *Journal) Oldest(now time.Time) time.Duration {
	if bytes, _ := j.spool.Backlog(); bytes == 0 {
		return 0
	}
	acked, _ := j.spool.Bounds()
	return j.ages.age(acked, now)
}

// Limit returns how many undelivered bytes the journal may hold.
func (j *Journal) Limit() int64 { return j.o.MaxBytes }

// Waits describes what waits for the stores of one name.
type Waits struct {
	Bytes  int64         // of messages that have not been offered to a store
	Oldest time.Duration // age of the oldest entry that some store does not have durably; 0 = there is none
	Status string        // the problem of a store, "" if there is none
}

// Waiting returns what waits for the outlets, by their names.
func (j *Journal) Waiting(now time.Time) map[string]Waits {
	r := j.current()
	if r == nil {
		return nil
	}
	all := make(map[string]Waits)
	for _, t := range r.all() {
		w := all[t.o.Name]
		w.Bytes += t.Waiting()
		if _, undone := t.lastReport(); undone != noOffset {
			w.Oldest = max(w.Oldest, j.ages.age(undone, now))
		}
		if w.Status == "" {
			w.Status = t.Status()
		}
		all[t.o.Name] = w
	}
	return all
}
