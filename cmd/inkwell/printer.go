package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"inkwell/archive"
)

// onTerminal reports whether standard output is a terminal.
func (a *app) onTerminal() bool {
	f, ok := a.stdout.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// printer writes chunks unchanged, or line by line with the time and source before each. On a terminal, control
// characters are shown as escapes.
type printer struct {
	w       io.Writer
	query   *archive.Query
	source  bool // in front of each line
	time    bool
	visible bool // escape characters that control a terminal
	headers bool // print ==> NAME <== when the series changes
	open    bool // the last line has no end
	last    string
	buf     []byte
	origins map[string]*archive.Origins
}

// print writes a chunk.
func (p *printer) print(c *archive.Chunk) error {
	p.buf = p.buf[:0]
	if name := c.File.Final(); p.headers && dirOf(name) != p.last {
		if p.last != "" {
			p.buf = append(p.buf, '\n')
		}
		p.last = dirOf(name)
		p.buf = append(p.text(append(p.buf, "==> "...), []byte(p.last)), " <==\n"...)
	}
	if !p.source && !p.time {
		if !p.visible && len(p.buf) == 0 {
			_, err := p.w.Write(c.Data)
			return err
		}
		p.buf = p.text(p.buf, c.Data)
	} else if err := p.lines(c); err != nil {
		return err
	}
	_, err := p.w.Write(p.buf)
	return err
}

// lines splits a chunk into lines and adds the time and source.
func (p *printer) lines(c *archive.Chunk) error {
	var origins *archive.Origins
	if p.source {
		var err error
		if origins, err = p.originsOf(c.File); err != nil {
			return err
		}
	}
	raw := c.Raw
	for line := range bytes.Lines(c.Data) {
		if !p.open {
			if p.time {
				p.buf = append(p.buf, arrival(c.First)...)
				p.buf = append(p.buf, '\t')
			}
			if p.source {
				p.buf = append(p.text(p.buf, []byte(origins.At(raw))), '\t')
			}
		}
		p.buf = p.text(p.buf, line)
		p.open = line[len(line)-1] != '\n'
		if raw >= 0 {
			raw += int64(len(line))
		}
	}
	return nil
}

// arrival formats a time in the local time zone, with the zone.
func arrival(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02T15:04:05.000-07:00")
}

func (p *printer) originsOf(f *archive.File) (*archive.Origins, error) {
	if o := p.origins[f.Final()]; o != nil {
		return o, nil
	}
	if p.origins == nil {
		p.origins = make(map[string]*archive.Origins)
	}
	o, err := p.query.Origins(*f)
	if err == nil {
		p.origins[f.Final()] = o
	}
	return o, err
}

func (p *printer) text(dst, text []byte) []byte {
	if !p.visible {
		return append(dst, text...)
	}
	return appendVisible(dst, text)
}

// appendVisible appends text with escapes for what could control a terminal: control characters other than newline and
// tab, and bytes that are not UTF-8.
func appendVisible(dst, text []byte) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1, r < 0x20 && r != '\n' && r != '\t', r == 0x7f:
			dst = fmt.Appendf(dst, `\x%02x`, text[0])
		// and what changes the direction of writing
		case r >= 0x80 && r < 0xa0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = append(dst, text[:n]...)
		}
		text = text[n:]
	}
	return dst
}
