package series

import (
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

// state is how a Plain stands, for a checkpoint.
type state struct {
	File   string   `json:"file"`             // final name of the open file
	Bytes  int64    `json:"bytes"`            // of it that count
	Events int64    `json:"events,omitempty"` // messages that were written to it
	Count  int64    `json:"count,omitempty"`  // bytes of messages, of a thriftfile
	Opened int64    `json:"opened,omitempty"` // when it was, in Unix seconds: decides when the clock ends it
	Begun  []string `json:"begun,omitempty"`  // final names of files that were begun since the last state, the open one included
	Stats  []string `json:"stats,omitempty"`  // lines for scribe_stats that may not be there yet
	Tail   uint32   `json:"tail,omitempty"`   // CRC-32C of the last bytes that count, 0 = not known
}

// Plain is one series of plain files. It is a store.Keeper, Sealer, Checker and Urgent. Not safe for concurrent use.
type Plain struct {
	o    PlainOptions
	log  *slog.Logger
	dir  *faultfs.Dir
	file *faultfs.File
	path string // of the series: its identity

	name    string    // final name of the open file
	size    int64     // bytes of the open file
	payload int64     // of them: what thriftfile stores count
	events  int64     // messages that were written to it
	begun   time.Time // when it was opened
	synced  bool      // all that was written is
	named   bool      // a name was made in the directory and is not synced
	tail    uint32    // rotate.TailSum then
	closed  []ended   // files of the series that were rotated away and are not synced
	fresh   []string  // final names of files under their hidden names, the open one included
	lines   []string  // for scribe_stats
	covered state     // of the last Mark
	quiet   bool      // the last Mark would be repeated
	gather  []byte

	recorder recorder // of what was gathered
	contents contents
	ending   bool // this run writes no more to the open file

	broken bool
	noLink bool // the link could not be made the last time
	empty  *atomic.Int64
	emptyC *atomic.Int64
}

// ended is a file that was rotated away.
type ended struct {
	file *faultfs.File
	name string // final
	size int64
}

// OpenPlain opens the series. saved are the marks of the last checkpoint; with one for this series the open file is cut
// back to it, and what came behind it has to be appended again, also into a file that the original would not continue
// (RotateOnReopen, Thrift): the crash leaves no trace. Without one the series is continued as the original does: at its
// newest file of today, or with a new one.
//
// What Open creates has its final name at once, so a mark of the File must be saved before anything is appended.
func OpenPlain(o PlainOptions, saved store.States) (_ *Plain, err error) {
	if o.Now == nil {
		o.Now = func() time.Time { return killpoint.Clock(time.Now()) }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Stats == nil {
		o.Stats = stats.New()
	}
	if o.Symlink == "" {
		o.Symlink = o.Base
	}
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

// openFile opens the file of a state, and cuts it to where the state says it ends if that is known.
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

// syncDir makes the names in the directory durable, or leaves that to later.
func (f *Plain) syncDir(later *faultfs.Later) error {
	if err := later.Sync(f.dir); err != nil {
		return fmt.Errorf("sync directory %s: %w", f.dir.Path(), err)
	}
	f.named = false
	return nil
}

// link points the link to a file. Where none can be made, the data must not suffer, so that it is only logged.
func (f *Plain) link(name string) {
	if f.o.NoSymlink {
		return
	}
	err := f.dir.Symlink(name, f.o.Symlink+"_current")
	if err != nil && !f.noLink {
		f.log.Warn("the link to the newest file cannot be made", "link", filepath.Join(f.dir.Path(), f.o.Symlink+"_current"),
			"file", name, "error", err)
	}
	f.noLink = err != nil
}

// Append writes b behind what is there. After an error, which is store.ErrBroken, nothing may be assumed of b: the File
// has to be opened again with the marks that were saved last.
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
	if f.full() { // it was when it was opened: as in the original, it ends before the first message
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

// writeLimit is how many bytes are gathered at most for a write.
func (f *Plain) writeLimit() int64 {
	if f.o.MaxSize > 0 && !f.o.Thrift {
		return min(f.o.MaxSize, f.o.MaxWrite)
	}
	return f.o.MaxWrite
}

// counted is how many bytes the open file has, with what was gathered, as the original counts them: in a thriftfile
// those of messages.
func (f *Plain) counted() int64 {
	if f.o.Thrift {
		return f.payload
	}
	return f.size + int64(len(f.gather))
}

// full says whether the open file has more bytes than it should.
func (f *Plain) full() bool { return f.o.MaxSize > 0 && f.counted() > f.o.MaxSize }

// flush writes what was gathered, and rotates when the file is full, if it may.
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

// fail makes err the end of f.
func (f *Plain) fail(text string, err error) error {
	f.broken = true
	return store.Broken(&store.StatusError{Text: text, Err: err})
}

// Dir is where the files are.
func (f *Plain) Dir() *faultfs.Dir { return f.dir }

// Urgent says that a file which was begun waits for Mark and Publish, to have its name, or that there is much to be
// said.
func (f *Plain) Urgent() bool { return len(f.fresh) > 0 || f.contents.many() }

// Seal says that this run writes no more to the open file. The next one may go on with it.
func (f *Plain) Seal() error {
	f.ending, f.quiet = true, false
	return nil
}

// Mark makes durable what was appended and enters how the series stands, and what was added to it.
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
	f.covered = state{File: f.name, Bytes: f.size, Events: f.events, Opened: f.begun.Unix(), Begun: slices.Clone(f.fresh),
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

// Quiet says that nothing was written, rotated or published since the last Mark.
func (f *Plain) Quiet() bool { return f.quiet }

// sync makes everything durable, or leaves that to later.
func (f *Plain) sync(later *faultfs.Later) error {
	for len(f.closed) > 0 {
		old := f.closed[0]
		f.closed = f.closed[1:]
		err := f.look(old)
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

// Publish gives the files that the last Mark named their names.
func (f *Plain) Publish(later *faultfs.Later) error {
	if len(f.covered.Begun) == 0 && len(f.covered.Stats) == 0 || f.broken {
		return nil
	}
	if err := f.show(f.covered, later); err != nil {
		return f.fail("File open error", err)
	}
	if err := f.tell(f.covered.Stats, nil); err != nil {
		return f.fail("File write error", err)
	}
	f.fresh = f.fresh[min(len(f.covered.Begun), len(f.fresh)):]
	f.lines = f.lines[len(f.covered.Stats):]
	f.covered, f.quiet = state{}, false
	return nil
}

// Close releases what is open. It says nothing about how the series stands.
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
