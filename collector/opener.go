package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"inkwell/internal/config"
	"inkwell/internal/discovery"
	"inkwell/internal/faultfs"
	"inkwell/internal/rpc"
	"inkwell/internal/stats"
	"inkwell/store"
	"inkwell/store/books"
	"inkwell/store/hop"
	"inkwell/store/journal"
	"inkwell/store/kafka"
	"inkwell/store/plain"
	"inkwell/store/series"
	"inkwell/store/spool"
	"inkwell/store/stream"
	"inkwell/store/tree"
)

// opener opens the stores that a configuration describes. Safe for concurrent use.
type opener struct {
	conf   *config.Config
	log    *slog.Logger
	stats  *stats.Set
	pool   *hop.Pool // of connections, for use_conn_pool
	peers  *hop.Peers
	spools *hop.Spools
	// directory finds the servers of stores that do not name them, and sender is the name of this collector among those
	// that share them.
	directory *discovery.Directory
	sender    string

	senders *kafka.Senders // clients of stores of the type kafka

	encoders *series.Encoders
	refused  string                     // directory for what peers refuse for good
	limit    int                        // categories at once
	own      func(stream [16]byte) bool // the streams of this collector's own making
	source   func(stream [16]byte) (stream.Source, bool)
	tuning   tuning
}

func newOpener(c *config.Config, state string, j *journal.Journal, o *Options) *opener {
	log, set := o.Logger, o.Stats
	return &opener{
		directory: discovery.NewDirectory(log), sender: state,
		conf: c, log: log, stats: set, pool: hop.NewPool(), peers: new(hop.Peers), spools: new(hop.Spools),
		encoders: series.NewEncoders(),
		senders:  kafka.NewSenders(),
		refused:  state, own: j.Own, source: j.Source, limit: fitCategories(c, log), tuning: o.tuning,
	}
}

// connectTimeout bounds how long opening a store waits to find out whether its peer answers.
const connectTimeout = 5 * time.Second

// opening is a store tree that is being opened.
type opening struct {
	*opener
	name   string       // of the queue
	shared bool         // by several categories
	saved  store.States // of the files, at the last checkpoint
}

// open opens the store that s describes, with everything beneath it.
func (o opening) open(s config.Sink) (store.Store, error) {
	switch s := s.(type) {
	case config.File:
		return o.file(s)
	case config.Network:
		return o.network(s, o.alone(s))
	case config.Buffer:
		return o.buffer(s)
	case config.Bucket:
		b := tree.BucketOptions{Kind: s.Kind, Delimiter: s.Delimiter, RemoveKey: s.RemoveKey, Range: s.Range}
		return tree.NewBucket(b, o.all(s.Children)), nil
	case config.Multi:
		if s.Any {
			var children []*store.Child
			for _, child := range s.Children {
				children = append(children, &store.Child{Open: o.again(child), Replaceable: true})
			}
			return tree.NewMulti(true, children), nil
		}
		return tree.NewMulti(false, o.all(s.Children)), nil
	case config.ByCategory:
		return o.byCategory(s.Model), nil
	case config.Kafka:
		return o.senders.Open(kafka.SenderOptions{Address: s.Address, Key: s.Key})
	case config.Null:
		return store.NewNull(o.stats, o.name), nil
	case config.Unusable:
		return store.NewUnusable(s.Status, s.Refusal), nil
	}
	return nil, fmt.Errorf("store %v of %s is of a kind that cannot be opened", s, o.name)
}

// again returns a function that opens a store which others may stand in for. Only the first call uses the saved states:
// what the store has written since the last checkpoint stays when it is opened again, because the journal is not
// replayed for it alone.
func (o opening) again(s config.Sink) func() (store.Store, error) {
	return func() (store.Store, error) {
		st, err := o.open(s)
		o.saved = nil
		return st, err
	}
}

// byCategory opens a store with one child for each category. Children for which something was left in a buffer are
// opened first.
func (o opening) byCategory(model config.Sink) store.Store {
	only := ""
	if isReserved(o.name) { // the store of a reserved name has just one child
		only = o.name
	}
	child := func(name string) *store.Child {
		child := o
		child.name, child.shared = name, false
		return child.part(model.For(name))
	}
	return tree.NewByCategory(tree.ByCategoryOptions{
		Limit: o.limit, Only: only, Kept: leftovers(model), Child: child,
	})
}

