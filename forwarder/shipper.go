package forwarder

import (
	"context"
	"log/slog"
	"time"

	"inkwell/store"
)

// shipper delivers shipments to a store, one after the other, while their owners fill the next ones:
//
//	owner ── full ──► shipper ── Append ──► store
//	  ▲                  │
//	  └───── free ◄──────┘ acked
//
// There is one shipment for each owner, and one more. full is unbuffered: a send that does not block has found the
// shipper idle.
type shipper struct {
	deliverer
	first func(*shipment) // called before a shipment is offered
	acked func(*shipment) // called when the store has acknowledged it
	idle  func()          // called about once a second
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

// run delivers shipments until full is closed. When ctx ends, the call in progress is cancelled and a store that fails
// is not tried again: then the error says why the last shipment was not delivered.
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
			if err := s.deliver(ctx, &p.batch); err != nil {
				return err
			}
			s.acked(p)
			s.free <- p
		case <-tick.C:
			s.idle()
		}
	}
}
