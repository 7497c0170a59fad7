// Package config defines the meaning of configuration files: every option of every block, with its type and default. It
// reports what is wrong with a file, line by line.
//
//	bytes ─ conf.Parse ─► blocks ─ Load ─► Config ─┬─ Stores: categories → Sink (file | buffer | network | bucket | multi | category | null)
//	                                               ├─ Tails, Pipes, Journals, Syslogs: where a forwarder takes lines from
//	                                               └─ Problems: file:line, what, the cure
//
// A Sink is the description of a store and not the store itself. It holds nothing open and is never changed after it
// was loaded, so it can be shared, compared by its String, and kept beside its successor at a reload. A block for
// categories that are not known yet (default, prefix*, categories=) is a model: For makes a copy with all options for
// one category.
//
// The table of options (options.go and the tables that it gathers) is the only place for defaults: Load takes them from
// it, unknown keys are detected by it, and docs/configuration.md is generated from it (go generate).
//
// Invariants: a store with a mistake in it has a Status, in the words of the original. A block that is no store at all
// has no Sink. A mistake within a store makes that part Unusable or leaves it out, as the original did. Numbers that
// make no sense are replaced by the nearest sensible ones or the default, with a warning.
//
// Limitations: host names are not resolved and files are not touched; what fails only when a store is opened is not
// reported here.
package config

import (
	"math"
	"time"

	"inkwell/forwarder/lines"
	"inkwell/internal/access"
	"inkwell/internal/conf"
	"inkwell/store/kafka"
)

//go:generate go test -run TestDocument -update .

// NoLimit is a number of bytes that nothing reaches.
const NoLimit = math.MaxInt64

// Config is a configuration file after it was read and checked.
type Config struct {
	File     *conf.File
	New      bool // in a file of the new style unknown words are errors, and one error spoils the file
	Problems []conf.Problem
	Status   string // why nothing of the file can be used, in the original's words followed by the cause; "" = fine

	Port                 int      // of port=; 0: none was given
	Listen               []string // of listen=: HOST:PORT, tls://HOST:PORT or unix:/path
	HTTP                 []string // of http=: addresses on which only HTTP is answered
	TLS                  TLS      // of the listeners; network stores without their own use it, too
	Allow                *access.Rules
	MaxMessagesPerSecond int64 // 0 = no limit
	MaxQueueSize         int64 // bytes; NoLimit = only the journal limits the queue
	MaxFrame             int   // bytes
	MaxTrusted           int   // the same from this machine, and from peers that an <allow> block names, if it is more
	MaxEntries           int   // of a call; 0 = one for each 32 bytes of the largest frame
	MaxMessage           int   // bytes; 0 = what a frame holds
	MaxPerAddress        int   // connections; 0 = no limit
	MaxInFlight          int64 // bytes
	IdleTimeout          time.Duration
	HeaderTimeout        time.Duration
	MaxConnections       int // 0 = no limit of the file
	MaxCategories        int
	CheckInterval        time.Duration
	ThreadPerCategory    bool // each category has a queue and a store of its own
	LongestPrefix        bool // of several prefixes that match the longest is taken, not the first in byte order

	Durability string // sync, write or memory
	// the directory of journal and checkpoint, or of a forwarder's positions; "" = one below StateDir
	State      string
	StateDir   string         // "" = the default of the system
	User       string         // NAME[:GROUP] to become, "" = none
	Host       string         // name of this machine for a forwarder or pipe, "" = its host name
	JournalMax int64          // bytes
	Topic      *kafka.Address // the journal is a topic; nil = it is in the state directory
	StreamTTL  time.Duration

	Stores   []*Store // in the byte order of the names of their blocks
	Tails    []Tail
	Pipes    []Pipe
	Journals []Journal
	Syslogs  []Syslog
}

// TLS names PEM files. The zero value is: no certificate, and the authorities of the system.
type TLS struct {
	Cert, Key, CA string
	ServerName    string // of a network store: the name in the server's certificate; "" = the host
}

// Store is one top-level block with a store.
type Store struct {
	Name       string
	Line       int
	Categories []string // as they were written: "foo", "foo*", "default"
	List       bool     // by categories=: with ThreadPerCategory even plain names are copies of a model
	// the name of its only queue without ThreadPerCategory: "foo", "default", or the text of categories=
	Handled string
	Status  string // why the block cannot be used, or not all of it, in the original's words; "" = it can

	TargetWriteSize  int64 // bytes that make a batch
	MaxWriteInterval time.Duration
	MustSucceed      bool

	Sink Sink // if Status is not "": nil, Unusable or the usable part
}

// Sink says where a batch goes. Its dynamic type is one of the structs of this package (not a pointer to one). It is
// never changed and may be used by any number of goroutines.
type Sink interface {
	// For returns the copy of a model for one category. The category must be safe as the name of a file.
	For(category string) Sink
	// String describes the sink in one line. Two sinks that write to the same place have the same description.
	String() string
}

// Tail is a <tail> block: files to follow.
type Tail struct {
	Category string // can use the names of Glob
	Glob     string
	Exclude  []string
	FromEnd  bool   // existing files are read from their end when they are first seen
	Prefix   string // before each message; {host} and {path} stand for those
	Lines    lines.Options
}

// Pipe is a <pipe> block: standard input.
type Pipe struct {
	Category     string
	Prefix       string        // as that of a Tail
	DropWhenFull bool          // lines are dropped, not waited for, when neither memory nor buffer has room
	DrainTimeout time.Duration // how long the end of input waits for the network
}