// all returns one child for each sink.
func (o opening) all(sinks []config.Sink) []*store.Child {
	children := make([]*store.Child, len(sinks))
	for i, s := range sinks {
		children[i] = o.part(s)
	}
	return children
}

// part returns a child that does not hold up the other children while it cannot be opened. It logs that once, and when
// it can be opened again.
func (o opening) part(s config.Sink) *store.Child {
	told := false
	return &store.Child{Open: func() (store.Store, error) {
		st, err := o.open(s)
		switch {
		case err != nil && !told:
			o.log.Error("a part of a store cannot be opened: it is tried again",
				"category", o.name, "part", s.String(), "error", err)
		case err == nil && told:
			o.log.Info("a part of a store can be opened again", "category", o.name, "part", s.String())
		}
		told = err != nil
		return st, err
	}}
}

func (o opening) file(s config.File) (store.Store, error) {
	f := s.PlainOptions
	f.Logger, f.Stats, f.Form.Quote, f.Own, f.Injector = o.log, o.stats, isReserved(o.name), o.own, o.tuning.injector
	if c := s.Compress; c != nil {
		return series.OpenCompressed(series.CompressedOptions{
			Root: f.Root, Dir: filepath.Join(f.Dir, f.Sub), Base: f.Base,
			Codec: c.Codec, Seek: c.Seek, Level: c.Level, Period: c.Period, At: c.At, Hive: c.Hive, MaxSize: f.MaxSize,
			Own: f.Own, After: func(dir *faultfs.Dir) string { return books.Newest(dir, f.Base) },
			Form: f.Form, Encoders: o.encoders, Logger: o.log, Stats: o.stats, Injector: f.Injector,
		}, o.saved)
	}
	return series.OpenPlain(f, o.saved)
}

// alone returns the quarantine of a network store without a buffer. Entries that its peer does not take are set aside
// in the state directory, and offered again.
func (o opening) alone(s config.Network) hop.QuarantineOptions {
	name := fnv.New64a()
	fmt.Fprintf(name, "%s %s", o.name, s)
	return hop.QuarantineOptions{Dir: o.refused, Held: fmt.Sprintf("held.%016x", name.Sum64()), Again: true}
}

// network opens a store that sends. q says where entries are set aside that its peer does not take.
func (o opening) network(s config.Network, q hop.QuarantineOptions) (store.Store, error) {
	n := hop.NetworkOptions{
		Addrs: s.Addrs, TLS: rpc.TLSFiles(s.TLS), Shuffle: s.Shuffle, Timeout: s.Timeout, MaxCall: s.MaxBatch,
		MaxAge: s.MaxAge, Probe: true, IgnoreError: s.IgnoreError,
		Source: o.source, Logger: o.log, Stats: o.stats, Peers: o.peers,
	}
	if s.Spread {
		n.Directory, n.Spread = o.directory, o.sender+" "+o.name
		if s.Pool { // the connection is shared by categories
			n.Spread = o.sender
		}
		name := fnv.New64a()
		fmt.Fprintf(name, "%s %s", n.Spread, s)
		n.Memory = hop.Memory{Dir: o.refused, Name: fmt.Sprintf(".%016x", name.Sum64()), After: s.Quarantine}
	}
	var st store.Store
	var err error
	switch m := s.Mapping; {
	case m != nil:
		st, err = hop.NewDynamic(hop.DynamicOptions{
			Service: m.Addrs, Bucket: m.Bucket, Category: o.name, TTL: m.TTL, Timeout: m.Timeout, Network: n,
		})
	case s.Pool:
		st, err = o.pool.Network(n)
	default:
		st, err = hop.NewNetwork(n)
	}
	if err != nil {
		return nil, err
	}
	q.After, q.Logger, q.Stats = s.Quarantine, o.log, o.stats
	quarantine, err := hop.OpenQuarantine(st, q)
	if err != nil {
		return nil, &store.StatusError{Text: "File open error", Err: errors.Join(err, st.Close())}
	}
	return quarantine, nil
}

// schedule says when a buffer tries its primary store again.
func schedule(s config.Buffer) store.Schedule {
	if s.Adaptive {
		return &hop.AdaptiveSchedule{Min: s.MinRetry, Max: s.MaxRetry, Offset: s.MaxOffset}
	}
	return hop.FixedSchedule{Interval: s.RetryInterval, Range: s.RetryRange}
}

