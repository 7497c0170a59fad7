package plain

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
)

// TakeoverOptions configure which buffer files of the original are delivered.
type TakeoverOptions struct {
	Root      string // an ancestor of Dir; symbolic links below it are not followed. "" = Dir
	Dir, Base string
	Category  string // of all messages; "" says that each message follows a record with its category
	Name      string // the category for which "bytes lost" is counted, besides overall
	Schedule  store.Schedule
	Logger    *slog.Logger
	Stats     *stats.Set
}

// takeoverBytes is how many bytes of a buffer file are delivered in one batch.
const takeoverBytes = 1 << 20

// Takeover stands in front of a store while there are buffer files of the original. It delivers them first, to the
// primary of the store, in the order of their numbers. A file is removed when all of it was delivered and, if the
// primary is a Keeper, marked. What cannot be read is counted, and the file is kept as NAME.corrupt. Meanwhile Append
// refuses new entries with ErrWaiting, so that they wait in the journal. Afterwards it passes everything to the store.
type Takeover struct {
	o       TakeoverOptions
	to      store.Store // takes new entries
	child   *store.Child
	primary store.Store // takes the entries of the buffer files
	lost    []*atomic.Int64

	mu      sync.Mutex
	files   []string         // still to be delivered; a part of the first may have been
	marked  map[string]int64 // by file: how many bytes were delivered according to the last checkpoint
	offset  int64            // of the first that was delivered
	taken   int              // how many entries behind offset were delivered, too
	done    []ended          // delivered files, to be removed when their entries are marked
	covered int              // how many of done the last Mark covers
	gone    map[string]bool  // paths of files that the next Mark leaves out
	next    time.Time
	err     error
	batch   proto.Batch
}

// ended is a buffer file that was read to its end, or to where it is damaged.
type ended struct {
	name   string
	offset int64 // how many bytes were delivered
	damage *DamageError
}

// NewTakeover returns to if there are no buffer files, else a Takeover that owns to. primary is the part of to that
// takes the entries of the files; it may be to itself. saved are the states of the last checkpoint, which say how much
// of each file was delivered.
func NewTakeover(to, primary store.Store, o TakeoverOptions, saved store.States) (store.Store, error) {
	o.Root = cmp.Or(o.Root, o.Dir)
	files, err := buffered(o.Root, o.Dir, o.Base)
	if err != nil || len(files) == 0 {
		return to, err
	}
	o.Logger.Info("buffer files of a former server are delivered first", "directory", o.Dir, "files", len(files))
	t := &Takeover{o: o, to: to, child: store.OpenChild(to), primary: primary, files: files,
		gone: make(map[string]bool),
		lost: []*atomic.Int64{o.Stats.Overall("bytes lost"), o.Stats.Category(o.Name, "bytes lost")}}
	if t.marked, err = t.marks(saved); err != nil {
		return nil, err
	}
	t.offset = t.marked[files[0]]
	return t, nil
}

// marks returns how much of each file was delivered according to a checkpoint.
func (t *Takeover) marks(saved store.States) (map[string]int64, error) {
	marked := make(map[string]int64)
	for path, data := range saved {
		name := filepath.Base(path)
		if n, ok := Number(t.o.Base, name); !ok || name != FileName(t.o.Base, n) ||
			path != filepath.Join(t.o.Dir, name) {
			continue
		}
		if !slices.Contains(t.files, name) {
			t.gone[path] = true // the file was removed after the checkpoint
			continue
		}
		var offset int64
		if err := json.Unmarshal(data, &offset); err != nil {
			return nil, fmt.Errorf("read how far %s was delivered: %w", path, err)
		}
		marked[name] = offset
	}
	return marked, nil
}

// path returns the path of the file that is delivered next.
func (t *Takeover) path() string { return filepath.Join(t.o.Dir, t.files[0]) }

// Children returns the store that takes new entries.
func (t *Takeover) Children() []*store.Child { return []*store.Child{t.child} }

// Shares gives b to the store if all buffer files were delivered, else to nobody.
func (t *Takeover) Shares(b *proto.Batch) []store.Share {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.files) > 0 {
		return nil
	}
	return []store.Share{{Child: t.child, Batch: b}}
}

// Append passes b to the store if all buffer files were delivered. Otherwise the error is ErrWaiting, or the reason for
// which they cannot be delivered.
func (t *Takeover) Append(ctx context.Context, b *proto.Batch) error {
	was, err := t.deliver(ctx)
	if err != nil {
		return err
	}
	if was && store.Prepare(t.to, b) {
		return errFresh
	}
	return t.to.Append(ctx, b)
}

// errFresh says that a store was opened, which has to be marked before anything is appended. The owner of the tree
// notices with store.Fresh.
var errFresh = fmt.Errorf("%w: what was opened has to be marked first", store.ErrWaiting)

