package hop

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/rpc"
	"inkwell/proto"
	"inkwell/store/spool"
)

// addressName is the file in the directory of a doubt that has the address.
const addressName = "address"

// Settling the doubts of a collector is tried after pauses that grow.
const (
	firstSettle = 500 * time.Millisecond
	lastSettle  = 15 * time.Second
	settleBytes = 1 << 20 // of a call
)

// doubts keeps calls of which nobody knows whether a collector has taken them, because it has not answered: it may have
// them on its disk. If they were sent to another collector, both could have them; so they wait on the disk of the
// sender, while everything else goes elsewhere, and are offered to the same collector until it answers. It recognizes
// what it has by the numbers of the entries.
//
//	the answer is lost, and the collector cannot be reached ─► doubt ──┬── it is back, and answers OK ──► done
//	                                                                   └── it stays away for the time after ──► elsewhere,
//	                                                                       where they may be a second time
//
// Each collector has a spool of its own. Safe for concurrent use.
type doubts struct {
	log     *slog.Logger
	options rpc.ClientOptions
	after   time.Duration
	prefix  string                                    // of the names of the directories
	send    func(context.Context, *proto.Batch) error // to any collector
	count   *atomic.Int64                             // entries in doubt

	life    context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	mu   sync.Mutex
	dir  *faultfs.Dir // nil: nothing can be kept
	open map[string]*doubt
}

// doubt is what one collector may have.
type doubt struct {
	address string
	dir     *faultfs.Dir
	log     *spool.Log
	since   time.Time // since when this process has kept it
}

func newDoubts(n *Network) *doubts {
	ds := &doubts{log: n.o.Logger, options: n.link.options, open: make(map[string]*doubt), send: n.sendAnywhere,
		count: n.o.Stats.Overall("in doubt")}
	ds.options.Asks = nil // they are no senders that could go elsewhere
	ds.life, ds.stop = context.WithCancel(context.Background())
	return ds
}

// keep begins to keep doubts in a directory, which the doubts own from now on, and continues with those of an earlier
// process.
func (ds *doubts) keep(dir *faultfs.Dir, prefix string, after time.Duration) error {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	ds.dir, ds.prefix, ds.after = dir, prefix, after
	list, err := dir.ReadDir()
	if err != nil {
		return fmt.Errorf("look for calls in doubt in %s: %w", dir.Path(), err)
	}
	for _, e := range list {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		d, err := ds.openDoubt(e.Name(), "")
		if err != nil {
			return err
		}
		_, entries := d.log.Backlog()
		if entries == 0 {
			if err := d.close(); err != nil {
				return err
			}
			continue
		}
		ds.count.Add(entries)
		ds.begin(d)
	}
	return nil
}

// openDoubt opens a directory with a doubt; address is "" if an earlier process made it. The caller holds mu.
func (ds *doubts) openDoubt(name, address string) (*doubt, error) {
	dir, err := ds.dir.Sub(name)
	if err != nil {
		return nil, fmt.Errorf("open the calls in doubt: %w", err)
	}
	if address == "" {
		text, err := dir.ReadFile(addressName)
		if address = string(text); err != nil {
			ds.log.Warn("it is not known which collector may have the calls in a directory", "directory", dir.Path(),
				"error", err)
		}
	} else if err := dir.WriteFile(addressName, []byte(address)); err != nil {
		return nil, errors.Join(fmt.Errorf("open the calls in doubt: %w", err), dir.Close())
	}
	log, err := spool.Open(dir, spool.Options{Logger: ds.log})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the calls in doubt: %w", err), dir.Close())
	}
	return &doubt{address: address, dir: dir, log: log, since: time.Now()}, nil
}

// begin starts to settle a doubt. The caller holds mu.
func (ds *doubts) begin(d *doubt) {
	ds.open[d.address] = d
	ds.running.Go(func() { ds.settle(d) })
}

// add keeps the entries of a call to an address, durably.
func (ds *doubts) add(address string, batches []*proto.Batch) error {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if ds.dir == nil || ds.life.Err() != nil {
		return errors.New("calls in doubt are not kept: there is no directory for them")
	}
	d := ds.open[address]
	if d == nil {
		sum := fnv.New64a()
		sum.Write([]byte(address))
		var err error
		if d, err = ds.openDoubt(fmt.Sprintf("%s%016x", ds.prefix, sum.Sum64()), address); err != nil {
			return err
		}
		defer ds.begin(d)
	}
	var records []spool.Part
	entries := 0
	for _, b := range batches {
		records = appendRecords(records, b)
		entries += b.Count()
	}
	if _, err := d.log.AppendParts(context.Background(), records); err != nil {
		return fmt.Errorf("keep %d entries that are in doubt: %w", entries, err)
	}
	ds.count.Add(int64(entries))
	ds.log.Warn("the collector has not answered and may have these entries: they wait for it, others go elsewhere",
		"peer", address, "entries", entries, "directory", d.dir.Path(), "for", ds.after)
	return nil
}