func (o opening) buffer(s config.Buffer) (_ store.Store, err error) {
	secondary, isFile := s.Secondary.(config.File)
	if !s.Replay || !isFile {
		other, err := o.open(s.Secondary)
		if err != nil {
			return nil, err
		}
		f := tree.FailoverOptions{Schedule: schedule(s), Name: o.name, Stats: o.stats}
		return tree.NewFailover(o.again(s.Primary), other, f), nil
	}
	primary, err := o.primary(s, secondary)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, primary.Close())
		}
	}()
	st := primary
	if !keeps(s.Primary) {
		if _, node := primary.(store.Node); node {
			primary = tree.NewSender(primary)
		}
		if st, err = o.spooled(s, secondary, primary); err != nil {
			return nil, err
		}
	}
	if s.Twin > 0 { // only the first buffer with these files takes over what the original left
		return st, nil
	}
	t := plain.TakeoverOptions{
		Root: cmp.Or(secondary.Root, secondary.Dir), Dir: filepath.Join(secondary.Dir, secondary.Sub),
		Base: secondary.Base, Category: o.name, Name: o.name, Schedule: schedule(s), Logger: o.log, Stats: o.stats,
	}
	if secondary.WriteCategory || isReserved(o.name) || o.shared {
		t.Category = ""
	}
	return plain.NewTakeover(st, primary, t, o.saved)
}

// primary opens the primary store of a buffer.
func (o opening) primary(s config.Buffer, secondary config.File) (store.Store, error) {
	if n, ok := s.Primary.(config.Network); ok {
		return o.network(n, hop.QuarantineOptions{
			Root: cmp.Or(secondary.Root, secondary.Dir), Dir: spoolDir(s, secondary),
		})
	}
	return o.open(s.Primary)
}

// keeps says whether a store consists of files only, so that it needs no spool: what the files do not take waits in the
// journal.
func keeps(s config.Sink) bool {
	switch s := s.(type) {
	case config.File:
		return true
	case config.Bucket:
		return every(s.Children, keeps)
	case config.Multi:
		return every(s.Children, keeps)
	case config.ByCategory:
		return keeps(s.Model)
	case config.Null:
		return true
	}
	return false
}

// every says whether all sinks are as is says.
func every(sinks []config.Sink, is func(config.Sink) bool) bool {
	return !slices.ContainsFunc(sinks, func(s config.Sink) bool { return !is(s) })
}

// setsAside says whether the original would write to the secondary stores what the files of a store do not take.
func setsAside(s config.Sink) bool {
	switch s := s.(type) {
	case config.Buffer:
		_, isFile := s.Secondary.(config.File)
		return s.Replay && isFile && keeps(s.Primary)
	case config.Bucket:
		return every(s.Children, setsAside)
	case config.ByCategory:
		return setsAside(s.Model)
	}
	return false
}

// spooled puts a spool in front of a primary store that sends.
func (o opening) spooled(s config.Buffer, secondary config.File, primary store.Store) (store.Store, error) {
	dir, err := faultfs.OpenBeneath(cmp.Or(secondary.Root, secondary.Dir), spoolDir(s, secondary), nil)
	if err != nil {
		return nil, &store.StatusError{Text: "File open error", Err: fmt.Errorf("open spool: %w", err)}
	}
	sp, err := spool.Open(dir, spool.Options{MaxBytes: s.SpoolMax, Logger: o.log})
	if err != nil {
		err = errors.Join(fmt.Errorf("open spool: %w", err), dir.Close())
		return nil, &store.StatusError{Text: "File open error", Err: err}
	}
	b := hop.OpenBuffer(primary, sp, hop.BufferOptions{
		Name: o.name, Retry: schedule(s), FlushStreaming: s.FlushStreaming, Refused: dir,
		Logger: o.log.With("spool", dir.Path()), Stats: o.stats, Spools: o.spools,
	})
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	b.Connect(ctx)
	return b, nil
}

// spoolDir is the directory of a buffer's spool: beside the files that the original would write to its secondary store.
func spoolDir(b config.Buffer, secondary config.File) string {
	name := secondary.Base + ".spool"
	if b.Twin > 0 {
		name = fmt.Sprintf("%s.%d.spool", secondary.Base, b.Twin)
	}
	return filepath.Join(secondary.Dir, secondary.Sub, name)
}
