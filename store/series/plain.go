package series

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/rotate"
	"inkwell/store"
)

// state is the state of a Plain in a checkpoint.
type state struct {
	File   string `json:"file"`             // final name of the open file
	Bytes  int64  `json:"bytes"`            // its length; after a crash what is behind is cut off
	Events int64  `json:"events,omitempty"` // messages that were written to it
	Count  int64  `json:"count,omitempty"`  // bytes of messages, of a thriftfile
	Opened int64  `json:"opened,omitempty"` // when it was opened, in Unix seconds: decides when the clock ends it
	// final names of files that were begun since the last state, the open one included
	Begun []string `json:"begun,omitempty"`
	Stats []string `json:"stats,omitempty"` // lines of scribe_stats that may not have been written yet
	Tail  uint32   `json:"tail,omitempty"`  // CRC-32C of the last bytes before Bytes; 0 = not known
}

// Plain is one series of plain files. It is a store.Keeper, Sealer, Checker and Urgent. Not safe for concurrent use.
type Plain struct {
	o    PlainOptions
	log  *slog.Logger
	dir  *faultfs.Dir
	file *faultfs.File
	path string // of the series, by which it is identified

	name    string    // final name of the open file
	size    int64     // bytes of the open file
	payload int64     // bytes of the messages in it, which is what a thriftfile store counts
	events  int64     // messages that were written to it
	begun   time.Time // when it was opened
	synced  bool      // everything that was written is durable
	named   bool      // a name was created in the directory, which has not been synced since
	tail    uint32    // rotate.TailSum of the open file when it was synced last
	closed  []ended   // files of the series that were rotated away and are not synced
	fresh   []string  // final names of files that still have their hidden names, the open one included
	lines   []string  // for scribe_stats
	covered state     // as of the last Mark
	quiet   bool      // nothing has changed since the last Mark
	gather  []byte

	recorder recorder // of the gathered bytes
	contents contents
	ending   bool // this run writes no more to the open file

	broken bool
	noLink bool // the link could not be created the last time
	empty  *atomic.Int64
	emptyC *atomic.Int64
}

// ended is a file that was rotated away.
type ended struct {
	file *faultfs.File
	name string // final
	size int64
}

// OpenPlain opens the series. saved has the states of the last checkpoint. If there is one of this series, the open
// file is cut back to it, and the caller appends again what came after it. That continues even a file which the
// original would not continue (RotateOnReopen, Thrift), so that the crash leaves no trace. Without a state the series
// is continued as by the original: with the newest file of today, or with a new one.
//
// A file that OpenPlain creates has its final name at once. Therefore a Mark must be saved before anything is appended.
func OpenPlain(o PlainOptions, saved store.States) (_ *Plain, err error) {
	if o.Now == nil {
		o.Now = func() time.Time { return killpoint.Clock(time.Now()) }
	}
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.Stats = cmp.Or(o.Stats, stats.New())
	o.Symlink = cmp.Or(o.Symlink, o.Base)
	if o.Thrift && o.Chunk == 0 {
		o.Chunk = thriftChunk
	}
	f := &Plain{o: o, log: o.Logger, path: filepath.Join(o.Dir, o.Sub, o.Base), recorder: recorder{own: o.Own},
		empty: o.Stats.Overall("dropped empty"), emptyC: o.Stats.Category(o.Base, "dropped empty")}
	defer func() {
		if err != nil {
			err = errors.Join(&store.StatusError{Text: "File open error", Err: err}, f.Close())
		}
	}()
	if f.dir, err = o.openDir(); err != nil {
		return nil, fmt.Errorf("open directory of %s: %w", f.path, err)
	}
	st, known, err := f.recover(saved)
	if err != nil {
		return nil, err
	}
	f.contents.dir = filepath.Join(o.Dir, o.Sub)
	return f, f.openFile(st, known)
}

