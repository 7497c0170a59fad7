package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/rotate"
)

// CompressedOptions say what a Compressed writes where. The zero value of a field is its default.
type CompressedOptions struct {
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
}

// compressedChunk is how much is gathered for a block, unless Mark comes first.
const compressedChunk = 256 << 10

// Compressed is one series of compressed files behind a journal: what Files writes, for one category that has a queue of its own. It is a
// Keeper. Not safe for concurrent use.
type Compressed struct {
	o        CompressedOptions
	path     string
	parent   *faultfs.Dir
	series   *rotate.Series
	chunk    []byte
	maxChunk int
	covered  rotate.State
	pruned   time.Time
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
	c := &Compressed{o: o, path: filepath.Join(o.Dir, o.Base), maxChunk: min(rotate.MaxChunk(o.Codec, o.MaxSize), compressedChunk)}
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
	if c.parent, err = faultfs.OpenDir(filepath.Dir(o.Dir), nil); err != nil {
		return nil, fmt.Errorf("open directory of %s: %w", c.path, err)
	}
	dir, err := c.parent.Sub(filepath.Base(o.Dir))
	if err != nil {
		return nil, fmt.Errorf("open directory of %s: %w", c.path, err)
	}
	c.series, err = rotate.Open(dir, rotate.Options{Base: o.Base, Codec: o.Codec, Period: o.Period, At: o.At, MaxSize: o.MaxSize, Logger: o.Logger}, st)
	if err != nil {
		return nil, fmt.Errorf("continue %s: %w", c.path, err)
	}
	if lost := c.series.Lost(); lost != nil {
		o.Stats.Overall("bytes lost").Add(lost.Want - max(lost.Have, 0))
	}
	return c, nil
}

// Append gathers b for the next blocks. After an error, which is ErrBroken, the Compressed has to be opened again with the marks that
// were saved last.
func (c *Compressed) Append(_ context.Context, b *proto.Batch) error {
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

// broken says that the series has to be opened again if err is one.
func (c *Compressed) broken(what string, err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(&StatusError{Text: "File write error", Err: fmt.Errorf("%s %s: %w", what, c.path, err)}, ErrBroken)
}

// Seal finishes the open file; Mark and Publish bring it under its final name.
func (c *Compressed) Seal() error {
	if err := c.flush(); err != nil {
		return err
	}
	return c.broken("seal", c.series.Seal())
}

// Mark compresses what was gathered, makes everything durable and enters how the series stands.
func (c *Compressed) Mark(m Marks) error {
	if err := c.flush(); err != nil {
		return err
	}
	if err := c.series.Tick(); err != nil {
		return c.broken("seal", err)
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
	if err := c.series.Publish(c.covered); err != nil {
		return c.broken("publish", err)
	}
	if c.o.Keep == 0 && c.o.KeepBytes == 0 || time.Since(c.pruned) < time.Minute {
		return nil
	}
	c.pruned = time.Now()
	removed, freed, err := rotate.Prune(c.parent, c.o.Keep, c.o.KeepBytes, time.Now())
	if len(removed) > 0 {
		c.o.Logger.Info("removed old files", "files", len(removed), "bytes", freed, "first", removed[0], "last", removed[len(removed)-1])
	}
	if err != nil {
		c.o.Logger.Error("remove old files", "below", c.parent.Path(), "error", err)
	}
	return nil
}

// Close releases what is open. It says nothing about how the series stands.
func (c *Compressed) Close() error {
	var errs []error
	if c.series != nil {
		errs = append(errs, c.series.Close())
	}
	if c.parent != nil {
		errs = append(errs, c.parent.Close())
	}
	return errors.Join(errs...)
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
