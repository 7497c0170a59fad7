package forwarder

import (
	"context"
	"log/slog"
	"time"

	"inkwell/store"
)

// shipper takes shipments to a store, one after the other, while its owner fills the next one:
//
//	owner ── full ──► shipper ── Append ──► store
//	  ▲                  │
//	  └───── free ◄──────┘ acked
//
// There is a shipment for each owner, and one more. full is not buffered: a send that does not block found the shipper
// waiting.
type shipper struct {
	deliverer
	first func(*shipment) // what to do before a shipment is offered
	acked func(*shipment) // what to do when the store has a shipment
	idle  func()          // about once a second
	full  chan *shipment
	free  chan *shipment
}

func newShipper(st store.Store, log *slog.Logger) *shipper {
	s := &shipper{
		deliverer: newDeliverer(st, log),
		first:     func(*shipment) {},
		acked:     func(*shipment) {},
		idle:      func() {},
		full:      make(chan *shipment),
		free:      make(chan *shipment, 2+volumesMax),
	}
	s.free <- new(shipment)
	s.free <- new(shipment)
	return s
}

// run ships until full is closed. When ctx ends the call under way is broken off, and a store that refuses is not asked
// again: then what could not be shipped is what the error is about.
func (s *shipper) run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case p, ok := <-s.full:
			if !ok {
				return nil
			}
			s.first(p)
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
