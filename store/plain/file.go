package plain

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
	"syscall"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
)

// state is how a File stands, for a checkpoint.
type state struct {
	File  string   `json:"file"`            // final name of the open file
	Bytes int64    `json:"bytes"`           // of it that count
	Begun []string `json:"begun,omitempty"` // final names of files that were begun since the last state, the open one included
	Stats []string `json:"stats,omitempty"` // lines for scribe_stats that may not be there yet
}

// File is one series of category files. It implements store.Keeper, store.Checker and store.Reporter.
type File struct {
	o    Options
	log  *slog.Logger
	dir  *faultfs.Dir
	file *faultfs.File
	path string // of the series: its identity

	name    string          // final name of the open file
	hidden  bool            // the open file has its hidden name
	size    int64           // bytes of the open file
	events  int64           // messages that were written to it
	begun   time.Time       // when it was opened
	synced  bool            // all that was written is
	closed  []*faultfs.File // files of the series that were rotated away and are not synced
	fresh   []string        // final names of files under their hidden names, the open one included
	lines   []string        // for scribe_stats
	covered state           // of the last Mark
	gather  []byte

	broken atomic.Bool
	empty  *atomic.Int64
	emptyC *atomic.Int64
}

// Open opens the series. saved are the marks of the last checkpoint; with one for this series the open file is cut back to it, and what
// came behind it has to be appended again. Without one the series is continued as the original does: at its newest file of today, or
// with a new one.
//
// What Open creates has its final name at once, so a mark of the File must be saved before anything is appended.
func Open(o Options, saved store.Marks) (_ *File, err error) {
	if o.Now == nil {
		o.Now = time.Now
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
	f := &File{o: o, log: o.Logger, path: filepath.Join(o.Dir, o.Sub, o.Base), empty: o.Stats.Overall("dropped empty"), emptyC: o.Stats.Category(o.Base, "dropped empty")}
	defer func() {
		if err != nil {
			err = errors.Join(&store.StatusError{Text: "File open error", Err: err}, f.Close())
		}
	}()
	if f.dir, err = faultfs.OpenDir(filepath.Join(o.Dir, o.Sub), o.Injector); err != nil {
		return nil, fmt.Errorf("open directory of %s: %w", f.path, err)
	}
	st, known, err := f.recover(saved)
	if err != nil {
		return nil, err
	}
	if !known {
		st, err = f.choose()
	}
	if err != nil {
		return nil, err
	}
	return f, f.openFile(st, known)
}

// choose says which file to continue, or to begin, when nothing is known.
func (f *File) choose() (state, error) {
	now := f.o.Now()
	stem := f.o.stem(now)
	n, exact, err := newest(f.dir, stem)
	switch {
	case err != nil:
		return state{}, err
	case n < 0:
		n = f.o.first(now)
	case !exact || f.o.RotateOnReopen || f.o.Thrift:
		n++
	}
	return state{File: fileName(stem, n)}, nil
}

// openFile opens the file of a state and cuts it to where the state says it ends, if that is known.
func (f *File) openFile(st state, known bool) error {
	flag := os.O_WRONLY | os.O_CREATE
	file, err := f.dir.OpenFile(st.File, flag, 0o640)
	if err != nil {
		return fmt.Errorf("open %s: %w", filepath.Join(f.dir.Path(), st.File), err)
	}
	f.file, f.name, f.begun = file, st.File, f.o.Now()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("open %s: %w", filepath.Join(f.dir.Path(), st.File), err)
	}
	f.size = info.Size()
	switch {
	case known && f.size > st.Bytes:
		if err := file.Truncate(st.Bytes); err != nil {
			return fmt.Errorf("cut %s back to its mark: %w", filepath.Join(f.dir.Path(), st.File), err)
		}
		f.size = st.Bytes
	case known && f.size < st.Bytes:
		f.o.Stats.Overall("bytes lost").Add(st.Bytes - f.size)
		f.log.Error("a file is shorter than it was: somebody cut or removed it", "file", filepath.Join(f.dir.Path(), st.File), "bytes", f.size, "expected", st.Bytes)
	}
	if _, err := file.Seek(f.size, 0); err != nil {
		return fmt.Errorf("open %s: %w", filepath.Join(f.dir.Path(), st.File), err)
	}
	return errors.Join(f.link(), f.syncDir())
}

