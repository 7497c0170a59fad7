package forwarder

import (
	"sync"
	"time"
)

// filled knows since when a spool has not been empty. look is called before and after each append. Safe for concurrent
// use.
type filled struct {
	mu    sync.Mutex
	since time.Time // zero: it is empty
}

// look notes how many entries the spool holds now, and returns since when it has held any (zero = it is empty).
func (f *filled) look(entries int64) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case entries == 0:
		f.since = time.Time{}
	case f.since.IsZero():
		f.since = time.Now()
	}
	return f.since
}
