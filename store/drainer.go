package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
	"inkwell/proto"
	"inkwell/rotate"
	"inkwell/store/spool"
)

const (
	chunkMemory = 64 << 20               // bytes of pending chunks before the oldest are sent off early
	maxAgeBlock = 10 * time.Second       // of a chunk that will be compressed: small blocks compress badly
	maxAgePlain = time.Second            // of one that will not
	cutInterval = 2 * time.Second        // between checkpoints, at least
	cutBytes    = 128 << 20              // of journal, after which one comes earlier: its segments are written over while they are cached
	idleWait    = 100 * time.Millisecond // how often the clock is looked at while the journal is quiet
	retryMin    = time.Second            // between attempts to write to a category that failed
	retryMax    = 10 * time.Second
	maxSpans    = 1 << 18 // stretches of numbers in files that are not finished: beyond, those with most are; and a checkpoint comes for half as many
	chunkSpans  = 1 << 14 // of a chunk: messages may have no bytes
)

// category is one output category. Its fields belong to the drainer's goroutine, out to its shard.
type category struct {
	name    string
	shard   *shard
	chunk   *chunk // being filled
	wish    int    // bytes the next chunk begins with
	last    uint64 // journal offset behind the last entry that was taken: what lies below is passed over
	born    uint64 // entries below went to OverflowCategory
	touched bool   // since the last cut
	parked  bool   // cannot be written: entries are passed over until reset
	retryAt time.Time
	backoff time.Duration

	written *atomic.Int64
	out     output
}

// drainer reads the journal and gathers a chunk per category. One goroutine; the fields above the blank line are its own.
type drainer struct {
	files      *Files
	reader     *spool.Reader
	low        uint64 // behind the last record taken
	horizon    uint64 // below it, a category that is not known belonged to OverflowCategory
	categories map[string]*category
	pending    []pending // chunks being filled, oldest first; stale ones are passed over
	maxChunk   int
	maxAge     time.Duration
	nextCut    time.Time
	turn       time.Time  // when the clock ends the files; zero for never
	cutLow     uint64     // low at the last cut
	spans      int        // taken since then
	cutting    chan error // of the cut in progress, nil if none
	tried      bool       // lastTry was
	batch      proto.Batch
	runs       []proto.Run // of batch
	numbers    numbers     // of batch

	written  *atomic.Int64
	failures atomic.Bool // a category has failed since the last look
	resets   chan error  // outcome of a reset
	stopping atomic.Bool
	stopped  chan error
}

type pending struct {
	c *category
	k *chunk
}

func newDrainer(f *Files) *drainer {
	d := &drainer{files: f, reader: f.journal.Reader(f.saved.Low), low: f.saved.Low, horizon: f.saved.Drained, categories: make(map[string]*category),
		maxChunk: rotate.MaxChunk(f.o.Codec, f.o.MaxSize), maxAge: maxAgeBlock, nextCut: time.Now(), turn: f.o.Period.Next(killpoint.Clock(time.Now()), f.o.At),
		written: f.o.Stats.Overall("written"), resets: make(chan error), stopped: make(chan error, 1)}
	if f.o.Codec == rotate.None {
		d.maxAge = maxAgePlain
	}
	d.maxAge = cmp.Or(f.o.maxAge, d.maxAge)
	return d
}

// restore opens the series that the checkpoint knows. One that cannot be is parked and the others go on; if that is true of all, something
// is wrong with the directories as a whole, unless somebody put something else where a file belongs. Shards do not run yet.
func (d *drainer) restore() error {
	var errs []error
	odd := false
	for name, m := range d.files.saved.Categories {
		c := d.add(name, m.Born)
		c.last = m.Through
		if err := c.shard.open(c, m); err != nil { // the others go on
			c.out.mark, c.last, c.parked = m, m.Through, true
			c.out.failed.Store(true)
			c.backoff = d.files.o.retryMin
			c.retryAt = time.Now().Add(c.backoff)
			d.files.health.Set("output "+name, err)
			errs, odd = append(errs, err), odd || faultfs.IsMisplaced(err)
		}
	}
	if len(errs) > 0 && len(errs) == len(d.categories) && !odd {
		return errs[0]
	}
	return nil
}

func (d *drainer) add(name string, born uint64) *category {
	f := d.files
	c := &category{name: name, born: born, wish: bufferSizes[0], shard: f.shards[len(d.categories)%len(f.shards)], written: f.o.Stats.Counter(name + ":written")}
	d.categories[name] = c
	return c
}

