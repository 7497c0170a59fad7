package audit

import (
	"time"

	"inkwell/store/books"
	"inkwell/store/stream"
)

// Report is the result of an Audit.
type Report struct {
	Directories []string             `json:"directories"`
	Since       *time.Time           `json:"since,omitempty"`
	Categories  map[string]*Category `json:"categories"`
	Findings    []Finding            `json:"findings"`
	Sums        Sums                 `json:"sums"`
	Fault       bool                 `json:"fault"` // one of the findings is
}

// Category is the part of a report on one category.
type Category struct {
	Streams map[string]*Stream `json:"streams"` // by ID in hexadecimal; Unnumbered for entries without numbers
	Hours   []Hour             `json:"hours"`   // sums of all streams, ascending
	Sums    Sums               `json:"sums"`
	Files   []File             `json:"files,omitempty"`
}

// Unnumbered is the key of entries without numbers in Category.Streams.
const Unnumbered = "unnumbered"

// Stream is the part of a report on one stream in a category.
type Stream struct {
	Host string `json:"host,omitempty"` // where it comes from, as its sender tells
	Path string `json:"path,omitempty"`
	Next int64  `json:"next,omitempty"` // the number behind the highest known one
	// numbers below were acknowledged to the forwarder whose state was given
	Acknowledged int64  `json:"acknowledged,omitempty"`
	InSpool      int64  `json:"in_spool,omitempty"` // entries that are only in a spool
	Hours        []Hour `json:"hours"`
	Sums         Sums   `json:"sums"`
}

// Hour has the sums of an hour. Entries whose hour is unknown come last.
type Hour struct {
	Hour *time.Time `json:"hour"` // its beginning, UTC; nil: unknown
	Sums
}

// Sums counts entries. Received = Written + Journal + HandedOn + Duplicated + Refused.
type Sums struct {
	Received   int64 `json:"received"`
	Written    int64 `json:"written"`    // to files, including open files and files that were removed
	Journal    int64 `json:"journal"`    // only in the journal
	HandedOn   int64 `json:"handed_on"`  // to the next hop: taken, and neither here nor waiting
	Duplicated int64 `json:"duplicated"` // received again and left out
	Missing    int64 `json:"missing"`
	Refused    int64 `json:"refused"` // answered with OK and discarded
	Dropped    int64 `json:"dropped"` // set aside by the sender, because the next hop refuses them for good
}

func (s *Sums) add(o Sums) {
	s.Received += o.Received
	s.Written += o.Written
	s.Journal += o.Journal
	s.HandedOn += o.HandedOn
	s.Duplicated += o.Duplicated
	s.Missing += o.Missing
	s.Refused += o.Refused
	s.Dropped += o.Dropped
}

// Kind is the subject of a Finding.
type Kind string

// The kinds of findings.
const (
	Missing Kind = "missing"    // entries that are nowhere
	Dropped Kind = "dropped"    // entries in a spool of refused entries
	Refused Kind = "refused"    // refused entries that a collector counted; Text is the reason
	InBoth  Kind = "in_both"    // entries that more than one collector has
	Twice   Kind = "twice"      // entries that are in files of one collector more than once
	Copied  Kind = "copied"     // entries in several directories of a collector whose configuration was not given
	Lost    Kind = "lost_file"  // an open file that does not exist any more
	Damaged Kind = "wrong_file" // a file whose content is not what the manifest says, found by Verify
	Gone    Kind = "removed"    // finished files that do not exist any more, removed by retention or by somebody
	Note    Kind = "note"
)

// Finding is a fact that readers of a report should know.
type Finding struct {
	Kind        Kind       `json:"kind"`
	Fault       bool       `json:"fault"` // the finding makes the audit fail
	Category    string     `json:"category,omitempty"`
	Stream      string     `json:"stream,omitempty"`
	Host        string     `json:"host,omitempty"` // source of the stream, according to its sender
	Path        string     `json:"path,omitempty"`
	Entries     int64      `json:"entries,omitempty"`
	Numbers     string     `json:"numbers,omitempty"` // e.g. 3400-4599,5000
	Since       *time.Time `json:"hour,omitempty"`    // the first hour concerned
	Directories []string   `json:"directories,omitempty"`
	File        string     `json:"file,omitempty"`
	Text        string     `json:"text,omitempty"`
	Why         string     `json:"why,omitempty"` // for removed files: "retention", or unknown
}

// State is the state of a file.
type State string

// The states of files.
const (
	Published State = "published"
	Open      State = "open"    // being written: what the last checkpoint found in it
	Removed   State = "removed" // by retention, or by hand
)

// File is a file with its line of a manifest.
type File struct {
	Directory string `json:"directory"`
	State     State  `json:"state"`
	books.File
}

// Ranges returns f.Numbers as a set.
func (f *Finding) Ranges() stream.Ranges {
	r, err := stream.ParseRanges(f.Numbers)
	if err != nil {
		return nil
	}
	return r
}
