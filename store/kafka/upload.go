package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"inkwell/store/depot"
)

const (
	fileUploads = 4                // files of one epoch that are put into the depot at the same time
	allUploads  = 16               // objects of all partitions of a collector that are
	uploadAgain = time.Second / 2  // delay before a failed upload is tried again
	uploadMost  = 20 * uploadAgain // longest such delay
)

// uploader is a depot whose Put tries again until it succeeds, its context ends, or the name has other content. An epoch
// that is ready waits for its depot so: to begin it anew would mean to read and compress its entries once more.
type uploader struct {
	depot.Depot
	slots chan struct{}   // held during an attempt; its capacity is the number of attempts at the same time
	tell  func(err error) // called after an attempt that failed, and with nil when the object is there at last
}

// Put implements depot.Depot.
func (u *uploader) Put(ctx context.Context, name string, data *io.SectionReader) error {
	return u.do(ctx, name, func() error { return depot.Upload(ctx, u.Depot, name, data) })
}

// Move implements depot.Mover.
func (u *uploader) Move(ctx context.Context, from, to string) (err error) {
	failed := u.do(ctx, to, func() error {
		if err = move(ctx, u.Depot, from, to); errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported) {
			return nil // another attempt would find the same
		}
		return err
	})
	return cmp.Or(failed, err)
}

// move gives an object of a depot another name, if that depot can.
func move(ctx context.Context, d depot.Depot, from, to string) error {
	if m, ok := d.(depot.Mover); ok {
		return m.Move(ctx, from, to)
	}
	return errors.ErrUnsupported
}

// do makes attempts at something that gives an object its name, until one succeeds.
func (u *uploader) do(ctx context.Context, name string, attempt func() error) error {
	for wait, failed := uploadAgain, false; ; wait, failed = min(2*wait, uploadMost), true {
		err := u.inTurn(ctx, attempt)
		switch {
		case err == nil:
			if failed {
				u.tell(nil)
			}
			return nil
		case ctx.Err() != nil || errors.Is(err, depot.ErrTaken):
			return err
		}
		u.tell(fmt.Errorf("bring %s to the depot: %w (it is tried again)", name, err))
		if !pause(ctx, wait) {
			return err
		}
	}
}

// inTurn makes an attempt when there are not too many others.
func (u *uploader) inTurn(ctx context.Context, attempt func() error) error {
	select {
	case u.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-u.slots }()
	return attempt()
}

// Remove implements depot.Remover.
func (u *uploader) Remove(ctx context.Context, name string) error {
	if r, ok := u.Depot.(depot.Remover); ok {
		return r.Remove(ctx, name)
	}
	return nil
}
