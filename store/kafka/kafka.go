// Package kafka keeps the journal of several collectors in a Kafka topic.
//
//	Append ─► produce, acks=all ─► topic, N partitions ─► partition: epoch ─► stage ─► books ─► commit ─► publish
//	any collector                  key = category         its owner           └────── depot ──────┘       depot
//
// Any collector takes any call: Append returns when all in-sync replicas have the entries. Each partition has one owner
// among the collectors, by a consumer group with static members. The owner works in epochs. An epoch is a range of
// offsets: its entries become finished files in a scratch directory, in an engine of its own (see Engine), and then:
//
//  1. stage    each file is put into the depot, under a name that no reader sees
//  2. books    an object names the staged files, their final names, and which numbers of which streams are stored
//  3. commit   the end of the epoch and the name of the books become the committed offset of the group
//  4. publish  the files get their final names, and their manifests
//
// Whoever owns the partition next reads the committed offset and its books, publishes what is not published yet, and
// begins the next epoch there. An epoch without a commit leaves nothing that a reader sees: its entries are read again.
// So every entry is in one published file, once, whichever process dies at whatever step.
//
// Entries that were sent again, perhaps through another collector, are recognized by their numbers when the partition is
// drained: the engine begins each epoch with the table of streams that the books of the previous one contain.
//
// A member that was suspended for longer than its session has lost its partitions. Kafka refuses its commits until it
// has joined again, and it joins again only after all its partitions were stopped. After a commit of which the outcome
// is unknown the member joins again before it reads the committed offset: then Kafka refuses the former attempt, should
// it still be under way.
//
// All entries of a category are in one partition, or with a Fan all entries of a stream are. A Writer and a Withdrawal
// move entries between a topic and a journal elsewhere.
//
// Senders open stores that write each entry as a record of its own into topics for other programs.
//
// Limitations: the number of partitions must not change while entries wait, because retries and order depend on it.
// Entries without numbers that are sent again after an error are stored twice, as with every journal.
package kafka

import (
	"context"
	"log/slog"

	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store/depot"
)

// Options configure a Log. Address, Depot, Scratch and Begin must be set.
type Options struct {
	Address Address
	Depot   depot.Depot
	Scratch string // directory for the files of epochs; what an earlier run left there is removed
	// Begin opens the engine of an epoch.
	Begin func(Epoch) (Engine, error)
	// Source returns where a stream comes from, if its sender told; it goes along with the entries. May be nil.
	Source     func(stream [16]byte) (proto.Source, bool)
	MaxMessage int          // bytes of the longest message that Append gets; must be set
	Logger     *slog.Logger // nil = none
	Stats      *stats.Set   // nil = a new set
}

// Epoch describes an epoch to its engine.
type Epoch struct {
	Dir     string // an empty directory
	Who     string // the writer, for the names of files in the depot, e.g. p007-000000001234-3fa2: no two epochs share it
	Streams []byte // Product.Streams of the epoch before; nil = nothing is known
}

// Engine makes finished files of the entries of one epoch. Not safe for concurrent use.
type Engine interface {
	// Append takes entries, in order. It does not retain b.
	Append(ctx context.Context, b *proto.Batch) error
	// Finish returns when every entry is in a finished file.
	Finish() (Product, error)
	// Status describes the current problem, "" if there is none. Safe for concurrent use.
	Status() string
	// Discard ends the engine, whether or not it was finished.
	Discard() error
}

// Product is what an epoch has made.
type Product struct {
	Files   []File
	Twice   int64  // entries that were left out because they were stored already
	Empty   int64  // entries without a byte that are in no file because none was open
	Streams []byte // which numbers of which streams are stored, for the next epoch
}

// File is a finished file.
type File struct {
	Path    string // of the local file
	Name    string // in the depot
	Line    []byte // what it holds, as a line of a manifest
	Entries int64
}
