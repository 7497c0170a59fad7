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

// TakeoverOptions say which buffer files of the original to deliver.
type TakeoverOptions struct {
	Root      string // Dir lies beneath it, and no link is followed on the way; "" = Dir
	Dir, Base string
	Category  string // of all messages; "" says that each has its own before it
	Name      string // the category for which "bytes lost" is counted, beside overall
	Schedule  store.Schedule
	Logger    *slog.Logger
	Stats     *stats.Set
}

// takeoverBytes is how much of a buffer file is delivered at once.
const takeoverBytes = 1 << 20

// Takeover stands before a store while there are buffer files of the original: they are delivered first, to the store's
// primary, in the order of their numbers, and each is removed when all of it was delivered (and, for a Keeper, marked).
// What cannot be read is counted and kept aside as NAME.corrupt. Until that is done Append refuses what is new with
// ErrWaiting, so that it waits in the journal. Afterwards it hands everything through.
type Takeover struct {
	o       TakeoverOptions
	to      store.Store // what is new goes here
	child   *store.Child
	primary store.Store // what is old goes here
	lost    []*atomic.Int64

	mu      sync.Mutex
	files   []string         // to be delivered, the first perhaps in part
	marked  map[string]int64 // by file: how much of it was delivered, as the last checkpoint knows
	offset  int64            // of the first that was delivered
	taken   int              // entries behind it that were, too
	done    []ended          // delivered, to be removed when their entries are marked
	covered int              // of done: marked
	gone    map[string]bool  // paths: the next mark says nothing of these any more
	next    time.Time
	err     error
	batch   proto.Batch
}

// ended is a buffer file that was read to its end, or to where it makes no sense.
type ended struct {
	name   string
	offset int64 // of what was delivered
	damage *DamageError
}

// NewTakeover returns to if there is nothing to take over, else a Takeover that owns it; primary is the part of it that
// old entries go to, or it itself. saved are the marks of the last checkpoint: a file of which a part was delivered is
// gone on with.
func NewTakeover(to, primary store.Store, o TakeoverOptions, saved store.States) (store.Store, error) {
	o.Root = cmp.Or(o.Root, o.Dir)
	files, err := buffered(o.Root, o.Dir, o.Base)
	if err != nil || len(files) == 0 {
		return to, err
	}
	o.Logger.Info("buffer files of a former server are delivered first", "directory", o.Dir, "files", len(files))
	t := &Takeover{o: o, to: to, child: store.OpenChild(to), primary: primary, files: files, gone: make(map[string]bool),
		lost: []*atomic.Int64{o.Stats.Overall("bytes lost"), o.Stats.Category(o.Name, "bytes lost")}}
	if t.marked, err = t.marks(saved); err != nil {
		return nil, err
	}
	t.offset = t.marked[files[0]]
	return t, nil
}

// marks reads from those of a checkpoint how much of each file was delivered.
func (t *Takeover) marks(saved store.States) (map[string]int64, error) {
	marked := make(map[string]int64)
	for path, data := range saved {
		name := filepath.Base(path)
		if n, ok := Number(t.o.Base, name); !ok || name != FileName(t.o.Base, n) || path != filepath.Join(t.o.Dir, name) {
			continue
		}
		if !slices.Contains(t.files, name) {
			t.gone[path] = true // it was removed after the checkpoint
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

// path is that of the file to be delivered next.
func (t *Takeover) path() string { return filepath.Join(t.o.Dir, t.files[0]) }

// Children are the store to which everything new goes.
func (t *Takeover) Children() []*store.Child { return []*store.Child{t.child} }

// Shares says that the store gets everything new when the buffer files were delivered, and nothing before.
func (t *Takeover) Shares(b *proto.Batch) []store.Share {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.files) > 0 {
		return nil
	}
	return []store.Share{{Child: t.child, Batch: b}}
}

// Append hands b on when the buffer files were delivered; until then the error is ErrWaiting, or why they cannot be.
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

// errFresh says that something was opened which has to be marked before anything is appended; whoever owns the tree
// will find that.
var errFresh = fmt.Errorf("%w: what was opened has to be marked first", store.ErrWaiting)

// deliver brings what is left of the buffer files to the primary, and says whether anything was.
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
	if t.offset <= info.Size() { // otherwise it is another file
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

// gather reads the next batch; io.EOF says that it is the last.
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

// end is done with a file, at once or when its entries are marked.
func (t *Takeover) end(e ended) error {
	if store.Keeps(t.primary) {
		t.done = append(t.done, e)
		return nil
	}
	return t.remove(e)
}

// remove removes a file that was delivered, or keeps it aside.
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
	t.o.Logger.Error("buffer file is damaged: what stands before that was delivered, the file is kept aside",
		"file", filepath.Join(t.o.Dir, e.name)+".corrupt", "error", e.damage)
	return dir.Rename(e.name, e.name+".corrupt")
}

// Mark enters how far the buffer files were delivered, and remembers which of them that covers.
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
	for _, e := range t.done { // they may outlive this process, if only just
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

// Check goes on with the buffer files.
func (t *Takeover) Check(time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := t.deliver(ctx)
	return err
}

// Owes says whether there are buffer files to be delivered.
func (t *Takeover) Owes() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.files) > 0
}

// Status is why the buffer files cannot be delivered.
func (t *Takeover) Status() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return store.StatusText(t.err)
}

// Close closes the store.
func (t *Takeover) Close() error { return t.to.Close() }
