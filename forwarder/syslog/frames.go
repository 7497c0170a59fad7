package syslog

import (
	"bufio"
	"bytes"
	"io"
)

// frames cuts a stream into messages. Each message may use either framing of RFC 6587:
//
//	LENGTH SP <PRI>… bytes    octet counting
//	text LF                   a line, "non-transparent framing"; on a unix socket a NUL ends it, too, as syslog(3) sends
type frames struct {
	r     *bufio.Reader
	max   int  // bytes of a message; longer ones are returned in pieces
	nul   bool // a NUL ends a line
	left  int  // bytes of a counted message that are still to come
	split bool // the last piece was not the end of its message
}

// countDigits is the most digits of a length.
const countDigits = 9

func newFrames(r io.Reader, limit int, nul bool) *frames {
	return &frames{r: bufio.NewReaderSize(r, limit+countDigits+2), max: limit, nul: nul}
}

// next returns a message, or a piece of one, which is valid until the next call. When the stream ends or breaks, there
// may be a last message without an end; the error comes with the call after it.
func (f *frames) next() (b []byte, err error) {
	if f.left == 0 && !f.split {
		if err := f.begin(); err != nil {
			return nil, err
		}
	}
	if f.left > 0 {
		return f.counted()
	}
	return f.line()
}

// begin skips what may be between two messages, and reads the length of a counted one.
func (f *frames) begin() error {
	for {
		b, err := f.r.Peek(1)
		if err != nil {
			return err
		}
		if b[0] != '\n' && b[0] != '\r' && b[0] != 0 {
			break
		}
		_, _ = f.r.Discard(1) // cannot fail: it was peeked at
	}
	n, digits := 0, 0
	for {
		b, err := f.r.Peek(digits + 2) // a count is followed by a blank and the < of the priority
		if len(b) <= digits {
			if len(b) > 0 { // the stream ends or breaks here: the rest is a line
				err = nil
			}
			return err
		}
		switch c := b[digits]; {
		case c >= '0' && c <= '9' && digits < countDigits && (digits > 0 || c != '0'):
			n = 10*n + int(c-'0')
			digits++
		case c == ' ' && digits > 0 && len(b) > digits+1 && b[digits+1] == '<':
			_, _ = f.r.Discard(digits + 1) // cannot fail
			f.left = n
			return nil
		default:
			return nil
		}
	}
}

// counted returns the rest of a counted message, or a piece of it.
func (f *frames) counted() ([]byte, error) {
	want := min(f.left, f.max)
	b, err := f.r.Peek(want)
	if err != nil && len(b) == 0 {
		f.left = 0
		return nil, err
	}
	_, _ = f.r.Discard(len(b)) // cannot fail
	f.left -= len(b)
	if err != nil { // the stream has ended within it
		f.left = 0
	}
	f.split = f.left > 0
	return b, nil
}

// line returns a line without its end, or as much of it as fits into a message.
func (f *frames) line() ([]byte, error) {
	for n := 1; ; {
		b, err := f.r.Peek(n)
		if i := f.end(b); i >= 0 {
			_, _ = f.r.Discard(i + 1) // cannot fail
			f.split = false
			return b[:i], nil
		}
		switch {
		case len(b) >= f.max:
			b = b[:f.max]
			f.split = true
		case err == nil:
			n = min(max(n+1, f.r.Buffered()), f.max)
			continue
		case len(b) == 0:
			return nil, err
		default: // the last line has no end
			f.split = false
		}
		_, _ = f.r.Discard(len(b)) // cannot fail
		return b, nil
	}
}

func (f *frames) end(b []byte) int {
	if !f.nul {
		return bytes.IndexByte(b, '\n')
	}
	return bytes.IndexAny(b, "\n\x00")
}
