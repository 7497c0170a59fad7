package forwarder

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"inkwell/internal/rpc"
	"inkwell/store"
)

// shipper takes parcels to a store, one after the other, while its owner fills the next one:
//
//	owner ── full ──► shipper ── Append ──► store
//	  ▲                  │
//	  └───── free ◄──────┘ acked
//
// There are two parcels. full is not buffered: a send that does not block found the shipper waiting.
type shipper struct {
	store store.Store
	acked func(*parcel) // what to do when the store has a parcel
	idle  func()        // about once a second
	log   *slog.Logger
	full  chan *parcel
	free  chan *parcel
	pause rpc.Backoff

	mu     sync.Mutex
	since  time.Time          // when the call under way began; zero = there is none
	cancel context.CancelFunc // ends it
	failed time.Time          // since when Append has failed; zero = it does not
}

func newShipper(st store.Store, log *slog.Logger) *shipper {
	s := &shipper{
		store: st,
		log:   log,
		acked: func(*parcel) {},
		idle:  func() {},
		full:  make(chan *parcel),
		free:  make(chan *parcel, 2),
		pause: rpc.Backoff{Min: 50 * time.Millisecond, Max: 5 * time.Second},
	}
	s.free <- new(parcel)
	s.free <- new(parcel)
	return s
}

// run ships until full is closed. When ctx ends the call under way is broken off, and a store that refuses is not asked again: then
// what could not be shipped is what the error is about.
func (s *shipper) run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case p, ok := <-s.full:
			if !ok {
				return nil
			}
			if err := s.deliver(ctx, p); err != nil {
				return err
			}
			s.acked(p)
			s.free <- p
		case <-tick.C:
			s.idle()
		}
	}
}

func (s *shipper) deliver(ctx context.Context, p *parcel) error {
	if p.batch.Count() == 0 {
		return nil
	}
	for {
		err := s.call(ctx, p)
		s.changed(err)
		if err == nil {
			s.pause.Reset()
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(s.pause.Next()):
		}
	}
}

func (s *shipper) call(ctx context.Context, p *parcel) error {
	call, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.since, s.cancel = time.Now(), cancel
	s.mu.Unlock()
	err := s.store.Append(call, &p.batch)
	s.mu.Lock()
	s.since, s.cancel = time.Time{}, nil
	s.mu.Unlock()
	return err
}

// changed logs when Append begins to fail and when it works again.
func (s *shipper) changed(err error) {
	s.mu.Lock()
	failed := s.failed
	switch {
	case err == nil:
		s.failed = time.Time{}
	case failed.IsZero():
		s.failed = time.Now()
	}
	s.mu.Unlock()
	switch {
	case err != nil && failed.IsZero():
		s.log.Warn("cannot hand lines on; waiting, nothing is lost", "err", err)
	case err == nil && !failed.IsZero():
		s.log.Info("lines are handed on again", "after", time.Since(failed).Round(time.Millisecond))
	}
}

// hurry breaks off the call under way if it has lasted for limit, and says how long it may still last, or that Append has been failing.
func (s *shipper) hurry(limit time.Duration) (left time.Duration, failing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left = limit
	if !s.since.IsZero() {
		left = limit - time.Since(s.since)
	}
	if left <= 0 && s.cancel != nil {
		s.cancel()
	}
	return left, !s.failed.IsZero()
}
