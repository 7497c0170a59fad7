package store

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"inkwell/internal/killpoint"
	"inkwell/rotate"
	"inkwell/store/manifest"
)

// shard compresses and writes the chunks of its categories, one after the other, so that each category keeps its order and an
// encoder serves many. Its goroutine is the only one to touch the series of its categories.
type shard struct {
	files *Files
	work  chan work
	done  chan struct{}
	enc   *rotate.Encoder
	own   map[*category]bool // those with a series
	at    time.Time          // the time for the series: of a chunk when it came in, so that it goes into the file of that time
}

// work is one thing for a shard to do; exactly one of chunk, cut, publish and reset is set.
type work struct {
	c       *category
	chunk   *chunk
	cut     *cut
	publish *cut
	reset   *mark // open c's series again as it stands here
}

// output is what a shard knows of a category. Only the shard's goroutine may use it, but for the atomics.
type output struct {
	series  *rotate.Series
	mark    mark                // through: behind the last entry written; state: as of the last sync
	changed bool                // since the last sync
	added   []manifest.Contents // since then
	failed  atomic.Bool         // nothing is written until a reset; set by the shard, cleared by the drainer
	idle    atomic.Bool         // no open file, nothing to publish
}

func newShard(f *Files) (*shard, error) {
	enc, err := rotate.NewEncoder(f.o.Codec, f.o.Level)
	if err != nil {
		return nil, fmt.Errorf("set up compression: %w", err)
	}
	return &shard{files: f, work: make(chan work, 4), done: make(chan struct{}), enc: enc, own: make(map[*category]bool), at: time.Now()}, nil
}

func (s *shard) run() {
	defer close(s.done)
	for w := range s.work {
		switch {
		case w.chunk != nil:
			s.write(w.c, w.chunk)
			s.files.freeChunk(w.chunk)
		case w.cut != nil:
			w.cut.reply(s.sync(w.cut))
		case w.publish != nil:
			s.publish(w.publish)
			w.publish.reply(nil, nil)
		case w.reset != nil:
			s.reset(w.c, *w.reset)
		}
	}
	for c := range s.own {
		s.drop(c)
	}
}

// write puts a chunk into c's files.
func (s *shard) write(c *category, k *chunk) {
	if c.out.failed.Load() {
		return // the drainer will read these entries again
	}
	killpoint.Reach("files.chunk.taken")
	if c.out.series == nil {
		s.at = k.born
		if err := s.open(c, c.out.mark); err != nil {
			s.fail(c, err)
			return
		}
	}
	s.at = k.born
	if err := c.out.series.Append(s.enc, k.data); err != nil {
		s.fail(c, fmt.Errorf("write %s: %w", filepath.Join(s.files.o.Dir, c.name), err))
		return
	}
	c.out.add(c.name, k)
	c.out.mark.Through, c.out.changed = k.last, true
	c.written.Add(int64(k.count))
	s.files.drain.written.Add(int64(k.count))
}

// add notes what the chunk brought to the open file; the mark is still where it was before.
func (o *output) add(category string, k *chunk) {
	born := k.born.Unix()
	if l := len(o.added) - 1; l < 0 || o.added[l].File != o.series.Current() {
		o.added = append(o.added, manifest.Contents{Category: category, File: o.series.Current(), From: o.mark.Through, First: born})
	}
	c := &o.added[len(o.added)-1]
	c.Through, c.Last = k.last, born
	for _, span := range k.spans {
		c.Spans = manifest.AddSpan(c.Spans, span)
	}
}

// open opens c's series as m says it stood.
func (s *shard) open(c *category, m mark) error {
	dir, err := s.files.root.Sub(c.name)
	if err != nil {
		return fmt.Errorf("open output directory %s: %w", filepath.Join(s.files.o.Dir, c.name), err)
	}
	o := &s.files.o
	c.out.series, err = rotate.Open(dir, rotate.Options{Base: c.name, Codec: o.Codec, Period: o.Period, At: o.At, MaxSize: o.MaxSize,
		Link: o.Codec == rotate.None, After: func() string { return manifest.Newest(dir) }, Logger: o.Logger, Now: func() time.Time { return s.at }}, &m.State)
	if err != nil {
		return fmt.Errorf("continue %s: %w", filepath.Join(o.Dir, c.name), err)
	}
	if lost := c.out.series.Lost(); lost != nil {
		s.files.o.Stats.Overall("bytes lost").Add(lost.Bytes())
	}
	c.out.mark = m
	s.own[c] = true
	return nil
}

// sync seals what is due, makes the files of the shard durable and says how each category that changed stands.
func (s *shard) sync(k *cut) (map[string]mark, []manifest.Contents) {
	for _, c := range k.forget {
		if s.own[c] {
			s.drop(c)
		}
	}
	marks := make(map[string]mark)
	var added []manifest.Contents
	s.at = time.Now()
	for c := range s.own {
		if c.out.failed.Load() {
			continue
		}
		seal := c.out.series.Tick
		if k.seal || k.crowded[c.name] {
			seal = c.out.series.Seal
		}
		if err := seal(); err != nil {
			s.fail(c, fmt.Errorf("seal %s: %w", filepath.Join(s.files.o.Dir, c.name), err))
			continue
		}
		state, err := c.out.series.Sync()
		if err != nil {
			s.fail(c, fmt.Errorf("sync %s: %w", filepath.Join(s.files.o.Dir, c.name), err))
			continue
		}
		c.out.idle.Store(c.out.series.Idle())
		if !c.out.changed && sameState(state, c.out.mark.State) {
			continue
		}
		c.out.mark.State, c.out.changed = state, false
		marks[c.name] = c.out.mark
		added = append(added, c.out.added...)
		c.out.added = nil
	}
	return marks, added
}

// publish gives the files that k's checkpoint covers their final names.
func (s *shard) publish(k *cut) {
	for c := range s.own {
		m, ok := k.marks[c.name]
		if !ok || c.out.failed.Load() {
			continue
		}
		if err := c.out.series.Publish(m.State); err != nil {
			s.fail(c, fmt.Errorf("publish files of %s: %w", filepath.Join(s.files.o.Dir, c.name), err))
			continue
		}
		c.out.idle.Store(c.out.series.Idle())
	}
}

// reset opens c's series again as it stood at the last checkpoint; the drainer waits for the outcome.
func (s *shard) reset(c *category, m mark) {
	if s.own[c] {
		s.drop(c)
	}
	err := s.open(c, m)
	if err == nil {
		c.out.changed, c.out.added = false, nil
		c.out.failed.Store(false)
	}
	s.files.drain.resets <- err
}

// fail takes c out of service until a reset and tells the drainer.
func (s *shard) fail(c *category, err error) {
	s.files.health.Set("output "+c.name, err)
	c.out.failed.Store(true)
	s.files.drain.failures.Store(true)
}

// drop closes c's series; what was not synced stays as it is until the series is opened again.
func (s *shard) drop(c *category) {
	delete(s.own, c)
	if err := c.out.series.Close(); err != nil && !c.out.failed.Load() {
		s.files.log.Error("close output", "category", c.name, "error", err)
	}
	c.out.series = nil
}
