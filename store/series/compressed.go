package series

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/rotate"
	"inkwell/store"
	"inkwell/store/index"
)

// CompressedOptions configure a Compressed. The zero value of a field is its default.
type CompressedOptions struct {
	Root    string // an ancestor of Dir, below which no symbolic link is followed: as configured; "" = Dir
	Dir     string // created if it is missing
	Base    string // beginning of the names of the files
	Codec   rotate.Codec
	Level   int
	Seek    bool // zstd files end with a seek table
	Period  rotate.Period
	At      rotate.Clock
	Hive    bool  // finished files go to partitions (rotate.Partition)
	MaxSize int64 // bytes of a file on disk; 0 = unlimited
	Form    store.Form
	Own     func(stream [16]byte) bool // entries of these streams are recorded without their numbers; nil = none
	// returns the final name of the newest file there ever was, "" if unknown; nil = unknown
	After    func(dir *faultfs.Dir) string
	Encoders *Encoders    // nil = Encoders of its own
	Logger   *slog.Logger // nil = discard
	Stats    *stats.Set   // nil = a new set; counts "bytes lost" and "files published"

	Now      func() time.Time // nil = time.Now; its location is that of the dates
	Injector faultfs.Injector // faults for tests
}

// Compressed is one series of compressed files behind a checkpoint. It is a store.Keeper, Sealer, Checker and Urgent.
// Not safe for concurrent use, but for Compress.
type Compressed struct {
	o        CompressedOptions
	path     string
	dir      *faultfs.Dir // the series closes it
	series   *rotate.Series
	contents contents
	index    indexes
	at       time.Time // the time for the series
	maxChunk int
	covered  rotate.State // as of the last Mark
	quiet    bool         // nothing has changed since the last Mark
	err      error        // why the series has to be opened again, or ErrClosed
	known    bool         // the saved states had one of this series when it was opened
}

