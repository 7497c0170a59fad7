package rotate

import (
	"errors"
	"fmt"
	"slices"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
)

// sealed is a finished file that is not durable, or waits for its name.
type sealed struct {
	name    string // final
	id      faultfs.ID
	size    int64
	visible bool          // it has its name already
	file    *faultfs.File // nil: it is closed
	synced  bool          // it is durable, or will be before Publish
}

// sync makes the file durable and closes it, or leaves the first to later and the second to Publish.
func (f *sealed) sync(later *faultfs.Later) error {
	if f.file == nil {
		return nil
	}
	f.synced = true
	if err := later.Sync(f.file); err != nil || later != nil {
		return err
	}
	return f.close()
}

func (f *sealed) close() error {
	w := f.file
	if f.file = nil; w == nil {
		return nil
	}
	return w.Close()
}

// Seal finishes the open file. The next Sync makes it durable, and the Publish that follows gives it its name. Without
// an open file it does nothing. When there is no room for the end of the file it stays open and Seal may be tried
// again.
func (s *Series) Seal() error {
	if s.broken != nil || s.cur == nil {
		return s.broken
	}
	if err := s.look(s.cur); err != nil {
		return s.breakdown("seal", s.cur.File, err)
	}
	w := s.cur
	if err := w.finish(); err != nil {
		var table *tableError
		if !errors.As(err, &table) {
			return fmt.Errorf("seal %s: %w", s.path(w.File), err)
		}
		s.o.Logger.Error("a zstd file is sealed without its seek table: readers do not need it", "file", s.path(w.File),
			"error", err)
	}
	killpoint.Reach("rotate.seal.written")
	f := sealed{name: w.File, id: w.f.ID(), size: max(w.end, w.Bytes), visible: w.visible, file: w.f}
	if len(s.sealed) >= maxUnsynced {
		if err := f.sync(nil); err != nil {
			return s.breakdown("seal", w.File, err)
		}
	}
	s.cur = nil
	if s.sealed = append(s.sealed, f); f.file == nil {
		s.forgetVisible()
	}
	return nil
}

// maxUnsynced is how many finished files stay open until the next Sync.
const maxUnsynced = 8

// forgetVisible forgets finished files that are durable and have their names.
func (s *Series) forgetVisible() {
	s.sealed = slices.DeleteFunc(s.sealed, func(f sealed) bool { return f.visible && f.file == nil })
}
