package harness

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// Feed writes lines of a source to a pipe, ten at a time, as long as going says so, and closes it. going waits for that
// long before it answers. written is how many lines were written so far.
func Feed(w *os.File, source string, written *atomic.Int64, going func(time.Duration) bool) (err error) {
	defer func() { err = errors.Join(err, w.Close()) }()
	for next := 0; going(50 * time.Millisecond); {
		if _, err := w.Write(Lines(source, next, next+10)); err != nil {
			return fmt.Errorf("the pipe does not take lines: %w", err)
		}
		next += 10
		written.Store(int64(next))
	}
	return nil
}