// openFile opens the file of a state. If the state is known, the file is cut to the length in it.
func (f *Plain) openFile(st state, known bool) error {
	path := filepath.Join(f.dir.Path(), st.File)
	file, err := f.dir.OpenFile(st.File, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	f.file, f.name, f.begun = file, st.File, f.o.Now()
	if known && st.Opened > 0 {
		f.begun = time.Unix(st.Opened, 0).In(f.begun.Location())
	}
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	f.size, f.payload, f.events = info.Size(), st.Count, st.Events
	if known && f.size > st.Bytes {
		if err := file.Truncate(st.Bytes); err != nil {
			return fmt.Errorf("cut %s back to its mark: %w", path, err)
		}
		killpoint.Reach("plain.recover.cut")
		f.size = st.Bytes
	}
	if known {
		f.contents.open, f.contents.end = f.name, f.size
	}
	f.link(f.name)
	f.named = true
	return nil
}

// syncDir makes the names in the directory durable, or leaves that to later if it is not nil.
func (f *Plain) syncDir(later *faultfs.Later) error {
	if err := later.Sync(f.dir); err != nil {
		return fmt.Errorf("sync directory %s: %w", f.dir.Path(), err)
	}
	f.named = false
	return nil
}

// link points the link to a file. If that fails it is only logged, because the data must not depend on it.
func (f *Plain) link(name string) {
	if f.o.NoSymlink {
		return
	}
	err := f.dir.Symlink(name, f.o.Symlink+"_current")
	if err != nil && !f.noLink {
		f.log.Warn("the link to the newest file cannot be made",
			"link", filepath.Join(f.dir.Path(), f.o.Symlink+"_current"),
			"file", name, "error", err)
	}
	f.noLink = err != nil
}

// Append appends b to the open file. After an error, which is store.ErrBroken, the series has to be opened again with
// the states that were saved last, because any part of b may have been written.
func (f *Plain) Append(_ context.Context, b *proto.Batch) error {
	switch {
	case f.dir == nil:
		return store.ErrClosed
	case f.broken:
		return f.fail("File write error", errBroken)
	}
	if err := f.standing(); err != nil {
		return f.fail("File write error", err)
	}
	f.gather, f.quiet = f.gather[:0], false
	if f.full() { // it was full when it was opened: as in the original, it ends before the first message
		if err := f.rotate(); err != nil {
			return f.fail("File open error", err)
		}
	}
	f.recorder.hour = f.o.Now().Unix() / 3600
	events := int64(0)
	for c := b.Cursor(); c.Next(); {
		events++
		if f.o.Thrift && !f.o.Simple && len(c.Message()) == 0 {
			f.empty.Add(1)
			f.emptyC.Add(1)
			f.recorder.note(&c, 0)
			continue
		}
		at := len(f.gather)
		f.gather = f.format(f.gather, c.Category(), c.Message())
		f.recorder.note(&c, len(f.gather)-at)
		f.payload += int64(len(c.Message()))
		single := f.o.Single && f.full()
		if single || int64(len(f.gather)) > f.writeLimit() {
			if err := f.flush(events, single || !f.o.Thrift); err != nil {
				return f.fail("File write error", err)
			}
			events = 0
		}
	}
	if err := f.flush(events, true); err != nil {
		return f.fail("File write error", err)
	}
	return nil
}

// writeLimit is the number of gathered bytes above which they are written.
func (f *Plain) writeLimit() int64 {
	if f.o.MaxSize > 0 && !f.o.Thrift {
		return min(f.o.MaxSize, f.o.MaxWrite)
	}
	return f.o.MaxWrite
}

// counted returns the bytes of the open file and of what was gathered, as the original counts them: in a thriftfile
// only those of messages.
func (f *Plain) counted() int64 {
	if f.o.Thrift {
		return f.payload
	}
	return f.size + int64(len(f.gather))
}

// full reports whether the open file is larger than MaxSize.
func (f *Plain) full() bool { return f.o.MaxSize > 0 && f.counted() > f.o.MaxSize }

// flush writes the gathered bytes, and then rotates if the file is full and rotates is true.
func (f *Plain) flush(events int64, rotates bool) error {
	if len(f.gather) > 0 {
		f.synced = false
		if _, err := f.file.Write(f.gather); err != nil {
			return fmt.Errorf("write %s: %w", filepath.Join(f.dir.Path(), f.name), err)
		}
		killpoint.Reach("plain.written")
	}
	f.contents.wrote(f.name, f.size, f.recorder.spans.List(), f.o.Now().Unix())
	f.recorder.spans.Reset()
	f.size += int64(len(f.gather))
	f.gather = f.gather[:0]
	f.events += events
	if rotates && f.full() {
		return f.rotate()
	}
	return nil
}

var errBroken = errors.New("an earlier write or fsync failed")

// fail makes f unusable, because of err.
func (f *Plain) fail(text string, err error) error {
	f.broken = true
	return store.Broken(&store.StatusError{Text: text, Err: err})
}

// Dir returns the directory of the files.
func (f *Plain) Dir() *faultfs.Dir { return f.dir }

// Urgent reports whether the next Mark should come soon: a file that was begun waits for its name, or much was added.
func (f *Plain) Urgent() bool { return len(f.fresh) > 0 || f.contents.many() }

// Seal records that this run writes no more to the open file. The next run may continue it.
func (f *Plain) Seal() error {
	f.ending, f.quiet = true, false
	return nil
}

// Mark makes everything durable and adds to m the state of the series and what was added to its files.
func (f *Plain) Mark(m *store.Marks) error {
	if f.broken {
		return f.fail("File write error", errBroken)
	}
	if err := f.sync(m.Later); err != nil {
		return f.fail("File write error", err)
	}
	if err := f.standing(); err != nil {
		return f.fail("File write error", err)
	}
	f.covered = state{File: f.name, Bytes: f.size, Events: f.events, Opened: f.begun.Unix(),
		Begun: slices.Clone(f.fresh),
		Stats: slices.Clone(f.lines), Tail: f.tail}
	if f.o.Thrift {
		f.covered.Count = f.payload
	}
	data, err := json.Marshal(f.covered)
	if err != nil {
		return fmt.Errorf("mark %s: %w", f.path, err)
	}
	m.Files[f.path] = data
	open := f.name
	if f.ending {
		open = ""
	}
	f.contents.mark(m, open, f.size)
	f.quiet = true
	return nil
}

// Quiet reports whether nothing was written, rotated or published since the last Mark.
func (f *Plain) Quiet() bool { return f.quiet }

// sync makes everything durable, or leaves that to later if it is not nil.
func (f *Plain) sync(later *faultfs.Later) error {
	for len(f.closed) > 0 {
		old := f.closed[0]
		f.closed = f.closed[1:]
		err := f.checkPath(old)
		if err := errors.Join(err, old.file.Sync(), old.file.Close()); err != nil {
			return fmt.Errorf("sync %s: %w", filepath.Join(f.dir.Path(), old.name), err)
		}
		killpoint.Reach("plain.rotated.synced")
	}
	if !f.synced {
		err := later.Sync(f.file)
		if err == nil {
			f.tail, err = rotate.TailSum(f.file, f.size)
		}
		if err != nil {
			return fmt.Errorf("sync %s: %w", filepath.Join(f.dir.Path(), f.name), err)
		}
		f.synced = true
	}
	if f.named || len(f.fresh) > 0 {
		return f.syncDir(later)
	}
	return nil
}

// Publish gives the files that were begun before the last Mark their final names.
func (f *Plain) Publish(later *faultfs.Later) error {
	if len(f.covered.Begun) == 0 && len(f.covered.Stats) == 0 || f.broken {
		return nil
	}
	if err := f.show(f.covered, later); err != nil {
		return f.fail("File open error", err)
	}
	if err := f.writeStats(f.covered.Stats, nil); err != nil {
		return f.fail("File write error", err)
	}
	f.fresh = f.fresh[min(len(f.covered.Begun), len(f.fresh)):]
	f.lines = f.lines[len(f.covered.Stats):]
	f.covered, f.quiet = state{}, false
	return nil
}

// Close closes the files. It makes nothing durable: the series is continued from the state that was saved last.
func (f *Plain) Close() error {
	var errs []error
	for _, old := range f.closed {
		errs = append(errs, old.file.Close())
	}
	if f.file != nil {
		errs = append(errs, f.file.Close())
	}
	if f.dir != nil {
		errs = append(errs, f.dir.Close())
	}
	f.file, f.closed, f.dir = nil, nil, nil
	return errors.Join(errs...)
}