func (d *drainer) run() {
	err := d.loop()
	d.stopped <- errors.Join(err, d.reader.Close())
}

func (d *drainer) loop() error {
	for {
		stopping := d.stopping.Load() // before the look: what was appended until then is seen
		rec, ok, err := d.reader.TryNext()
		if err == nil && !ok {
			if stopping && !d.lastTry() {
				return d.finish()
			}
			ctx, cancel := context.WithTimeout(context.Background(), d.files.o.idleWait)
			rec, err = d.reader.Next(ctx)
			cancel()
			ok = err == nil
			if errors.Is(err, context.DeadlineExceeded) {
				err = nil
			}
		}
		var corrupt *spool.CorruptError
		switch {
		case errors.As(err, &corrupt):
			d.files.log.Error("damaged place in the journal is passed over", "error", err)
			d.files.o.Stats.Overall("journal damaged").Add(1)
			d.low = max(d.low, corrupt.End) // or nothing would ever acknowledge it
		case err != nil && !errors.Is(err, io.EOF):
			d.files.health.Set("journal read", fmt.Errorf("read journal in %s: %w", d.files.o.StateDir, err))
			if stopping {
				return errors.Join(err, d.finish())
			}
			time.Sleep(d.files.o.retryMin)
		case ok:
			d.files.health.Set("journal read", nil)
			d.lookAtClock(time.Now())
			d.take(rec)
		}
		d.keepHouse(time.Now())
	}
}

// take spreads the entries of a record over the chunks of their categories.
func (d *drainer) take(rec spool.Record) {
	if err := d.batch.SetRecord(rec.Data); err != nil {
		d.files.log.Error("record in the journal holds no entries, passed over", "offset", rec.Start, "error", err)
		d.files.o.Stats.Overall("journal damaged").Add(1)
		d.low = rec.End
		return
	}
	d.spans += len(d.batch.Spans())
	d.files.streams.Drained(&d.batch)
	d.runs = d.batch.AppendRuns(d.runs[:0])
	d.numbers.seq++ // a chunk may have other entries between
	cur := d.batch.Cursor()
	for _, r := range d.runs {
		c, prefix := d.route(r.Category, rec.Start)
		for range r.Count {
			cur.Next()
			seq, id, number := d.numbers.next(&cur)
			end := rec.Start + uint64(cur.End())
			if end <= c.last || c.parked {
				continue
			}
			size := d.put(c, cur.Message(), prefix, r.Category)
			c.chunk.note(size, seq, id, number)
			c.chunk.last, c.last = end, end
			c.chunk.count++
		}
	}
	d.low = rec.End
}

// route finds the category of an entry in the record at an offset, and whether its name must stand before the message.
func (d *drainer) route(name []byte, at uint64) (c *category, prefix bool) {
	if c = d.categories[string(name)]; c != nil && at >= c.born {
		if safe := name[0] != '_' || SafeCategory(name); safe {
			return c, false
		}
	}
	into := OverflowCategory
	switch {
	case !SafeCategory(name):
		into = UnsafeCategory
	case c == nil && at >= d.horizon && d.named() < d.files.o.MaxCategories:
		return d.add(string(name), at), false
	}
	if c = d.categories[into]; c == nil {
		c = d.add(into, 0)
	}
	return c, true
}

// named is the number of categories that senders named.
func (d *drainer) named() int {
	n := len(d.categories)
	for _, own := range []string{UnsafeCategory, OverflowCategory} {
		if d.categories[own] != nil {
			n--
		}
	}
	return n
}

// put appends a message to c's chunk, which is sent off first if it would grow too large, and returns the size before.
func (d *drainer) put(c *category, message []byte, prefix bool, name []byte) (size int) {
	form := Form{Newlines: d.files.o.Newlines, Quote: prefix}
	need := form.Room(name, message)
	if c.chunk != nil && (len(c.chunk.data)+need > d.maxChunk || len(c.chunk.spans) >= chunkSpans) {
		d.dispatch(c)
	}
	if c.chunk == nil {
		c.chunk = &chunk{data: d.files.buffers.get(max(need, c.wish)), low: d.low, born: time.Now()}
		d.files.chunkBytes.Add(int64(cap(c.chunk.data)))
		d.pending = append(d.pending, pending{c, c.chunk})
	}
	k := c.chunk
	if len(k.data)+need > cap(k.data) {
		before := cap(k.data)
		k.data = d.files.buffers.grow(k.data, need)
		d.files.chunkBytes.Add(int64(cap(k.data) - before))
	}
	size = len(k.data)
	k.data = form.Append(k.data, name, message)
	return size
}

