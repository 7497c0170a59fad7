// Package status defines what a daemon reports about itself: one document, Status, which is the same for a collector, a
// forwarder and a pipe, and from which every view is made.
//
//	stats.Set ─ Meter (rates, an hour of history) ─┐
//	slog      ─ Events (recent warnings, errors)  ─┼─► Status ─ Judge ─► /status.json, the page, /healthz, /metrics, inkwell top, health
//	daemon    ─ journal, spool, hops, disks       ─┘
//
// The JSON of a Status is an interface that other programs build on: fields may be added, but none changes its meaning
// without a new Format. Sizes are in bytes, ages and durations in seconds, times in RFC 3339. A field that does not
// apply is left out, for example the journal of a forwarder.
//
// Strings in a Status come from outside, for example the names of categories and hosts, paths and errors. Whoever
// displays them must escape them.
//
// Limitations: rates are averages of about the last five seconds; the history is kept in memory and begins with the
// process.
package status

import "time"

// Format is the version of the document.
const Format = 1

// The roles of a daemon.
const (
	Collector = "collector"
	Forwarder = "forwarder"
	Pipe      = "pipe"
)

// Status is everything that a daemon reports about itself.
type Status struct {
	Format        int       `json:"format"`
	Now           time.Time `json:"now"` // when the document was made
	Verdict       Verdict   `json:"verdict"`
	Daemon        Daemon    `json:"daemon"`
	Received      Flow      `json:"received"`       // since the start, of all categories
	CategoryCount int       `json:"category_count"` // Categories has all of them
	// those with trouble first, then by bytes per second, then by bytes
	Categories []Category `json:"categories"`
	Senders    []Sender   `json:"senders"` // of a collector: who sends to it, the furthest behind first
	Hops       []Hop      `json:"hops"`    // where entries are sent on, in the order of the configuration
	Inputs     *Inputs    `json:"inputs,omitempty"`
	Journal    *Store     `json:"journal,omitempty"` // of a collector
	Topic      *Topic     `json:"topic,omitempty"`   // of a collector whose journal is a topic
	// of a forwarder or pipe; of a collector that sends on, all of them
	Spool *Store `json:"spool,omitempty"`
	Disks []Disk `json:"disks"`
	Files *Files `json:"files,omitempty"` // of a collector
	// entries and calls that were refused, thrown away or lost, by reason; those above 0
	Refused      []Refusal     `json:"refused"`
	Certificates []Certificate `json:"certificates"`
	Events       []Event       `json:"events"`  // recent warnings and errors of the log, the newest first
	History      History       `json:"history"` // of Received
}

// Daemon identifies the process.
type Daemon struct {
	Role     string    `json:"role"` // Collector, Forwarder or Pipe
	Host     string    `json:"host"`
	Listen   []string  `json:"listen"` // HOST:PORT, tls://HOST:PORT or unix:PATH
	State    string    `json:"state_dir,omitempty"`
	Version  string    `json:"version"`
	Revision string    `json:"revision,omitempty"` // of the source, if the build knows it
	Go       string    `json:"go"`
	PID      int       `json:"pid"`
	Started  time.Time `json:"started"`
	Uptime   float64   `json:"uptime_seconds"`
	Ready    bool      `json:"ready"`             // takes entries now
	Trouble  string    `json:"trouble,omitempty"` // what fb303 getStatusDetails says
}

// Flow is how much has come in total, and how fast it comes now.
type Flow struct {
	Entries          int64   `json:"entries"`
	Bytes            int64   `json:"bytes"` // of messages; 0 where a forwarder does not count them
	EntriesPerSecond float64 `json:"entries_per_second"`
	BytesPerSecond   float64 `json:"bytes_per_second"`
}

// Category is the state of one category.
type Category struct {
	Name string `json:"name"`
	Flow
	// when its last entry came, to some five seconds; none since the start
	LastEntry *time.Time `json:"last_entry,omitempty"`
	// messages that wait for a store of the category, or in a spool for its next hop
	Backlog int64   `json:"backlog_bytes"`
	Oldest  float64 `json:"oldest_seconds"`    // how long the oldest of them has waited; 0 = none waits
	Trouble string  `json:"trouble,omitempty"` // what its store says is wrong
}

