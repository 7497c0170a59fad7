package collector

import (
	"sync"
	"time"
)

// limiter admits a number of messages per second of the clock, by the original's rule: a call with more than half of
// that number is admitted without being counted, because it might never be admitted otherwise. Safe for concurrent use.
type limiter struct {
	mu     sync.Mutex
	max    int64 // 0: no limit
	second int64
	count  int64
}

func (l *limiter) set(perSecond int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.max = perSecond
}

// admit says whether a call with n messages is admitted now.
func (l *limiter) admit(n int, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.max == 0 {
		return true
	}
	if s := now.Unix(); s != l.second {
		l.second, l.count = s, 0
	}
	if int64(n) > l.max/2 {
		return true
	}
	if l.count+int64(n) > l.max {
		return false
	}
	l.count += int64(n)
	return true
}