// dispatch hands c's chunk to its shard; it blocks while the shard is busy, which is how the journal comes to hold the rest.
func (d *drainer) dispatch(c *category) {
	k := c.chunk
	c.chunk, c.touched, c.wish = nil, true, min(cap(k.data), bufferSizes[len(bufferSizes)-1])
	c.shard.work <- work{c: c, chunk: k}
}

// freeChunk gives a chunk's memory back.
func (f *Files) freeChunk(k *chunk) {
	f.chunkBytes.Add(-int64(cap(k.data)))
	f.buffers.put(k.data)
	k.data = nil
}

// lookAtClock sends off what came in before the files end, so that it goes into them.
func (d *drainer) lookAtClock(now time.Time) {
	now = killpoint.Clock(now)
	if d.turn.IsZero() || now.Before(d.turn) {
		return
	}
	d.turn = d.files.o.Period.Next(now, d.files.o.At)
	for _, p := range d.pending {
		if p.c.chunk == p.k {
			d.dispatch(p.c)
		}
	}
	d.pending = d.pending[:0]
	d.nextCut = now
}

// keepHouse does what the clock or the shards ask for.
func (d *drainer) keepHouse(now time.Time) {
	d.lookAtClock(now)
	for len(d.pending) > 0 {
		p := d.pending[0]
		current := p.c.chunk == p.k
		if current && now.Sub(p.k.born) < d.maxAge && d.files.chunkBytes.Load() < chunkMemory {
			break
		}
		if current {
			d.dispatch(p.c)
		}
		d.pending = d.pending[1:]
	}
	if d.cutting != nil {
		select {
		case <-d.cutting: // its error is in the health already
			d.cutting = nil
		default:
			return
		}
	}
	if d.failures.Load() {
		d.park(now)
	}
	d.retry(now)
	if now.After(d.nextCut) || d.low >= d.cutLow+cutBytes || d.spans >= d.files.o.maxSpans/2 {
		d.cutLow, d.spans = d.low, 0
		d.nextCut = now.Add(d.files.o.cutEvery)
		d.cutting = make(chan error, 1)
		k := d.cut(false)
		go func() { d.cutting <- d.files.finish(k) }()
	}
}

// cut sends a cut behind the chunks that are on their way to the shards.
func (d *drainer) cut(seal bool) *cut {
	k := &cut{low: d.low, drained: d.low, live: make(map[string]uint64, len(d.categories)), seal: seal, crowded: d.files.ledger.crowded, marks: make(map[string]mark)}
	for _, c := range d.categories {
		switch {
		case c.parked:
			k.low = min(k.low, d.files.saved.Low)
		case c.chunk != nil:
			k.low = min(k.low, c.chunk.low)
		}
	}
	for name, c := range d.categories {
		if d.complete(c) {
			delete(d.categories, name)
			k.forget = append(k.forget, c)
			continue
		}
		c.touched = false
		k.live[name] = c.born
	}
	k.send(d.files.shards, work{cut: k})
	return k
}

// complete says whether nothing needs to be known of c any more: the journal will not be read again from before its last entry, whatever
// fails, and manifests list its files. No cut is in progress.
func (d *drainer) complete(c *category) bool {
	replaying := d.low < d.horizon // what is still to be read again may belong to any category
	return !replaying && c.chunk == nil && !c.touched && !c.parked && c.out.idle.Load() &&
		c.last <= d.files.saved.Low && len(d.files.ledger.open[c.name]) == 0
}

// stop drains the journal and makes the last cut.
func (d *drainer) stop() error {
	d.stopping.Store(true)
	return <-d.stopped
}

// finish is the end of a run: everything that was taken goes into the files.
func (d *drainer) finish() error {
	if d.cutting != nil {
		<-d.cutting
		d.cutting = nil
	}
	for _, c := range d.categories {
		if c.chunk != nil {
			d.dispatch(c)
		}
	}
	err := d.files.finish(d.cut(!d.files.o.KeepOpen))
	var failed []string
	for _, c := range d.categories {
		if c.parked || c.out.failed.Load() {
			failed = append(failed, c.name)
		}
	}
	if len(failed) > 0 {
		slices.Sort(failed)
		err = errors.Join(err, fmt.Errorf("entries of %d categories (%s …) could not be written (%s); they stay in the journal in %s and go on at the next start",
			len(failed), failed[0], d.files.Status(), d.files.o.StateDir))
	}
	return err
}
