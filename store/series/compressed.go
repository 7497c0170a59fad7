package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/rotate"
)

// CompressedOptions say what a Compressed writes where. The zero value of a field is its default.
type CompressedOptions struct {
	Root      string // Dir lies beneath it, and no link is followed on the way: the directory of the configuration; "" = Dir
	Dir       string // made if it is missing
	Base      string // the names begin with it
	Codec     rotate.Codec
	Level     int
	Period    rotate.Period
	At        rotate.Clock
	MaxSize   int64 // bytes on disk of a file, 0 = unbounded
	Newlines  Newlines
	Quote     bool          // the quoted category before every message: entries of many categories come together
	Keep      time.Duration // finished files that are older are removed, 0 = never
	KeepBytes int64         // the oldest finished files are removed while all take more, 0 = never
	Encoders  *Encoders     // nil = own
	Logger    *slog.Logger  // nil = none
	Stats     *stats.Set    // nil = own; counts "bytes lost"

	Now      func() time.Time // nil = time.Now; its location is that of the dates
	Injector faultfs.Injector // faults for tests
}

// compressedChunk is how much is gathered for a block, unless Mark comes first.
const compressedChunk = 256 << 10

// Compressed is one series of compressed files behind a journal: what Files writes, for one category that has a queue of its own. It is a
// Keeper, a Checker and a Sealer. Not safe for concurrent use.
type Compressed struct {
	o        CompressedOptions
	path     string
	dir      *faultfs.Dir // the series closes it
	series   *rotate.Series
	chunk    []byte
	born     time.Time // of the chunk: it goes into the file of that time
	at       time.Time // the time for the series
	maxChunk int
	covered  rotate.State // of the last Mark
	pruned   time.Time
	err      error // why it has to be opened again, or ErrClosed
}

// NewCompressed opens a series as saved says that it stood; without a word about it, open files that are found are set aside.
func NewCompressed(o CompressedOptions, saved Marks) (_ *Compressed, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Stats == nil {
		o.Stats = stats.New()
	}
	if o.Encoders == nil {
		o.Encoders = NewEncoders()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Compressed{o: o, path: filepath.Join(o.Dir, o.Base), maxChunk: min(rotate.MaxChunk(o.Codec, o.MaxSize), compressedChunk), at: o.Now()}
	defer func() {
		if err != nil {
			err = &StatusError{Text: "File open error", Err: errors.Join(err, c.Close())}
		}
	}()
	var st *rotate.State
	if data, ok := saved[c.path]; ok {
		st = new(rotate.State)
		if err := json.Unmarshal(data, st); err != nil {
			return nil, fmt.Errorf("read the state of %s: %w", c.path, err)
		}
	}
	if c.dir, err = openDurably(cmp.Or(o.Root, o.Dir), o.Dir, o.Injector); err != nil {
		return nil, fmt.Errorf("open directory of %s: %w", c.path, err)
	}
	c.series, err = rotate.Open(c.dir, rotate.Options{Base: o.Base, Codec: o.Codec, Period: o.Period, At: o.At, MaxSize: o.MaxSize, Logger: o.Logger, Now: func() time.Time { return c.at }}, st)
	if err != nil {
		return nil, fmt.Errorf("continue %s: %w", c.path, err)
	}
	if lost := c.series.Lost(); lost != nil {
		o.Stats.Overall("bytes lost").Add(lost.Want - max(lost.Have, 0))
		o.Stats.Category(o.Base, "bytes lost").Add(lost.Want - max(lost.Have, 0))
	}
	return c, nil
}

// openDurably opens a directory beneath root; one that was made for it survives a power cut.
func openDurably(root, path string, inj faultfs.Injector) (*faultfs.Dir, error) {
	_, missing := os.Stat(root)
	dir, err := faultfs.OpenBeneath(root, path, inj)
	if err != nil || missing == nil {
		return dir, err
	}
	parent, err := faultfs.OpenDir(filepath.Dir(root), inj)
	if err == nil {
		err = errors.Join(parent.Sync(), parent.Close())
	}
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return dir, nil
}

// Append gathers b for the next blocks. After an error, which is ErrBroken, the Compressed has to be opened again with the marks that
// were saved last.
func (c *Compressed) Append(_ context.Context, b *proto.Batch) error {
	if c.err != nil {
		return c.err
	}
	if err := c.standing(); err != nil {
		return c.broken("write", err)
	}
	for cur := b.Cursor(); cur.Next(); {
		message := cur.Message()
		need := len(message) + 1
		if c.o.Quote {
			need += 4*len(cur.Category()) + 3
		}
		if len(c.chunk) > 0 && len(c.chunk)+need > c.maxChunk {
			if err := c.flush(); err != nil {
				return err
			}
		}
		if len(c.chunk) == 0 {
			c.born = c.o.Now()
		}
		if c.o.Quote {
			c.chunk = appendPrefix(c.chunk, cur.Category())
		}
		c.chunk = append(c.chunk, message...)
		if c.o.Newlines.missing(message) || c.o.Quote && (len(message) == 0 || message[len(message)-1] != '\n') {
			c.chunk = append(c.chunk, '\n')
		}
	}
	return nil
}

// flush compresses what was gathered.
func (c *Compressed) flush() error {
	if len(c.chunk) == 0 {
		return nil
	}
	c.at = c.born
	enc, err := c.o.Encoders.get(c.o.Codec, c.o.Level)
	if err == nil {
		err = c.series.Append(enc, c.chunk)
		c.o.Encoders.put(c.o.Codec, c.o.Level, enc)
	}
	if cap(c.chunk) > 2*compressedChunk {
		c.chunk = nil
	}
	c.chunk = c.chunk[:0]
	return c.broken("write", err)
}

// standing says whether the directory and the file that is open are still there: what is written where nobody looks is lost.
func (c *Compressed) standing() error {
	own, err := c.dir.Lstat(".")
	if err != nil {
		return err
	}
	if found, err := os.Stat(c.o.Dir); err != nil || !os.SameFile(own, found) {
		return errors.Join(errors.New("the directory was removed or moved"), err)
	}
	if c.covered.Open == nil {
		return nil
	}
	name := c.covered.Open.File // sealed since, perhaps, but not published
	if _, err := c.dir.Lstat("." + name + ".open"); err != nil {
		return fmt.Errorf("the open file %s was removed: %w", name, err)
	}
	return nil
}

// broken says that the series has to be opened again if err is one, and keeps it from being used until then.
func (c *Compressed) broken(what string, err error) error {
	if err == nil {
		return nil
	}
	c.err = errors.Join(&StatusError{Text: "File write error", Err: fmt.Errorf("%s %s: %w", what, c.path, err)}, ErrBroken)
	return c.err
}

// Check finishes the open file when its time is over. It must be called from time to time.
func (c *Compressed) Check(time.Time) error {
	if c.err != nil {
		return nil // it was told
	}
	return c.tick()
}

// tick writes what was gathered and seals the open file if its time is over.
func (c *Compressed) tick() error {
	if err := c.flush(); err != nil {
		return err
	}
	c.at = c.o.Now()
	return c.broken("seal", c.series.Tick())
}

// Seal finishes the open file; Mark and Publish bring it under its final name.
func (c *Compressed) Seal() error {
	if c.err != nil {
		return c.err
	}
	if err := c.flush(); err != nil {
		return err
	}
	return c.broken("seal", c.series.Seal())
}

// Mark compresses what was gathered, makes everything durable and enters how the series stands.
func (c *Compressed) Mark(m Marks) error {
	if c.err != nil {
		return c.err
	}
	if err := c.tick(); err != nil {
		return err
	}
	st, err := c.series.Sync()
	if err != nil {
		return c.broken("sync", err)
	}
	data, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("mark %s: %w", c.path, err)
	}
	c.covered, m[c.path] = st, data
	return nil
}