// Sender is a host, or one source on a host, that sends to a collector.
type Sender struct {
	Host     string `json:"host"`
	Path     string `json:"path,omitempty"` // of the file that is followed, or the name of another input
	Category string `json:"category,omitempty"`
	Address  string `json:"address,omitempty"` // from where it is connected, or was last
	Via      string `json:"via,omitempty"`     // the relays it sends through, the nearest to this collector first
	Version  string `json:"version,omitempty"` // of the sender's program
	State    string `json:"state,omitempty"`   // sending, behind, trouble or silent: see package fleet
	// what it has read or spooled and not sent, and what it has not read yet
	Lag      int64      `json:"lag_bytes"`
	Oldest   float64    `json:"oldest_seconds"` // how long the oldest of that has waited
	LastSeen *time.Time `json:"last_seen,omitempty"`
	Entries  int64      `json:"entries"`
	Trouble  string     `json:"trouble,omitempty"`
}

// Hop is an address that entries are sent to.
type Hop struct {
	Address   string     `json:"address"`
	Up        bool       `json:"up"`              // it has a connection, or the last call to it was answered
	Since     *time.Time `json:"since,omitempty"` // since when that is so
	Inkwell   bool       `json:"inkwell"`         // it has shown that it is one
	LastError string     `json:"last_error,omitempty"`
	Failed    *time.Time `json:"last_error_at,omitempty"`
}

// Inputs is what a forwarder reads.
type Inputs struct {
	Count   int      `json:"count"`          // of files; Files has those that are the furthest behind, at most 1000
	Lag     int64    `json:"lag_bytes"`      // of all files: what has not been read
	Oldest  float64  `json:"oldest_seconds"` // how long the oldest line has waited that was not read
	Files   []Input  `json:"files"`
	Hanging []string `json:"hanging"` // file systems that do not answer; their files are not in Files
}

// Input is a followed file.
type Input struct {
	Path     string  `json:"path"`
	Category string  `json:"category"`
	Size     int64   `json:"size_bytes"`
	Lag      int64   `json:"lag_bytes"`
	Oldest   float64 `json:"oldest_seconds"`
	State    string  `json:"state"` // following, waiting, unreadable, done
	Error    string  `json:"error,omitempty"`
}

// Store is a journal or a spool. It holds entries that were accepted and have not reached their destination.
type Store struct {
	Dir     string `json:"dir"` // "" for several together
	Bytes   int64  `json:"bytes"`
	Entries int64  `json:"entries"`
	Limit   int64  `json:"limit_bytes"` // 0 = none
	// how long the oldest entry has been there; of a spool, how long it has not been empty
	Oldest  float64 `json:"oldest_seconds"`
	Pending int64   `json:"pending_bytes"` // of a journal: in memory, on the way to the stores
	Trouble string  `json:"trouble,omitempty"`
}

// Disk is a file system that the daemon writes to.
type Disk struct {
	Path  string `json:"path"`
	Use   string `json:"use"` // files, journal, spool or state
	Free  int64  `json:"free_bytes"`
	Total int64  `json:"total_bytes"`
	Error string `json:"error,omitempty"` // why the figures are not known, or old
}

// Files counts what happened to the output files of a collector since its start.
type Files struct {
	Published int64      `json:"published"`      // finished, and under their final name
	Last      *time.Time `json:"last,omitempty"` // the last of them, to some five seconds
}

// Refusal is a reason for which entries did not go where their sender wanted them.
type Refusal struct {
	Reason string `json:"reason"` // the counter: refused not allowed, denied for queue size, lost, …
	Count  int64  `json:"count"`  // since the start
	Recent int64  `json:"recent"` // of those, in the last ten minutes
}

// Certificate is one that the daemon presents to its peers.
type Certificate struct {
	File    string    `json:"file"`
	Subject string    `json:"subject"`
	Expires time.Time `json:"expires"`
}

// Event is a warning or an error that the daemon logged. A repeated one is listed once.
type Event struct {
	At      time.Time `json:"at"` // the last time
	Level   string    `json:"level"`
	Message string    `json:"message"`
	Detail  string    `json:"detail,omitempty"` // its attributes, as key=value
	Count   int       `json:"count"`
}

// History is how much came in during each step of the last hour, the oldest step first. The last step ended at End.
type History struct {
	Step    float64   `json:"step_seconds"`
	End     time.Time `json:"end"`
	Entries []int64   `json:"entries"`
	Bytes   []int64   `json:"bytes"`
}

// Fraction returns how full a store is, from 0 to 1; 0 without a limit.
func (s *Store) Fraction() float64 {
	if s == nil || s.Limit <= 0 {
		return 0
	}
	return float64(s.Bytes) / float64(s.Limit)
}

// Fraction returns the free share of a disk, from 0 to 1; 1 if that is not known.
func (d *Disk) Fraction() float64 {
	if d.Total <= 0 {
		return 1
	}
	return float64(d.Free) / float64(d.Total)
}
