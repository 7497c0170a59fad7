package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"inkwell/rotate"
	"inkwell/store"
	"inkwell/store/audit"
	"inkwell/store/books"
)

// deduper prints files of several collectors, each numbered entry once. What stands where in a file its manifest says.
type deduper struct {
	w      *bufio.Writer
	warn   func(format string, args ...any)
	copies audit.Copies
	states []string            // state directories of collectors
	known  map[string]contents // by directory of files
	doubt  int64               // entries that were written and may have been before
}

// contents is what the files in a directory hold, by their final names.
type contents struct {
	listed map[string]books.File  // in the manifest
	held   map[string]store.Added // in the books
}

// held is what a file holds.
type held struct {
	first     time.Time
	spans     []store.Span
	unordered bool // spans do not stand in this order
}

// dedupe prints what args name: files in the order given, directories that follow each other by the times of their
// files.
func (a *app) dedupe(ctx context.Context, args, states []string) error {
	d := &deduper{w: bufio.NewWriterSize(a.output(), 64<<10), states: states, known: make(map[string]contents)}
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
			of, err := d.directory(arg)
			if err != nil {
				return nil, err
			}
			series = append(series, of...)
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

// directory lists the files in a directory, series by series.
func (d *deduper) directory(arg string) (all [][]piece, err error) {
	abs, err := filepath.Abs(arg)
	if err == nil {
		err = d.read(abs) // before the files are listed: they can only become finished meanwhile
	}
	if err != nil {
		return nil, err
	}
	bases := map[string]bool{filepath.Base(abs): true}
	for name := range d.known[abs].listed {
		if base, ok := rotate.BaseOf(name); ok {
			bases[base] = true
		}
	}
	for name := range d.known[abs].held {
		if base, ok := rotate.BaseOf(name); ok {
			bases[base] = true
		}
	}
	if len(bases) == 1 { // nobody says what is here
		list, err := os.ReadDir(abs)
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			if base, ok := rotate.BaseOf(e.Name()); ok {
				bases[base] = true
			}
		}
	}
	for _, base := range slices.Sorted(maps.Keys(bases)) {
		pieces, err := series(arg, base)
		if err != nil {
			return nil, err
		}
		if len(pieces) > 0 {
			all = append(all, pieces)
		}
	}
	if len(all) == 0 {
		return nil, noFiles(arg)
	}
	return all, nil
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
	list := d.copies.File(h.spans)
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

// uncut finds the stretches that were printed in part and are not made of lines, so that their entries cannot be told
// apart.
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