// syncDir makes the names in the directory durable.
func (f *File) syncDir() error {
	if err := f.dir.Sync(); err != nil {
		return fmt.Errorf("sync directory %s: %w", f.dir.Path(), err)
	}
	return nil
}

// link makes the link to the open file.
func (f *File) link() error {
	if f.o.NoSymlink {
		return nil
	}
	if err := f.dir.Symlink(f.name, f.o.Symlink+"_current"); err != nil {
		return fmt.Errorf("link %s_current in %s: %w", f.o.Symlink, f.dir.Path(), err)
	}
	return nil
}

// Append writes b behind what is there. After an error, which is store.ErrBroken, nothing may be assumed of b: the File has to be opened
// again with the marks that were saved last.
func (f *File) Append(_ context.Context, b *proto.Batch) error {
	if f.broken.Load() {
		return f.fail("File write error", errors.New("it is broken"))
	}
	if err := f.standing(); err != nil {
		return f.fail("File open error", err)
	}
	f.gather = f.gather[:0]
	events := int64(0)
	for c := b.Cursor(); c.Next(); {
		if f.o.Thrift && len(c.Message()) == 0 {
			f.empty.Add(1)
			f.emptyC.Add(1)
			continue
		}
		f.gather = f.format(f.gather, c.Category(), c.Message())
		events++
		if int64(len(f.gather)) > f.writeLimit() {
			if err := f.flush(events); err != nil {
				return f.fail("File write error", err)
			}
			events = 0
		}
	}
	if err := f.flush(events); err != nil {
		return f.fail("File write error", err)
	}
	return nil
}

// writeLimit is how many bytes are gathered at most for a write.
func (f *File) writeLimit() int64 {
	if f.o.MaxSize > 0 {
		return min(f.o.MaxSize, f.o.MaxWrite)
	}
	return f.o.MaxWrite
}

// flush writes what was gathered and rotates when the file is full.
func (f *File) flush(events int64) error {
	if len(f.gather) > 0 {
		f.synced = false
		if _, err := f.file.Write(f.gather); err != nil {
			return fmt.Errorf("write %s: %w", filepath.Join(f.dir.Path(), f.name), err)
		}
		f.size += int64(len(f.gather))
		f.gather = f.gather[:0]
	}
	f.events += events
	if f.o.MaxSize > 0 && f.size > f.o.MaxSize {
		return f.rotate()
	}
	return nil
}

// fail makes err the end of this File.
func (f *File) fail(text string, err error) error {
	f.broken.Store(true)
	return errors.Join(&store.StatusError{Text: text, Err: err}, store.ErrBroken)
}

// Status is never anything: what is wrong is in the errors.
func (f *File) Status() string { return "" }

// Urgent says that a file which was begun waits for Publish, to have its name.
func (f *File) Urgent() bool { return len(f.fresh) > 0 }

// Check rotates when it is time to. It must be called from time to time.
func (f *File) Check(time.Time) error {
	if f.broken.Load() {
		return nil
	}
	now := f.o.Now()
	if !f.o.over(f.begun, now) && (f.o.MaxSize == 0 || f.size <= f.o.MaxSize) {
		return nil
	}
	if err := f.rotate(); err != nil {
		return f.fail("File open error", err)
	}
	return nil
}

// standing begins a new file if the open one was removed or moved away, so that nothing is written where nobody looks.
func (f *File) standing() error {
	name := f.name
	if f.hidden {
		name = hidden(name)
	}
	info, err := os.Lstat(filepath.Join(f.dir.Path(), name))
	if err == nil {
		own, err := f.file.Stat()
		if err == nil && os.SameFile(info, own) {
			return nil
		}
	} else if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("look for %s: %w", filepath.Join(f.dir.Path(), name), err)
	}
	f.log.Warn("the open file was removed or moved: a new one is begun", "file", filepath.Join(f.dir.Path(), name))
	dir, err := faultfs.OpenDir(filepath.Join(f.o.Dir, f.o.Sub), f.o.Injector)
	if err != nil {
		return fmt.Errorf("open directory of %s: %w", f.path, err)
	}
	old := f.dir
	f.dir = dir
	f.fresh, f.covered = nil, state{} // they went with it
	return errors.Join(old.Close(), f.begin())
}

