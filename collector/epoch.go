package collector

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"inkwell/internal/config"
	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/rotate"
	"inkwell/store/books"
	"inkwell/store/depot"
	"inkwell/store/journal"
	"inkwell/store/kafka"
	"inkwell/store/spool"
	"inkwell/store/stream"
)

const (
	epochMemory  = 16 << 20        // bytes of entries pending in the outlets of one partition
	epochJournal = 256 << 20       // bytes in its journal before draining waits
	finishLimit  = 3 * time.Minute // for the files of an epoch
	fullWait     = 50 * time.Millisecond
)

// epoch makes finished files of a part of a topic. It is the engine of a collector with a journal, a state and output
// files of its own, all in a scratch directory: if it fails, or its process dies, it is thrown away, and its entries are
// read from the topic again. Therefore its journal need not be durable, only written. It implements kafka.Engine.
type epoch struct {
	dir     string
	journal *journal.Journal
	closed  bool
	stats   *stats.Set
	total   *stats.Set // of the collector
	made    madeFiles
}

// beginEpoch opens the engine of an epoch, with the stores of a configuration. It shares the encoders of front, the
// opener of the collector's own stores.
func (i *intake) beginEpoch(c *config.Config, front *opener, e kafka.Epoch) (_ kafka.Engine, err error) {
	p := &epoch{dir: e.Dir, stats: stats.New(), total: i.stats}
	state := filepath.Join(e.Dir, "state")
	if err := seed(state, e.Streams); err != nil {
		return nil, err
	}
	conf := inScratch(c, e.Dir)
	conf.MaxCategories = front.limit // which fits the limit of open files, as was logged once
	o := &Options{Logger: i.log.With("epoch", e.Who), Stats: p.stats, tuning: i.o.tuning}
	p.journal, err = journal.Open(journal.Options{StateDir: state, MaxBytes: epochJournal, Memory: epochMemory,
		StreamTTL: conf.StreamTTL, Durability: spool.Write, Logger: o.Logger, Stats: p.stats, Tuning: o.tuning.journal,
		Injector: o.tuning.injector})
	if err != nil {
		return nil, err
	}
	opener := newOpener(conf, state, p.journal, o)
	opener.encoders = front.encoders
	routes := newRouter(conf, p.journal, opener, p.stats).routes()
	p.made = madeFiles{root: e.Dir, who: e.Who, hive: make(map[string]bool), files: make(map[string]kafka.File)}
	for k, s := range conf.Stores {
		f, ok := s.Sink.(config.File)
		p.made.hive[strconv.Itoa(k)] = ok && f.Compress.Hive
	}
	routes.Depot = &p.made
	p.journal.Start(routes)
	return p, nil
}

// seed gives the state directory of an epoch the table of streams of the epoch before.
func seed(state string, streams []byte) error {
	dir, err := faultfs.OpenBeneath("", state, nil)
	if err != nil || len(streams) == 0 {
		return errors.Join(err, closeDir(dir))
	}
	return errors.Join(dir.WriteFile(stream.FileName, streams), dir.Close())
}

// closeDir closes a directory unless it could not be opened.
func closeDir(dir *faultfs.Dir) error {
	if dir == nil {
		return nil
	}
	return dir.Close()
}

// inScratch returns a configuration with the output files of each store in a directory of its own below dir.
func inScratch(c *config.Config, dir string) *config.Config {
	there := *c
	there.Stores = nil
	for k, s := range c.Stores {
		one := *s
		if f, err := config.PublishedFile(s.Sink); s.Sink != nil && err == nil {
			f.Root, f.Dir, f.Sub = "", filepath.Join(dir, "files", strconv.Itoa(k)), ""
			compress := *f.Compress
			compress.Depot, compress.Keep, compress.KeepBytes, compress.KeepTotal = "", 0, 0, 0
			compress.KeepOpen, compress.DoneMarkers = false, false
			f.Compress = &compress
			one.Sink = f
		}
		there.Stores = append(there.Stores, &one)
	}
	return &there
}

