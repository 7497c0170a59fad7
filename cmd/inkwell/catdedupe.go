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

	"github.com/dustin/go-humanize"

	"inkwell/archive"
	"inkwell/store/audit"
)

// deduper prints the files of several collectors, each numbered entry once. The manifest of a file says which entries
// are at which place in it.
type deduper struct {
	ctx     context.Context
	w       *bufio.Writer
	warn    func(format string, args ...any)
	query   *archive.Query
	reading *archiveReading
	copies  audit.Copies
	doubt   int64 // entries that were written and may have been before
}

// dedupe prints the files of args: single files in the order given, those of directories merged by their times.
func (a *app) dedupe(ctx context.Context, args, states []string) error {
	r, err := a.query("cat", &selection{states: states})
	if err != nil {
		return err
	}
	d := &deduper{ctx: ctx, w: bufio.NewWriterSize(a.output(), 64<<10), query: r.Query, reading: r, warn: r.Tell}
	files, err := d.files(args)
	if err != nil {
		return err
	}
	bar := a.printingProgress(bytesOf([]archive.Series{{Files: files}}))
	defer bar.end()
	r.Progress = bar.add
	for _, f := range files {
		if err := errors.Join(ctx.Err(), d.file(f)); err != nil {
			return errors.Join(err, d.w.Flush())
		}
	}
	if err := d.w.Flush(); err != nil {
		return err
	}
	if d.doubt > 0 {
		return fmt.Errorf("up to %s may be twice", entries(d.doubt))
	}
	return r.finish(nil)
}

// files lists the files of args in the order in which they are printed.
func (d *deduper) files(args []string) (all []archive.File, err error) {
	var series [][]archive.File // of directories that follow each other
	for _, arg := range args {
		if st, err := os.Stat(arg); err == nil && st.IsDir() && !archive.InDepot(arg) {
			abs, err := filepath.Abs(arg)
			if err == nil {
				_, err = d.query.Contents(abs) // before the files are listed: they can only become finished meanwhile
			}
			if err != nil {
				return nil, err
			}
		}
		list, err := d.reading.series(d.ctx, []string{arg}, false)
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			if s.Alone() {
				if all, err = d.merge(all, series); err != nil {
					return nil, err
				}
				all, series = append(all, s.Files...), nil
				continue
			}
			series = append(series, s.Files)
		}
	}
	return d.merge(all, series)
}

// merge appends the files of several series to all. Of the next file of each series it takes the one that begins first.
func (d *deduper) merge(all []archive.File, series [][]archive.File) ([]archive.File, error) {
	for {
		next := -1
		var first archive.Facts
		for i, s := range series {
			if len(s) == 0 {
				continue
			}
			facts, err := d.facts(s[0])
			if err != nil {
				return nil, err
			}
			// A file of unknown time is taken at once, because the files behind it in its series are later.
			if next < 0 || facts.First.Before(first.First) {
				next, first = i, facts
			}
		}
		if next < 0 {
			return all, nil
		}
		all, series[next] = append(all, series[next][0]), series[next][1:]
	}
}

// facts is what the manifest says about a file.
func (d *deduper) facts(f archive.File) (archive.Facts, error) {
	c, err := d.query.ContentsOf(f)
	if err != nil {
		return archive.Facts{}, err
	}
	return c.Of(f), nil
}

// file prints what of f was not printed yet. It leaves out what a collector has written since its last checkpoint,
// because the books describe that only after the next one.
func (d *deduper) file(f archive.File) error {
	c, err := d.query.ContentsOf(f)
	if err != nil || c.Pending(f) {
		return err
	}
	facts := c.Of(f)
	if !facts.Known {
		d.warn("%s: no manifest says what it holds: it is printed whole", f.Path)
	}
	list := d.copies.File(facts.Spans)
	if facts.Unordered {
		return d.unordered(f, list)
	}
	whole, err := d.uncut(f, list)
	if err != nil {
		return err
	}
	return d.open(f, func(r *bufio.Reader) error {
		for i := range list {
			if err := d.stretch(r, &list[i], whole[i]); errors.Is(err, io.EOF) {
				return errors.New("it ends before what its manifest says")
			} else if err != nil {
				return err
			}
		}
		if facts.Known && f.Open && c.Asked() {
			return nil
		}
		rest, err := io.Copy(d.w, r)
		if facts.Known && rest > 0 {
			d.warn("%s: no manifest says what the last %s are: they are printed", f.Path, size(rest))
		}
		return err
	})
}

// unordered handles a file for which only the numbers of the entries are known, but not their places. It prints the
// whole file, unless all its entries were printed before.
func (d *deduper) unordered(f archive.File, list []audit.Stretch) error {
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
		d.warn("%s: its manifest does not say where the %s stand that were printed already: they are printed again",
			f.Path, entries(twice))
	}
	return d.open(f, func(r *bufio.Reader) error {
		_, err := io.Copy(d.w, r)
		return err
	})
}

// open passes the bytes of f to use.
func (d *deduper) open(f archive.File, use func(r *bufio.Reader) error) error {
	r, err := d.query.Open(d.ctx, f)
	if err == nil {
		err = errors.Join(use(bufio.NewReaderSize(r, 64<<10)), r.Close())
	}
	if err != nil {
		err = fmt.Errorf("read %s: %w", f.Path, err)
	}
	return err
}

// uncut finds stretches of which a part was printed before and which do not consist of lines. The entries in them
// cannot be told apart.
func (d *deduper) uncut(f archive.File, list []audit.Stretch) (whole []bool, err error) {
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
	return whole, d.open(f, func(r *bufio.Reader) error {
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
				d.warn("%s: %s of %s cannot be told from the others, because not each is a line: they are printed again", f.Path, entries(twice),
					humanize.Comma(s.Count))
			}
		}
		return nil
	})
}

// eachLine passes the next n bytes to visit, line by line. A line that does not fit into r's buffer comes in parts.
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

// stretch prints the part of s that was not printed yet.
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