// rotate ends the open file and begins the next.
func (f *File) rotate() error {
	next, err := f.next()
	if err != nil {
		return err
	}
	if f.o.WriteStats {
		f.lines = append(f.lines, fmt.Sprintf("%s wrote <%d> bytes in <%d> events to file <%s>", f.o.Now().Format("2006-01-02-15:04"), f.size, f.events,
			filepath.Join(f.dir.Path(), f.name)))
	}
	if f.o.WriteMeta {
		meta := "scribe_meta<new_logfile>: " + filepath.Join(f.dir.Path(), next)
		if f.o.AddNewlines {
			meta += "\n"
		}
		if _, err := f.file.Write([]byte(meta)); err != nil {
			return fmt.Errorf("write %s: %w", filepath.Join(f.dir.Path(), f.name), err)
		}
		f.size += int64(len(meta))
	}
	return f.begin()
}

// next is the name of the file to be begun now.
func (f *File) next() (string, error) {
	now := f.o.Now()
	stem := f.o.stem(now)
	n, _, err := newest(f.dir, stem)
	if err != nil {
		return "", err
	}
	if n++; n == 0 {
		n = f.o.first(now)
	}
	return fileName(stem, n), nil
}

// begin begins the next file under its hidden name; the one before is kept to be synced.
func (f *File) begin() error {
	name, err := f.next()
	if err != nil {
		return err
	}
	file, err := f.dir.OpenFile(hidden(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return fmt.Errorf("begin %s: %w", filepath.Join(f.dir.Path(), name), err)
	}
	f.closed = append(f.closed, f.file)
	f.file, f.name, f.hidden, f.size, f.events, f.begun, f.synced = file, name, true, 0, 0, f.o.Now(), false
	f.fresh = append(f.fresh, name)
	return nil
}

// Mark makes durable what was appended and enters how the series stands.
func (f *File) Mark(m store.Marks) error {
	if f.broken.Load() {
		return f.fail("File write error", errors.New("it is broken"))
	}
	for _, old := range f.closed {
		if err := errors.Join(old.Sync(), old.Close()); err != nil {
			return f.fail("File write error", fmt.Errorf("sync %s: %w", filepath.Join(f.dir.Path(), old.Name()), err))
		}
	}
	f.closed = nil
	if !f.synced {
		err := f.file.Sync()
		if err == nil && len(f.fresh) > 0 {
			err = f.dir.Sync()
		}
		if err != nil {
			return f.fail("File write error", fmt.Errorf("sync %s: %w", filepath.Join(f.dir.Path(), f.name), err))
		}
		f.synced = true
	}
	f.covered = state{File: f.name, Bytes: f.size, Begun: slices.Clone(f.fresh), Stats: slices.Clone(f.lines)}
	data, err := json.Marshal(f.covered)
	if err != nil {
		return fmt.Errorf("mark %s: %w", f.path, err)
	}
	m[f.path] = data
	return nil
}

// Publish gives the files that the last Mark named their names.
func (f *File) Publish() error {
	if len(f.covered.Begun) == 0 && len(f.covered.Stats) == 0 || f.broken.Load() {
		return nil
	}
	if err := f.show(f.covered); err != nil {
		return f.fail("File open error", err)
	}
	f.fresh = f.fresh[min(len(f.covered.Begun), len(f.fresh)):]
	f.lines = f.lines[len(f.covered.Stats):]
	f.hidden = len(f.fresh) > 0
	f.covered = state{}
	f.retain()
	return nil
}

// Close releases what is open. It says nothing about how the series stands.
func (f *File) Close() error {
	var errs []error
	for _, file := range append(f.closed, f.file) {
		if file != nil {
			errs = append(errs, file.Close())
		}
	}
	if f.dir != nil {
		errs = append(errs, f.dir.Close())
	}
	f.file, f.closed, f.dir = nil, nil, nil
	return errors.Join(errs...)
}
