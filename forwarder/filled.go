package forwarder

import (
	"sync"
	"time"
)

// filled knows since when there have been entries somewhere, as far as it was told. Safe for concurrent use.
type filled struct {
	mu    sync.Mutex
	since time.Time // zero: there are none
}

// look notes how many entries there are now, and returns since when there have been any; zero = there are none.
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