// settle delivers a doubt, and ends when nothing of it is left.
func (ds *doubts) settle(d *doubt) {
	pause := rpc.Backoff{Min: firstSettle, Max: lastSettle}
	for {
		select {
		case <-ds.life.Done():
			return
		case <-time.After(pause.Next()):
		}
		err := ds.deliver(d)
		if err != nil && ds.life.Err() == nil && (d.address == "" || time.Since(d.since) >= ds.after) {
			err = ds.giveUp(d, err)
		}
		if err == nil && ds.finish(d) {
			return
		}
	}
}

// finish closes a doubt of which nothing is left, and reports whether that is so.
func (ds *doubts) finish(d *doubt) bool {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if _, entries := d.log.Backlog(); entries > 0 {
		return false
	}
	delete(ds.open, d.address)
	if err := d.close(); err != nil {
		ds.log.Error("close the calls in doubt", "error", err)
	}
	return true
}

// deliver offers the entries to their collector.
func (ds *doubts) deliver(d *doubt) error {
	if d.address == "" {
		return errors.New("the collector is not known")
	}
	c, err := rpc.Dial(ds.life, d.address, ds.options)
	if err != nil {
		return err
	}
	defer c.Close()
	entries := 0
	err = ds.each(d, func(batches []*proto.Batch) error {
		code, err := c.Log(ds.life, batches)
		if err == nil && code != proto.OK {
			err = fmt.Errorf("%s answers %d", d.address, code)
		}
		for _, b := range batches {
			entries += b.Count()
		}
		return err
	})
	if err == nil {
		ds.log.Info("the collector has answered: it has the entries that were in doubt, once", "peer", d.address,
			"entries", entries, "after", time.Since(d.since).Round(time.Millisecond))
	}
	return err
}

// giveUp sends the entries to any collector; cause is why the one that may have them cannot be asked.
func (ds *doubts) giveUp(d *doubt, cause error) error {
	_, entries := d.log.Backlog()
	ds.log.Warn("the collector stays away: entries that it may have are sent to another one, so that both may "+
		"have them",
		"peer", d.address, "entries", entries, "after", ds.after, "error", cause)
	return ds.each(d, func(batches []*proto.Batch) error {
		for _, b := range batches {
			if err := ds.send(ds.life, b); err != nil {
				return err
			}
		}
		return nil
	})
}

// each calls take for the records of a doubt, several at a time, and acknowledges them in the spool.
func (ds *doubts) each(d *doubt, take func([]*proto.Batch) error) (err error) {
	acked, _ := d.log.Bounds()
	reader := d.log.Reader(acked)
	defer func() { err = errors.Join(err, reader.Close()) }()
	for {
		var batches []*proto.Batch
		var end uint64
		for size, entries := 0, int64(0); ; {
			rec, ok, err := reader.TryNext()
			var damage *spool.CorruptError
			if errors.As(err, &damage) {
				ds.log.Error("the record of calls in doubt is damaged: it is skipped", "bytes", damage.End-damage.Start,
					"error", damage)
				continue
			}
			if err != nil {
				return err
			}
			if ok {
				b, copied := new(proto.Batch), new(proto.Batch)
				if err := canonical(b, rec); err != nil {
					return err
				}
				copied.AppendBatch(b) // the record is valid until the next one is read
				batches, end = append(batches, copied), rec.End
				size, entries = size+copied.Size(), entries+int64(copied.Count())
			}
			if !ok && len(batches) == 0 {
				return nil
			}
			if ok && size < settleBytes {
				continue
			}
			if err := take(batches); err != nil {
				return err
			}
			if err := d.log.Ack(end); err != nil {
				return err
			}
			ds.count.Add(-entries)
			break
		}
	}
}

// entries returns how many entries are in doubt, and an address of those that may have them.
func (ds *doubts) entries() (n int64, address string) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for _, d := range ds.open {
		_, entries := d.log.Backlog()
		n, address = n+entries, d.address
	}
	return n, address
}

// close ends settling. What is left is settled by the next process.
func (ds *doubts) close() error {
	ds.stop()
	ds.running.Wait()
	ds.mu.Lock()
	defer ds.mu.Unlock()
	var errs []error
	for _, d := range ds.open {
		_, entries := d.log.Backlog()
		ds.count.Add(-entries)
		errs = append(errs, d.close())
	}
	clear(ds.open)
	return errors.Join(errs...)
}

func (d *doubt) close() error { return errors.Join(d.log.Close(), d.dir.Close()) }
