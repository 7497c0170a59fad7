package forwarder

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// ErrAway says that a run with Once ended because the next hop accepted nothing for Options.Wait. What was not
// delivered is in the spool and in the files; the next run goes on there.
var ErrAway = errors.New("the next hop stays away")

// patience ends a run with Once when the next hop accepts nothing for too long.
type patience struct {
	wait    time.Duration
	sent    *atomic.Int64 // entries that the next hop has accepted
	waiting func() bool   // something is waiting to be sent
	over    bool          // it has ended the run
}

// watch calls end when nothing was sent for p.wait while something was waiting all the time. It returns when ctx ends.
func (p *patience) watch(ctx context.Context, end func()) {
	tick := time.NewTicker(max(p.wait/100, time.Millisecond))
	defer tick.Stop()
	sent, since := p.sent.Load(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if n := p.sent.Load(); n != sent || !p.waiting() {
				sent, since = n, now
			} else if now.Sub(since) >= p.wait {
				p.over = true
				end()
				return
			}
		}
	}
}

// judge wraps the error of a run with Once in ErrAway if watch has ended that run.
func (p *patience) judge(err error) error {
	if !p.over {
		return err
	}
	return fmt.Errorf("%w: it took nothing for %v: %w", ErrAway, p.wait, err)
}

// hasWork says whether something is waiting to be sent to the next hop.
func (f *Forwarder) hasWork() bool {
	_, entries := f.hop.backlog()
	lasted, failing := f.ship.lasted()
	return entries > 0 || lasted > 0 || failing
}
