package store

import (
	"fmt"
	"strconv"
)

// Newlines says whether a message gets a "\n" behind it in the files.
type Newlines int

// The three worlds of Scribe's clients: those that send the newline, those that do not, and a mixture.
const (
	NewlinesNever     Newlines = iota // bytes come out as they went in
	NewlinesAlways                    // behind every message, also behind one that ends in a newline
	NewlinesIfMissing                 // only where a message does not end in one
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

// String is the word that ParseNewlines reads.
func (n Newlines) String() string { return [...]string{"never", "always", "if-missing"}[n] }

// Form is how messages stand in files.
type Form struct {
	Newlines Newlines
	Quote    bool // entries of many categories come together: the quoted category before each message, and each on a line of its own
}

// Append appends a message as it stands in a file.
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

// Room is how many bytes a message may need in a file.
func (f Form) Room(category, message []byte) int {
	if f.Quote {
		return len(message) + 4*len(category) + 4 // \xff for a byte at worst
	}
	return len(message) + 1
}
