package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"

	"inkwell/internal/faultfs"
	"inkwell/rotate"
	"inkwell/store/audit"
	"inkwell/store/manifest"
)

// deduper prints files of several collectors, each numbered entry once. What stands where in a file its manifest says.
type deduper struct {
	w      *bufio.Writer
	warn   func(format string, args ...any)
	copies audit.Copies
	known  map[string]contents // by directory of a category
	doubt  int64               // entries that were written and may have been before
}

// contents is what files of a category hold, by their final names.
type contents struct {
	open, finished map[string]held
}

// held is what a file holds.
type held struct {
	first     time.Time
	spans     []manifest.Span
	unordered bool // spans do not stand in this order
}

// dedupe prints what args name: files in the order given, directories that follow each other by the times of their files.
func (a *app) dedupe(ctx context.Context, args []string) error {
	d := &deduper{w: bufio.NewWriterSize(a.output(), 64<<10), known: make(map[string]contents)}
	d.warn = func(format string, args ...any) { say(a.screen, "inkwell cat: "+format+"\n", args...) }
	pieces, err := d.pieces(args)
	if err != nil {
		return err
	}
	for _, p := range pieces {
		if err := errors.Join(ctx.Err(), d.file(p)); err != nil {
			return errors.Join(err, d.w.Flush())
		}
	}
	if err := d.w.Flush(); err != nil {
		return err
	}
	if d.doubt > 0 {
		return fmt.Errorf("up to %s may be twice", entries(d.doubt))
	}
	return nil
}

// pieces lists the files of args in the order in which they are printed.
func (d *deduper) pieces(args []string) (all []piece, err error) {
	var series [][]piece // of directories that follow each other
	for _, arg := range args {
		st, err := os.Stat(arg)
		if err != nil {
			return nil, err
		}
		if st.IsDir() {
			pieces, err := d.directory(arg)
			if err != nil {
				return nil, err
			}
			series = append(series, pieces)
			continue
		}
		p, err := single(arg)
		if err != nil {
			return nil, err
		}
		if p.path, err = filepath.Abs(arg); err == nil {
			err = d.read(filepath.Dir(p.path))
		}
		if err != nil {
			return nil, err
		}
		all, series = append(d.merge(all, series), p), nil
	}
	return d.merge(all, series), nil
}

// directory lists the files of a category.
func (d *deduper) directory(arg string) ([]piece, error) {
	abs, err := filepath.Abs(arg)
	if err == nil {
		err = d.read(abs) // before the files are listed: they can only become finished meanwhile
	}
	if err != nil {
		return nil, err
	}
	pieces, err := series(arg)
	if err == nil && len(pieces) == 0 {
		err = noFiles(arg)
	}
	return pieces, err
}