// Publish gives finished files that the last Mark named their names, and removes those that are too old or too many.
func (c *Compressed) Publish() error {
	if c.err != nil {
		return nil // it was told
	}
	if err := c.series.Publish(c.covered); err != nil {
		return c.broken("publish", err)
	}
	now := c.o.Now()
	if c.o.Keep == 0 && c.o.KeepBytes == 0 || now.Sub(c.pruned) < time.Minute {
		return nil
	}
	c.pruned = now
	if err := c.prune(now); err != nil {
		c.o.Logger.Error("remove old files", "series", c.path, "error", err)
	}
	return nil
}

// prune removes finished files of the series, the oldest first.
func (c *Compressed) prune(now time.Time) error {
	files, err := rotate.Files(c.dir, c.o.Base)
	if err != nil {
		return err
	}
	files = slices.DeleteFunc(files, func(f rotate.File) bool { return f.Open })
	total := int64(0)
	for _, f := range files {
		total += f.Size
	}
	for _, f := range files {
		info, err := c.dir.Lstat(f.Name)
		if errors.Is(err, fs.ErrNotExist) {
			total -= f.Size
			continue
		}
		if err != nil {
			return err
		}
		old := c.o.Keep > 0 && now.Sub(info.ModTime()) > c.o.Keep
		if !old && (c.o.KeepBytes == 0 || total <= c.o.KeepBytes) {
			continue
		}
		if err := c.dir.Remove(f.Name); err != nil {
			return err
		}
		total -= f.Size
		c.o.Logger.Info("removed old file", "file", filepath.Join(c.o.Dir, f.Name), "bytes", f.Size)
	}
	return nil
}

// Close releases what is open, once. It says nothing about how the series stands: what was sealed, marked and published is finished, the
// rest is continued with the marks that were saved last.
func (c *Compressed) Close() error {
	c.err = ErrClosed
	series, dir := c.series, c.dir
	c.series, c.dir = nil, nil
	switch {
	case series != nil:
		return series.Close()
	case dir != nil:
		return dir.Close()
	}
	return nil
}

// Encoders lends encoders to stores that need one now and then. Safe for concurrent use.
type Encoders struct {
	mu    sync.Mutex
	pools map[encoderKind]*sync.Pool
}

type encoderKind struct {
	codec rotate.Codec
	level int
}

// NewEncoders returns an Encoders that has none yet.
func NewEncoders() *Encoders { return &Encoders{pools: make(map[encoderKind]*sync.Pool)} }

func (e *Encoders) pool(c rotate.Codec, level int) *sync.Pool {
	e.mu.Lock()
	defer e.mu.Unlock()
	kind := encoderKind{c, level}
	if e.pools[kind] == nil {
		e.pools[kind] = new(sync.Pool)
	}
	return e.pools[kind]
}

func (e *Encoders) get(c rotate.Codec, level int) (*rotate.Encoder, error) {
	if enc, ok := e.pool(c, level).Get().(*rotate.Encoder); ok {
		return enc, nil
	}
	enc, err := rotate.NewEncoder(c, level)
	if err != nil {
		return nil, fmt.Errorf("set up compression: %w", err)
	}
	return enc, nil
}

func (e *Encoders) put(c rotate.Codec, level int, enc *rotate.Encoder) { e.pool(c, level).Put(enc) }