// Append implements kafka.Engine. While the journal of the epoch is full, it waits. With any other error the epoch is at
// an end: if the disk is full, because of the epochs of all partitions perhaps, then this one makes room.
func (p *epoch) Append(ctx context.Context, b *proto.Batch) error {
	for {
		err := p.journal.Append(ctx, b)
		if !errors.Is(err, spool.ErrFull) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		timer := time.NewTimer(fullWait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Finish implements kafka.Engine.
func (p *epoch) Finish() (made kafka.Product, err error) {
	trouble := p.Status()
	p.journal.Stop(finishLimit)
	if bytes, entries := p.journal.Backlog(); entries > 0 {
		return made, fmt.Errorf("%d entries (%d bytes) could not be written to %s: %s", entries, bytes, p.dir, trouble)
	}
	if err := p.close(); err != nil {
		return made, err
	}
	if made.Streams, err = streamsOf(filepath.Join(p.dir, "state")); err != nil {
		return made, err
	}
	made.Twice = p.stats.Get(stats.Overall + ":duplicates")
	p.total.Overall("duplicates").Add(made.Twice)
	if made.Empty, err = p.made.empty(); err != nil {
		return made, err
	}
	made.Files, err = p.made.list()
	return made, err
}

// streamsOf returns the table of streams in a state directory.
func streamsOf(state string) ([]byte, error) {
	dir, err := faultfs.OpenBeneath("", state, nil)
	if err != nil {
		return nil, err
	}
	data, err := dir.ReadFile(stream.FileName)
	if errors.Is(err, fs.ErrNotExist) { // no entry had a number
		err = nil
	}
	return data, errors.Join(err, dir.Close())
}

func (p *epoch) close() error {
	p.closed = true
	return p.journal.Close()
}

// Status implements kafka.Engine.
func (p *epoch) Status() string {
	if text := p.journal.Status(); text != "" {
		return text
	}
	return p.journal.StoreStatus()
}

// Discard implements kafka.Engine.
func (p *epoch) Discard() error {
	if p.closed {
		return nil
	}
	p.journal.Stop(time.Nanosecond)
	return p.close()
}

// madeFiles collects the finished files of an epoch. It takes the place of a depot in the engine, and implements
// books.Depot. Safe for concurrent use.
type madeFiles struct {
	root string // files are below files/N, N being the number of the store
	who  string
	hive map[string]bool // by N: the files are in partitions

	mu    sync.Mutex
	files map[string]kafka.File // by path
}

// Add implements books.Depot.
func (m *madeFiles) Add(dir string, files []books.File) error {
	rel, err := filepath.Rel(filepath.Join(m.root, "files"), dir)
	if err != nil {
		return err
	}
	number, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range files {
		local := filepath.Join(dir, f.Name)
		if m.hive[number] {
			local = filepath.Join(dir, rotate.Partition(f.Name), f.Name)
		}
		name := depot.Naming{Root: filepath.Join(m.root, "files", number), Who: m.who, Hive: m.hive[number]}.File(dir, &f)
		f.Name = path.Base(name)
		line, err := books.AppendFile(nil, &f)
		if err != nil {
			return err
		}
		m.files[local] = kafka.File{Path: local, Name: name, Line: line, Entries: f.Entries}
	}
	return nil
}

// Mark implements books.Depot: done markers are not configured.
func (m *madeFiles) Mark(string, *books.Marker) error { return nil }

// Holds implements books.Depot.
func (m *madeFiles) Holds(string, string) bool { return false }

// empty returns the number of entries that are in no file because they have no bytes.
func (m *madeFiles) empty() (entries int64, err error) {
	for number := range m.hive {
		dir, err := faultfs.OpenBeneath(m.root, filepath.Join(m.root, "files", number), nil)
		if err != nil {
			return 0, err
		}
		counts, _, err := books.ReadCounts(dir)
		if err = errors.Join(err, dir.Close()); err != nil {
			return 0, err
		}
		for _, c := range counts {
			if c.What == books.Empty {
				entries += c.Entries
			}
		}
	}
	return entries, nil
}

// list returns the files, in the order of their names.
func (m *madeFiles) list() (all []kafka.File, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, local := range slices.Sorted(maps.Keys(m.files)) {
		if _, err := os.Stat(local); err != nil {
			return nil, fmt.Errorf("a finished file is gone: %w", err)
		}
		all = append(all, m.files[local])
	}
	return all, nil
}
