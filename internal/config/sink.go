package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"inkwell/rotate"
	"inkwell/store/series"
)

// File is a file or thriftfile store.
type File struct {
	series.PlainOptions
	Rotate   string    // the text of rotate_period
	Compress *Compress // nil: plain files, byte for byte as the original writes them
}

// Compress are the options of a file store with compress= or publish=. Its files get their final names when they are
// finished, unlike plain files.
type Compress struct {
	Codec  rotate.Codec // rotate.None with publish= alone
	Seek   bool         // zstd files end with a seek table
	Level  int          // 0 = the codec's default
	Period rotate.Period
	At     rotate.Clock
	Hive   bool          // finished files go to partitions, dt=DAY or dt=DAY/hr=HOUR
	Keep   time.Duration // finished files that are older are removed, 0 = never
	// the oldest finished files of a category are removed while they take more together, 0 = never
	KeepBytes int64
	// the oldest finished files of all categories are removed while they take more together, 0 = never
	KeepTotal   int64
	KeepOpen    bool          // the end of the server leaves open files to be continued, and does not finish them
	DoneMarkers bool          // write _SUCCESS.PERIOD when the files of a period are complete
	Lateness    time.Duration // how long that waits for a stream that has not moved on
	Depot       string        // address to which finished files are brought, "" = they stay
	Who         string        // the name of this collector in the depot, "" = a generated one
	AwayMax     int64         // bytes that may wait for that, 0 = any
}

// For appends the category to the directory and makes it the base of the file names.
func (f File) For(category string) Sink {
	f.Root = cmp.Or(f.Root, f.Dir)
	f.Dir = f.Dir + "/" + category
	f.Base = category
	return f
}

func (f File) String() string {
	kind := "file "
	switch {
	case f.Compress != nil && f.Compress.Codec == rotate.None:
		kind = "published file "
	case f.Compress != nil:
		kind = f.Compress.Codec.String() + " file "
	case f.Thrift:
		kind = "thriftfile "
	}
	return kind + filepath.Join(f.Dir, f.Sub, f.Base)
}

// Buffer is a store with a second one that takes over while the first fails.
type Buffer struct {
	Primary, Secondary Sink
	// the next attempt comes after RetryInterval ± half of RetryRange; both above 0
	RetryInterval, RetryRange time.Duration
	Replay                    bool          // entries of the secondary are sent to the primary later
	FlushStreaming            bool          // new entries do not wait for the replay
	Adaptive                  bool          // the next three say when to try again, not the two above
	MinRetry, MaxRetry        time.Duration // 0 < MinRetry <= MaxRetry
	MaxOffset                 time.Duration // 0 < MaxOffset <= MaxRetry
	SpoolMax                  int64         // bytes that may wait on disk, 0 = no bound
	// of a forwarder or pipe: where they wait, and Secondary is Null; "" = Secondary says it
	SpoolDir string
	Twin     int // buffers before it in the configuration that have the same secondary
}

// For copies both stores.
func (b Buffer) For(category string) Sink {
	b.Primary, b.Secondary = b.Primary.For(category), b.Secondary.For(category)
	return b
}

func (b Buffer) String() string {
	return "buffer (" + b.Primary.String() + ", " + b.Secondary.String() + ")"
}

// Network is a store that sends to another server.
type Network struct {
	// HOST:PORT, tls://HOST:PORT, unix:/path or a source (package discovery); none if there is a Mapping
	Addrs       []string
	TLS         TLS  // for those with tls://
	Shuffle     bool // they are equals: one is chosen at random
	Spread      bool // they are equals: all senders divide them among themselves
	Timeout     time.Duration
	Pool        bool          // stores with the same addresses share a connection
	IgnoreError bool          // failing is not shown in the status
	MaxBatch    int           // bytes of a call
	MaxAge      time.Duration // of a connection; 0 = any
	Quarantine  time.Duration // an entry that alone is answered with TRY_LATER is set aside after so long
	Mapping     *Mapping
}

// Mapping asks a BucketStoreMapping service where to send.
type Mapping struct {
	Addrs        []string // HOST:PORT of the service
	Bucket       int
	TTL, Timeout time.Duration
}

// For returns n, because a network store is the same for every category.
func (n Network) For(string) Sink { return n }

func (n Network) String() string {
	if m := n.Mapping; m != nil {
		return fmt.Sprintf("network bucket %d of %s", m.Bucket, strings.Join(m.Addrs, " "))
	}
	return "network " + strings.Join(n.Addrs, " ")
}

// Bucket is a store that chooses one of its children by the key at the beginning of a message.
type Bucket struct {
	Kind      string // key_hash, key_modulo, key_range, random or context_log
	Delimiter byte
	RemoveKey bool
	Range     uint64
	Children  []Sink // Children[0] gets messages without a key; the others are the buckets
}

// For copies every child.
func (b Bucket) For(category string) Sink {
	b.Children = each(b.Children, category)
	return b
}

func (b Bucket) String() string {
	return fmt.Sprintf("bucket %s of %d (%s)", b.Kind, len(b.Children)-1, list(b.Children))
}

// Multi is a store that passes everything to all of its children.
type Multi struct {
	Any      bool // it is enough if one of them accepts an entry
	Children []Sink
}

// For copies every child.
func (m Multi) For(category string) Sink {
	m.Children = each(m.Children, category)
	return m
}

func (m Multi) String() string {
	if m.Any {
		return "multi, any of (" + list(m.Children) + ")"
	}
	return "multi, all of (" + list(m.Children) + ")"
}

// ByCategory is a store with a child for each category, which is Model.For(category).
type ByCategory struct{ Model Sink }

// For copies the model, so that the category occurs twice in paths, as it does with the original.
func (c ByCategory) For(category string) Sink { return ByCategory{Model: c.Model.For(category)} }

func (c ByCategory) String() string { return "by category: " + c.Model.String() }

// Unusable is a store with a mistake in it. It takes nothing, so that messages wait for a corrected configuration.
type Unusable struct {
	Status  string // what is wrong
	Refusal string // what the original says instead when there are messages
}

// For returns u, because a copy would be no better.
func (u Unusable) For(string) Sink { return u }

func (u Unusable) String() string { return "nothing: " + u.Status }

// Null is a store that drops everything and counts it.
type Null struct{}

// For returns n.
func (Null) For(string) Sink { return Null{} }

func (Null) String() string { return "null" }

func each(sinks []Sink, category string) []Sink {
	copies := make([]Sink, len(sinks))
	for i, s := range sinks {
		copies[i] = s.For(category)
	}
	return copies
}

// list describes sinks in one line.
func list(sinks []Sink) string {
	texts := make([]string, len(sinks))
	for i, s := range sinks {
		texts[i] = s.String()
	}
	return strings.Join(texts, ", ")
}