// OpenCompressed opens a series and restores the state of it in saved. If there is none, open files that are found are
// set aside.
func OpenCompressed(o CompressedOptions, saved store.States) (_ *Compressed, err error) {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.Stats = cmp.Or(o.Stats, stats.New())
	if o.Encoders == nil {
		o.Encoders = NewEncoders()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Compressed{o: o, path: filepath.Join(o.Dir, o.Base), maxChunk: rotate.MaxChunk(o.Codec, o.MaxSize),
		at: o.Now()}
	c.contents.dir = o.Dir
	defer func() {
		if err != nil {
			err = &store.StatusError{Text: "File open error", Err: errors.Join(err, c.Close())}
		}
	}()
	var st *rotate.State
	data, ok := saved[c.path]
	if c.known = ok; ok {
		st = new(rotate.State)
		if err := json.Unmarshal(data, st); err != nil {
			return nil, fmt.Errorf("read the state of %s: %w", c.path, err)
		}
	}
	if c.dir, err = faultfs.OpenLater(cmp.Or(o.Root, o.Dir), o.Dir, o.Injector); err != nil {
		return nil, fmt.Errorf("open directory of %s: %w", c.path, err)
	}
	published := o.Stats.Overall("files published")
	c.series, err = rotate.Open(c.dir, rotate.Options{Base: o.Base, Codec: o.Codec, Seek: o.Seek, Period: o.Period,
		At:   o.At,
		Hive: o.Hive, MaxSize: o.MaxSize, Link: o.Codec == rotate.None,
		After: c.after, Logger: o.Logger, Now: func() time.Time { return c.at },
		Published: func(string) { published.Add(1) }}, st)
	if err != nil {
		return nil, fmt.Errorf("continue %s: %w", c.path, err)
	}
	if lost := c.series.Lost(); lost != nil {
		o.Stats.Overall("bytes lost").Add(lost.Bytes())
		o.Stats.Category(o.Base, "bytes lost").Add(lost.Bytes())
	}
	if st != nil && st.Open != nil {
		c.contents.open, c.contents.end = st.Open.File, st.Open.Raw
	}
	return c, nil
}

// after returns what the options know of the newest file.
func (c *Compressed) after() string {
	if c.o.After == nil {
		return ""
	}
	return c.o.After(c.dir)
}

// Append writes b as a block, or as several if it is too large for one. After an error, which is ErrBroken, the
// Compressed has to be opened again with the states that were saved last.
func (c *Compressed) Append(ctx context.Context, b *proto.Batch) error {
	return c.AppendDated(ctx, b, c.o.Now())
}

// AppendDated is Append for entries of which the first arrived at the time since.
func (c *Compressed) AppendDated(_ context.Context, b *proto.Batch, since time.Time) error {
	if err := c.standing(); err != nil {
		return err
	}
	enc, err := c.o.Encoders.get(c.o.Codec, c.o.Level)
	if err != nil {
		return c.broken("write", err)
	}
	defer c.o.Encoders.put(c.o.Codec, c.o.Level, enc)
	c.at, c.quiet = since, false
	return c.broken("write", c.split(enc, b, func(chunk []byte, spans []store.Span) error {
		if err := c.series.Append(enc.Encoder, chunk); err != nil {
			return err
		}
		c.wrote(int64(len(chunk)), spans)
		return nil
	}))
}

// split formats b into chunks, each of which becomes a block, and passes them to take with the spans of their entries.
// Both are valid only during the call.
func (c *Compressed) split(enc *encoder, b *proto.Batch, take func(chunk []byte, spans []store.Span) error) error {
	r := recorder{own: c.o.Own, hour: c.o.Now().Unix() / 3600}
	enc.chunk = enc.chunk[:0]
	end := func() error {
		err := take(enc.chunk, r.spans.List())
		r.spans.Reset()
		enc.chunk = enc.chunk[:0]
		return err
	}
	for cur := b.Cursor(); cur.Next(); {
		if at := len(enc.chunk); at > 0 && at+c.o.Form.Room(cur.Category(), cur.Message()) > c.maxChunk {
			if err := end(); err != nil {
				return err
			}
		}
		at := len(enc.chunk)
		enc.chunk = c.o.Form.Append(enc.chunk, cur.Category(), cur.Message())
		r.note(&cur, len(enc.chunk)-at)
	}
	return end()
}

// blocks is a batch, compressed for the files of a series.
type blocks struct {
	list []block
}

type block struct {
	rotate.Block
	raw   int64
	spans []store.Span
}

// Prepare compresses b into blocks for Write. It may be called concurrently with itself and with the other methods: so
// the batches of one series are compressed by several goroutines and then written in their order.
func (c *Compressed) Prepare(b *proto.Batch) (any, error) {
	enc, err := c.o.Encoders.get(c.o.Codec, c.o.Level)
	if err != nil {
		return nil, err
	}
	defer c.o.Encoders.put(c.o.Codec, c.o.Level, enc)
	k := new(blocks)
	return k, c.split(enc, b, func(chunk []byte, spans []store.Span) error {
		if c.o.Codec == rotate.None {
			chunk = slices.Clone(chunk)
		}
		made := block{raw: int64(len(chunk)), spans: slices.Clone(spans)}
		if len(chunk) > 0 {
			if made.Block, err = enc.Encode(nil, chunk); err != nil {
				return err
			}
		}
		k.list = append(k.list, made)
		return nil
	})
}

// Write is AppendDated for the batch from which Prepare made p.
func (c *Compressed) Write(p any, since time.Time) error {
	k := p.(*blocks)
	if err := c.standing(); err != nil {
		return err
	}
	c.at, c.quiet = since, false
	for i := range k.list {
		if err := c.series.Write(k.list[i].Block); err != nil {
			return c.broken("write", err)
		}
		c.wrote(k.list[i].raw, k.list[i].spans)
	}
	return nil
}

// wrote records what a block added to the open file. If it has only entries without bytes, there may be no open file.
func (c *Compressed) wrote(raw int64, spans []store.Span) {
	if len(spans) == 0 {
		return
	}
	c.contents.wrote(c.series.Current(), c.series.Raw()-raw, spans, c.at.Unix())
	c.index.wrote(c.series.Current(), c.block(raw, spans))
}

// block describes the block that was written last, for the index.
func (c *Compressed) block(raw int64, spans []store.Span) index.Block {
	at := c.series.Newest()
	b := index.Block{Offset: at.Offset, Length: at.Length, Raw: raw, Sum: at.Sum, First: c.at, Last: c.o.Now()}
	for i := range spans {
		b.Entries += spans[i].Count
		b.Saw(spans[i].Stream)
	}
	return b
}

// Urgent reports whether so much was added that the next Mark should come soon.
func (c *Compressed) Urgent() bool { return c.contents.many() }

// standing returns an error if the open file or its directory was removed or replaced, so that nobody would find what
// is written.
func (c *Compressed) standing() error {
	if c.err != nil {
		return c.err
	}
	return c.broken("write", c.series.Standing())
}

// broken returns nil if err is nil. Otherwise the series cannot be used any more and has to be opened again; the result
// says so, and is also the result of all later calls.
func (c *Compressed) broken(what string, err error) error {
	if err == nil {
		return nil
	}
	c.err = store.Broken(&store.StatusError{Text: "File write error", Err: fmt.Errorf("%s %s: %w", what, c.path, err)})
	return c.err
}

// Check seals the open file when its time is over, and makes sure that the file and its directory still exist and can
// be written. It must be called from time to time.
func (c *Compressed) Check(time.Time) error {
	if c.err != nil {
		return nil // it was reported already
	}
	if err := c.standing(); err != nil {
		return err
	}
	if err := c.dir.Writable(); err != nil {
		return c.broken("write", err)
	}
	return c.tick()
}

// tick seals the open file if its time is over.
func (c *Compressed) tick() error {
	c.at = c.o.Now()
	open := c.series.Current()
	err := c.series.Tick()
	c.quiet = c.quiet && open == c.series.Current()
	return c.broken("seal", err)
}

// Quiet reports whether nothing was written, sealed or published since the last Mark.
func (c *Compressed) Quiet() bool { return c.quiet }

// Dir returns the directory of the files.
func (c *Compressed) Dir() *faultfs.Dir { return c.dir }

// Exact reports whether the files had exactly the saved state when the series was opened.
func (c *Compressed) Exact() bool { return c.known && c.series.Lost() == nil }

// Seal finishes the open file. It gets its final name by the next Mark and Publish.
func (c *Compressed) Seal() error {
	if c.err != nil {
		return c.err
	}
	c.quiet = false
	return c.broken("seal", c.series.Seal())
}

// Mark makes everything durable and adds to m the state of the series and what was added to its files.
func (c *Compressed) Mark(m *store.Marks) error {
	if c.err != nil {
		return c.err
	}
	if err := c.tick(); err != nil {
		return err
	}
	if !c.dir.Settled() {
		if err := m.Later.Sync(c.dir); err != nil {
			return c.broken("sync directory of", err)
		}
	}
	st, err := c.series.Sync(m.Later)
	if err != nil {
		return c.broken("sync", err)
	}
	data, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("mark %s: %w", c.path, err)
	}
	c.covered, m.Files[c.path] = st, data
	c.contents.mark(m, c.series.Current(), c.series.Raw())
	c.index.save(c.dir, c.o.Logger)
	c.quiet = true
	return nil
}

// Publish gives the files that were sealed before the last Mark their final names.
func (c *Compressed) Publish(later *faultfs.Later) error {
	if c.err != nil {
		return nil // it was reported already
	}
	c.quiet = c.quiet && len(c.covered.Sealed) == 0
	return c.broken("publish", c.series.Publish(c.covered, later))
}

// Close closes the files. It makes nothing durable: the series is continued from the state that was saved last.
func (c *Compressed) Close() error {
	c.err = store.ErrClosed
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
