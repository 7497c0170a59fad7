package web

import (
	"context"
	"os"
	"sync"
	"time"

	"inkwell/internal/status"
)

const (
	fresh    = time.Second     // how long a status may be reused
	makeWait = 5 * time.Second // how long one is waited for
)

// latest makes statuses, one at a time, and keeps the newest. Safe for concurrent use.
type latest struct {
	build func(ctx context.Context) *status.Status

	mu     sync.Mutex
	doc    *status.Status
	at     time.Time     // when doc was made
	making chan struct{} // closed when the status being made is ready; nil = none is being made
}

// get returns a status that is not older than fresh. It waits for makeWait at most. If making a status hangs, only one
// goroutine hangs with it, however many ask.
func (l *latest) get(ctx context.Context) (*status.Status, error) {
	l.mu.Lock()
	if l.doc != nil && time.Since(l.at) < fresh {
		defer l.mu.Unlock()
		return l.doc, nil
	}
	if l.making == nil {
		l.making = make(chan struct{})
		go l.renew(l.making)
	}
	making := l.making
	l.mu.Unlock()
	timer := time.NewTimer(makeWait)
	defer timer.Stop()
	select {
	case <-making:
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.doc, nil
	case <-timer.C:
		return nil, errLate
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// renew makes a status.
func (l *latest) renew(done chan struct{}) {
	doc := l.build(context.Background()) // for all who wait, not for the first who asked
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doc, l.at, l.making = doc, time.Now(), nil
	close(done)
}

// hostname returns the name of this machine, "" if it is not known.
var hostname = sync.OnceValue(func() string {
	name, _ := os.Hostname() // "" is a host that does not know its name
	return name
})
