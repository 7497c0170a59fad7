package store

import "fmt"

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

// Missing says whether message needs a newline behind it.
func (n Newlines) Missing(message []byte) bool {
	return n == NewlinesAlways || n == NewlinesIfMissing && (len(message) == 0 || message[len(message)-1] != '\n')
}
