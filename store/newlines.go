package store

import (
	"fmt"
	"strconv"
)

// Newlines says whether a "\n" is written behind each message in the files.
type Newlines int

// Clients of Scribe are of three kinds: some send the newline, some do not, and some send a mixture.
const (
	NewlinesNever     Newlines = iota // messages are written as they came
	NewlinesAlways                    // behind every message, even one that ends in a newline
	NewlinesIfMissing                 // only behind messages that do not end in one
)

// ParseNewlines reads never, always or if-missing.
func ParseNewlines(s string) (Newlines, error) {
	switch s {
	case "never":
		return NewlinesNever, nil
	case "always":
		return NewlinesAlways, nil
	case "if-missing":
		return NewlinesIfMissing, nil
	}
	return 0, fmt.Errorf("newlines %q: must be never, always or if-missing", s)
}

// String returns the word that ParseNewlines accepts.
func (n Newlines) String() string { return [...]string{"never", "always", "if-missing"}[n] }

// Form is the representation of messages in files.
type Form struct {
	Newlines Newlines
	Quote    bool // for files of many categories: each message is on a line of its own, behind its quoted category
}

// Append appends a message to dst in the representation of the files.
func (f Form) Append(dst, category, message []byte) []byte {
	if f.Quote {
		dst = append(strconv.AppendQuote(dst, string(category)), ' ')
	}
	dst = append(dst, message...)
	ended := len(message) > 0 && message[len(message)-1] == '\n'
	if f.Newlines == NewlinesAlways || !ended && (f.Quote || f.Newlines == NewlinesIfMissing) {
		dst = append(dst, '\n')
	}
	return dst
}

// Room returns the largest number of bytes that a message may take in a file.
func (f Form) Room(category, message []byte) int {
	if f.Quote {
		return len(message) + 4*len(category) + 4 // quoting turns a byte into at most four, e.g. \xff
	}
	return len(message) + 1
}
