package audit

import (
	"time"

	"inkwell/store/books"
	"inkwell/store/stream"
)

// Report is what an Audit found.
type Report struct {
	Directories []string             `json:"directories"`
	Since       *time.Time           `json:"since,omitempty"`
	Categories  map[string]*Category `json:"categories"`
	Findings    []Finding            `json:"findings"`
	Sums        Sums                 `json:"sums"`
	Fault       bool                 `json:"fault"` // one of the findings is
}

// Category is what was found of a category.
type Category struct {
	Streams map[string]*Stream `json:"streams"` // by their names in hexadecimal, Unnumbered for what has no numbers
	Hours   []Hour             `json:"hours"`   // of all streams, ascending
	Sums    Sums               `json:"sums"`
	Files   []File             `json:"files,omitempty"`
}

// Unnumbered stands for entries without numbers in Category.Streams.
const Unnumbered = "unnumbered"

// Stream is what was found of a stream in a category.
type Stream struct {
	Host         string `json:"host,omitempty"` // where it comes from, as its sender tells
	Path         string `json:"path,omitempty"`
	Next         int64  `json:"next,omitempty"`         // behind the highest number known
	Acknowledged int64  `json:"acknowledged,omitempty"` // to the forwarder whose state was given
	InSpool      int64  `json:"in_spool,omitempty"`     // entries that wait there and are nowhere else
	Hours        []Hour `json:"hours"`
	Sums         Sums   `json:"sums"`
}

// Hour is the sums of an hour; those of entries of which the hour is not known come last.
type Hour struct {
	Hour *time.Time `json:"hour"` // its beginning, UTC; nil: not known
	Sums
}

// Sums counts entries. Received = Written + Journal + HandedOn + Duplicated + Refused.
type Sums struct {
	Received   int64 `json:"received"`
	Written    int64 `json:"written"`    // to files, open ones too, those that retention has removed since too
	Journal    int64 `json:"journal"`    // in no file yet
	HandedOn   int64 `json:"handed_on"`  // to the next hop: taken, and neither here nor waiting
	Duplicated int64 `json:"duplicated"` // came again, and were left out
	Missing    int64 `json:"missing"`
	Refused    int64 `json:"refused"` // answered OK and thrown away
	Dropped    int64 `json:"dropped"` // kept aside by their sender: the next hop refuses them for ever
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

// Kind says what a Finding is about.
type Kind string

// The kinds of findings.
const (
	Missing Kind = "missing"    // nowhere
	Dropped Kind = "dropped"    // in a spool of what was refused
	Refused Kind = "refused"    // counted by a collector, Text says why
	InBoth  Kind = "in_both"    // more than one collector has them
	Twice   Kind = "twice"      // in the files of one collector more than once
	Copied  Kind = "copied"     // in the files of several directories of one collector, of which no configuration was given
	Lost    Kind = "lost_file"  // an open file that is not there any more
	Damaged Kind = "wrong_file" // Verify found something else than the manifest says
	Gone    Kind = "removed"    // finished files that are not there any more: retention or somebody removed them
	Note    Kind = "note"
)

// Finding is something to be known.
type Finding struct {
	Kind        Kind       `json:"kind"`
	Fault       bool       `json:"fault"` // it makes the audit fail
	Category    string     `json:"category,omitempty"`
	Stream      string     `json:"stream,omitempty"`
	Host        string     `json:"host,omitempty"` // where the stream comes from, as its sender tells
	Path        string     `json:"path,omitempty"`
	Entries     int64      `json:"entries,omitempty"`
	Numbers     string     `json:"numbers,omitempty"` // as in 3400-4599,5000
	Since       *time.Time `json:"hour,omitempty"`    // the first hour concerned
	Directories []string   `json:"directories,omitempty"`
	File        string     `json:"file,omitempty"`
	Text        string     `json:"text,omitempty"`
	Why         string     `json:"why,omitempty"` // of files that are gone: "retention", or not known
}

// State is what became of a file.
type State string

// The states of files.
const (
	Published State = "published"
	Open      State = "open"    // being written: what the last checkpoint found in it
	Removed   State = "removed" // by retention, or by hand
)

// File is a line of a manifest.
type File struct {
	Directory string `json:"directory"`
	State     State  `json:"state"`
	books.File
}

// Ranges is f.Numbers as a set.
func (f *Finding) Ranges() stream.Ranges {
	r, err := stream.ParseRanges(f.Numbers)
	if err != nil {
		return nil
	}
	return r
}
