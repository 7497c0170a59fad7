package forwarder

import (
	"context"
	"errors"
	"time"

	"inkwell/forwarder/feed"
	"inkwell/proto"
)

// feeds are the inputs of a forwarder that are not files. Each has a goroutine, and a deliverer to the shared next hop.
type feeds struct {
	list []feed.Feed
	f    *Forwarder
	done chan error // receives the result of each
}

// openFeeds opens all of list. After an error, what it returns has those that were opened, to be closed.
func openFeeds(list []feed.Feed, f *Forwarder) (*feeds, error) {
	fs := &feeds{f: f, done: make(chan error, len(list))}
	for _, in := range list {
		fs.list = append(fs.list, in)
		if err := in.Open(f.state); err != nil {
			return fs, err
		}
	}
	return fs, nil
}

// run starts the feeds; wait must be called afterwards. When a feed fails, that is logged and the others go on.
func (fs *feeds) run(ctx, hard context.Context) {
	for _, in := range fs.list {
		c := newDeliverer(fs.f.hop, fs.f.log)
		go func() {
			err := in.Run(ctx, hard, func(ctx context.Context, b *proto.Batch) error {
				fs.f.hop.origin.tell(b, in.Name())
				if err := c.deliver(ctx, b); err != nil {
					return err
				}
				fs.f.entries.Add(int64(b.Count()))
				return nil
			})
			if err != nil && ctx.Err() == nil {
				fs.f.log.Error("an input has ended", "err", err)
			}
			fs.done <- err
		}()
	}
}

// wait waits until all feeds have ended. Once ctx has ended they get stopGrace; then cancel ends the calls that are
// still in progress.
func (fs *feeds) wait(ctx context.Context, cancel func()) error {
	var errs []error
	grace := make(<-chan time.Time)
	told := ctx.Done()
	for n := 0; n < len(fs.list); {
		select {
		case err := <-fs.done:
			errs = append(errs, err)
			n++
		case <-told:
			told = nil
			grace = time.After(stopGrace)
		case <-grace:
			cancel()
		}
	}
	return errors.Join(errs...)
}

func (fs *feeds) close() error {
	var errs []error
	for _, in := range fs.list {
		errs = append(errs, in.Close())
	}
	return errors.Join(errs...)
}