// deliver delivers the rest of the buffer files to the primary. any says whether a file was finished.
func (t *Takeover) deliver(ctx context.Context) (any bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for ; len(t.files) > 0; any = true {
		if time.Now().Before(t.next) {
			return any, fmt.Errorf("deliver %s: %w (%w)", t.path(), store.ErrWaiting, t.err)
		}
		if err := t.file(ctx, t.files[0]); err != nil {
			if errors.Is(err, errFresh) || errors.Is(err, store.ErrBroken) {
				return any, err
			}
			t.next, t.err = time.Now().Add(t.o.Schedule.Next()), err
			return any, fmt.Errorf("deliver %s: %w", t.path(), err)
		}
		t.files, t.offset, t.err = t.files[1:], 0, nil
		if len(t.files) > 0 {
			t.offset = t.marked[t.files[0]]
		}
		t.o.Schedule.Reset()
	}
	return any, nil
}

// file delivers one buffer file from t.offset on.
func (t *Takeover) file(ctx context.Context, name string) (err error) {
	dir, err := faultfs.LookBeneath(t.o.Root, t.o.Dir)
	if err != nil {
		return err
	}
	f, err := dir.OpenFile(name, os.O_RDONLY, 0)
	if err = errors.Join(err, dir.Close()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	r := NewBufferReader(f, info.Size(), t.o.Category)
	if t.offset <= info.Size() { // if it is shorter, it is another file of that name
		r.offset = t.offset
	}
	for {
		damage, err := t.gather(r)
		if err != nil && err != io.EOF {
			return fmt.Errorf("read: %w", err)
		}
		if t.batch.Count() > 0 {
			left := t.batch.Section(t.taken, t.batch.Count()-t.taken)
			if store.Prepare(t.primary, left) {
				return errFresh
			}
			if err := t.primary.Append(ctx, left); err != nil {
				t.taken += left.Count() - store.Rest(left, err).Count()
				return err
			}
			t.offset, t.taken = r.Offset(), 0
		}
		if damage != nil || err == io.EOF {
			return t.end(ended{name, r.Offset(), damage})
		}
	}
}

// gather reads the next batch; io.EOF says that it is the last one.
func (t *Takeover) gather(r *BufferReader) (*DamageError, error) {
	t.batch.Reset()
	for t.batch.Size() < takeoverBytes {
		category, message, err := r.Next()
		var damage *DamageError
		if errors.As(err, &damage) {
			return damage, nil
		}
		if err != nil {
			return nil, err
		}
		t.batch.Append(category, message)
	}
	return nil, nil
}

// end removes a delivered file, or leaves that to Publish if the primary is a Keeper.
func (t *Takeover) end(e ended) error {
	if store.Keeps(t.primary) {
		t.done = append(t.done, e)
		return nil
	}
	return t.remove(e)
}

// remove removes a delivered file, or renames it if it is damaged.
func (t *Takeover) remove(e ended) (err error) {
	dir, err := faultfs.LookBeneath(t.o.Root, t.o.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	t.gone[filepath.Join(t.o.Dir, e.name)] = true
	if e.damage == nil {
		return dir.Remove(e.name)
	}
	for _, c := range t.lost {
		c.Add(e.damage.Bytes)
	}
	t.o.Logger.Error("buffer file is damaged: what is before the damage was delivered, the file is set aside",
		"file", filepath.Join(t.o.Dir, e.name)+".corrupt", "error", e.damage)
	return dir.Rename(e.name, e.name+".corrupt")
}

// Mark adds to m how much of the buffer files was delivered, and notes how many finished files that covers.
func (t *Takeover) Mark(m *store.Marks) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.covered = len(t.done)
	for path := range t.gone {
		delete(m.Files, path)
	}
	if len(t.files) > 0 && t.offset > 0 {
		m.Files[t.path()] = json.RawMessage(strconv.FormatInt(t.offset, 10))
	}
	for _, e := range t.done { // they still exist until Publish
		m.Files[filepath.Join(t.o.Dir, e.name)] = json.RawMessage(strconv.FormatInt(e.offset, 10))
	}
	return nil
}

// Publish removes the files whose entries were marked.
func (t *Takeover) Publish(*faultfs.Later) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for ; t.covered > 0; t.covered-- {
		if err := t.remove(t.done[0]); err != nil {
			return fmt.Errorf("remove a buffer file that was delivered: %w", err)
		}
		t.done = t.done[1:]
	}
	return nil
}

// Check continues the delivery of the buffer files.
func (t *Takeover) Check(time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := t.deliver(ctx)
	return err
}

// Owes reports whether there are buffer files to be delivered.
func (t *Takeover) Owes() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.files) > 0
}

// Status returns why the buffer files cannot be delivered, "" if they can.
func (t *Takeover) Status() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return store.StatusText(t.err)
}

// Close closes the store.
func (t *Takeover) Close() error { return t.to.Close() }
