package depot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// stalled is how long an upload may take without progress.
const stalled = 5 * time.Minute

// errStalled is the reason for giving up an upload.
var errStalled = errors.New("nothing was taken for five minutes")

// Upload puts an object into a depot, and gives up when there is no progress.
func Upload(ctx context.Context, d Depot, name string, data *io.SectionReader) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(stalled, func() { cancel(errStalled) })
	defer timer.Stop()
	err := d.Put(ctx, name, io.NewSectionReader(&watchedReader{data, timer}, 0, data.Size()))
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		err = fmt.Errorf("%w: %w", errStalled, err)
	}
	return err
}

// watchedReader resets a timer with each read.
type watchedReader struct {
	io.ReaderAt
	timer *time.Timer
}

// ReadAt implements io.ReaderAt.
func (w *watchedReader) ReadAt(p []byte, off int64) (int, error) {
	w.timer.Reset(stalled)
	return w.ReaderAt.ReadAt(p, off)
}
