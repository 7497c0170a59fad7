package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"inkwell/internal/killpoint"
	"inkwell/rotate"
	"inkwell/store/manifest"
)

// cut is a checkpoint in the making: the drainer cuts its stream, every shard brings its files up to the cut, then the checkpoint is
// saved, sealed files are published and the journal is acknowledged. There is never more than one.
type cut struct {
	low, drained uint64
	live         map[string]uint64 // born, of each category that is alive
	forget       []*category       // complete ones, to be closed
	seal         bool              // seal all: the last cut of a run
	crowded      map[string]bool   // seal the files of these categories: there is too much to be remembered of them

	wait  sync.WaitGroup // for the shards
	mu    sync.Mutex
	marks map[string]mark     // of categories that changed
	added []manifest.Contents // to their files since the cut before
}

// reply is called by each shard once a round.
func (k *cut) reply(marks map[string]mark, added []manifest.Contents) {
	k.mu.Lock()
	maps.Copy(k.marks, marks)
	k.added = append(k.added, added...)
	k.mu.Unlock()
	k.wait.Done()
}

// send gives w to every shard and waits for their replies.
func (k *cut) send(shards []*shard, w work) {
	k.wait.Add(len(shards))
	for _, s := range shards {
		s.work <- w
	}
}

// finish completes a cut that was sent to the shards. It runs beside the drainer.
func (f *Files) finish(k *cut) error {
	k.wait.Wait()
	for name, m := range f.unsaved {
		if _, newer := k.marks[name]; !newer {
			k.marks[name] = m
		}
	}
	next := f.saved.advance(k)
	if f.drain.failures.Load() {
		next.Low = f.saved.Low // what failed is read again from there
	}
	for _, c := range k.added {
		f.ledger.add(c)
	}
	if f.unsaved == nil && next.equal(f.saved) { // the acknowledgement may have failed, or a power cut has taken it back
		f.publishBooks(next)
		return errors.Join(f.acknowledge(), f.retain())
	}
	killpoint.Reach("files.checkpoint.gathered")
	err := f.reserve.Save(func() error { return f.save(k, next) }, f.quiet)
	if err != nil {
		err = fmt.Errorf("save checkpoint in %s: %w", f.o.StateDir, err)
	}
	f.health.Set("checkpoint", err)
	if err != nil {
		f.unsaved = k.marks
		return err
	}
	killpoint.Reach("files.checkpoint.saved")
	f.saved, f.unsaved = next, nil
	k.send(f.shards, work{publish: k})
	k.wait.Wait()
	killpoint.Reach("files.manifest.begun")
	f.publishBooks(next)
	killpoint.Reach("files.checkpoint.published")
	if err := f.acknowledge(); err != nil {
		return err
	}
	killpoint.Reach("files.checkpoint.acked")
	f.reserve.Keep()
	return f.retain()
}

// save makes next durable, and before it what belongs to it: what is in the files, and which numbers are there.
func (f *Files) save(k *cut, next *checkpoint) error {
	if err := f.ledger.save(k.added); err != nil {
		return err
	}
	killpoint.Reach("files.ledger.saved")
	if err := f.journal.Sync(); err != nil { // numbers must not be known longer than what they are of
		return err
	}
	if err := f.streams.Save(); err != nil {
		return err
	}
	killpoint.Reach("files.streams.saved")
	return next.save(f.state)
}

// publishBooks brings manifests and markers up to a checkpoint. What cannot be written is tried again with the next.
func (f *Files) publishBooks(saved *checkpoint) {
	f.ledger.publish(saved, f.health)
	f.ledger.crowd(f.o.maxSpans)
	f.early.Add(int64(len(f.ledger.crowded)))
}

// acknowledge tells the journal what the checkpoint covers.
func (f *Files) acknowledge() error {
	err := f.journal.Ack(f.saved.Low)
	if err != nil {
		err = fmt.Errorf("acknowledge the journal in %s: %w", f.o.StateDir, err)
	}
	f.health.Set("journal acknowledgement", err)
	return err
}

// quiet runs do while no Append is in progress.
func (f *Files) quiet(do func() error) error {
	f.closeMu.Lock()
	defer f.closeMu.Unlock()
	f.pending.Wait()
	return do()
}

// advance is c with what k found out.
func (c *checkpoint) advance(k *cut) *checkpoint {
	n := &checkpoint{Version: checkpointVersion, Low: max(c.Low, k.low), Drained: max(c.Drained, k.drained), Categories: make(map[string]mark, len(k.live))}
	for name, born := range k.live {
		m, ok := k.marks[name]
		if !ok {
			m = c.Categories[name]
		}
		m.Born = born
		n.Categories[name] = m
	}
	return n
}

// equal says whether n says nothing new; a move of the offsets alone counts.
func (c *checkpoint) equal(n *checkpoint) bool {
	return c.Low == n.Low && maps.EqualFunc(c.Categories, n.Categories, func(a, b mark) bool {
		return a.Born == b.Born && a.Through == b.Through && sameState(a.State, b.State)
	})
}

func sameState(a, b rotate.State) bool {
	return slices.Equal(a.Sealed, b.Sealed) && (a.Open == nil) == (b.Open == nil) && (a.Open == nil || *a.Open == *b.Open)
}

// retain removes published files that are too old or too many, once a minute.
func (f *Files) retain() error {
	if f.o.Keep == 0 && f.o.KeepBytes == 0 || time.Since(f.pruned) < time.Minute {
		return nil
	}
	f.pruned = time.Now()
	removed, freed, err := rotate.Prune(f.root, f.o.Keep, f.o.KeepBytes, time.Now())
	if len(removed) > 0 {
		f.log.Info("removed old files", "files", len(removed), "bytes", freed, "first", removed[0], "last", removed[len(removed)-1])
	}
	if err != nil {
		err = fmt.Errorf("remove old files below %s: %w", f.o.Dir, err)
	}
	f.health.Set("retention", err)
	return nil
}