// read reads what the manifest of a category and the ledger of its collector say.
func (d *deduper) read(path string) error {
	if _, again := d.known[path]; again {
		return nil
	}
	c := contents{open: make(map[string]held), finished: make(map[string]held)}
	d.known[path] = c
	if state := filepath.Join(filepath.Dir(path), audit.StateName); isDir(state) {
		lines, err := readIn(d, filepath.Join(state, manifest.Ledger), manifest.ReadLedger)
		if err != nil {
			return err
		}
		for _, l := range lines {
			if l.Category == filepath.Base(path) {
				h, more := c.open[l.File]
				if !more {
					h.first = time.Unix(l.First, 0)
				}
				h.spans, h.unordered = append(h.spans, l.Spans...), h.unordered || l.Unordered
				c.open[l.File] = h
			}
		}
	}
	files, err := readIn(d, filepath.Join(path, manifest.Name), manifest.ReadFiles)
	for _, f := range files {
		c.finished[f.Name] = held{first: f.First, spans: f.Spans, unordered: f.Unordered}
	}
	return err
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// readIn reads a file whose directory is there, and tells of its damage.
func readIn[T any](d *deduper, path string, read func(*faultfs.Dir) ([]T, int, error)) ([]T, error) {
	dir, err := faultfs.OpenDir(filepath.Dir(path), nil)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	list, damaged, err := read(dir)
	if damaged > 0 {
		d.warn("%s: damaged lines that are passed over: %d", path, damaged)
	}
	return list, err
}

// held says what p holds, if that is known.
func (d *deduper) held(p piece) (h held, known bool) {
	dir, name := filepath.Split(p.final())
	c := d.known[filepath.Clean(dir)]
	if h, known = c.open[name]; known && p.open { // a line of the manifest would be of before a crash
		return h, true
	}
	if h, finished := c.finished[name]; finished {
		return h, true
	}
	return h, known
}

// merge appends the pieces of several directories to all, the one that begins first of their next ones at a time.
func (d *deduper) merge(all []piece, series [][]piece) []piece {
	for {
		next := -1
		var first time.Time
		for i, s := range series {
			if len(s) == 0 {
				continue
			}
			h, known := d.held(s[0])
			if !known { // as soon as possible: what is behind it is later
				h.first = time.Time{}
			}
			if next < 0 || h.first.Before(first) {
				next, first = i, h.first
			}
		}
		if next < 0 {
			return all
		}
		all, series[next] = append(all, series[next][0]), series[next][1:]
	}
}

// file prints what of p was not printed yet.
func (d *deduper) file(p piece) error {
	h, known := d.held(p)
	if !known {
		d.warn("%s: no manifest says what it holds: it is printed whole", p.path)
	}
	list := d.copies.File(filepath.Base(filepath.Dir(p.path)), h.spans)
	if h.unordered {
		return d.unordered(p, list)
	}
	whole, err := d.uncut(p, list)
	if err != nil {
		return err
	}
	return d.open(p, func(r *bufio.Reader) error {
		for i := range list {
			if err := d.stretch(r, &list[i], whole[i]); errors.Is(err, io.EOF) {
				return errors.New("it ends before what its manifest says")
			} else if err != nil {
				return err
			}
		}
		rest, err := io.Copy(d.w, r)
		if known && rest > 0 {
			d.warn("%s: no manifest says what the last %s are: they are printed", p.path, size(rest))
		}
		return err
	})
}

// unordered prints a file whole of which only numbers are known, not where they stand, unless all of it was printed.
func (d *deduper) unordered(p piece, list []audit.Stretch) error {
	all, twice := true, int64(0)
	for i := range list {
		all = all && list[i].All()
		twice += list[i].Met.Count()
	}
	if all {
		return nil
	}
	if twice > 0 {
		d.doubt += twice
		d.warn("%s: its manifest does not say where the %s stand that were printed already: they are printed again", p.path, entries(twice))
	}
	return d.open(p, func(r *bufio.Reader) error {
		_, err := io.Copy(d.w, r)
		return err
	})
}

// open gives the bytes of p to use.
func (d *deduper) open(p piece, use func(r *bufio.Reader) error) error {
	f, err := p.openFile()
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := rotate.NewReader(f, p.codec, p.open)
	if err == nil {
		err = errors.Join(use(bufio.NewReaderSize(r, 64<<10)), r.Close())
	}
	if err != nil {
		err = fmt.Errorf("read %s: %w", p.path, err)
	}
	return err
}

// uncut finds the stretches that were printed in part and are not made of lines, so that their entries cannot be told apart.
func (d *deduper) uncut(p piece, list []audit.Stretch) (whole []bool, err error) {
	whole = make([]bool, len(list))
	last := -1
	for i := range list {
		if len(list[i].Met) > 0 && !list[i].All() {
			last = i
		}
	}
	if last < 0 {
		return whole, nil
	}
	return whole, d.open(p, func(r *bufio.Reader) error {
		for i := range list[:last+1] {
			s := &list[i]
			if len(s.Met) == 0 || s.All() {
				if _, err := io.CopyN(io.Discard, r, s.Bytes); err != nil {
					return err
				}
				continue
			}
			lines, ended := int64(0), false
			err := eachLine(r, s.Bytes, func(line []byte) error {
				if ended = line[len(line)-1] == '\n'; ended {
					lines++
				}
				return nil
			})
			if err != nil {
				return err
			}
			if whole[i] = !ended || lines != s.Count; whole[i] {
				twice := s.Met.Count()
				d.doubt += twice
				d.warn("%s: %s of %s cannot be told from the others, because not each is a line: they are printed again", p.path, entries(twice),
					humanize.Comma(s.Count))
			}
		}
		return nil
	})
}

// eachLine gives the next n bytes to visit, line by line; a line that does not fit into r's buffer comes in parts.
func eachLine(r *bufio.Reader, n int64, visit func(part []byte) error) error {
	for n > 0 {
		if _, err := r.Peek(1); err != nil {
			return err
		}
		part, _ := r.Peek(int(min(n, int64(r.Buffered()))))
		if i := bytes.IndexByte(part, '\n'); i >= 0 {
			part = part[:i+1]
		}
		if err := visit(part); err != nil {
			return err
		}
		n -= int64(len(part))
		if _, err := r.Discard(len(part)); err != nil {
			return err
		}
	}
	return nil
}

// stretch prints what of s was not printed yet.
func (d *deduper) stretch(r *bufio.Reader, s *audit.Stretch, whole bool) error {
	if len(s.Met) == 0 || whole {
		_, err := io.CopyN(d.w, r, s.Bytes)
		return err
	}
	if s.All() {
		_, err := io.CopyN(io.Discard, r, s.Bytes)
		return err
	}
	entry := int64(0)
	return eachLine(r, s.Bytes, func(part []byte) error {
		met := s.Met.Has(entry)
		if part[len(part)-1] == '\n' {
			entry++
		}
		if met {
			return nil
		}
		_, err := d.w.Write(part)
		return err
	})
}
