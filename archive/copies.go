package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sort"

	"github.com/dustin/go-humanize"

	"inkwell/store/audit"
)

// extent is a range of bytes of a file's content.
type extent struct{ from, to int64 }

// copies says where in the content of a file the entries are that are left out, in order and without overlaps.
type copies []extent

// add appends a range, which does not lie before the others.
func (c *copies) add(from, to int64) {
	if k := len(*c) - 1; k >= 0 && (*c)[k].to == from {
		(*c)[k].to = to
	} else if from < to {
		*c = append(*c, extent{from, to})
	}
}

// Once has each numbered entry read from one file only. It sets what is left out of each file because one of those before
// it has the entry, whether or not the query selects that one. So a selection with Once is a part of what Once reads
// without it: several periods of time, which follow each other, have an entry in one of them. In addition what a
// collector wrote since its last checkpoint is left out, because the books describe that only after the next one.
//
// Only manifests and books are read, and those files of which some entries of a span are copies and others are not. Where
// entries cannot be told apart they are read again; doubt is how many such entries there are.
func (q *Query) Once(ctx context.Context, files []*File) (doubt int64, err error) {
	var met audit.Copies
	for _, f := range files {
		n, err := q.once(ctx, &met, f)
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", f.Path, err)
		}
		doubt += n
	}
	return doubt, nil
}

// once sets what is left out of one file.
func (q *Query) once(ctx context.Context, met *audit.Copies, f *File) (doubt int64, err error) {
	c, err := q.ContentsOf(*f)
	if err != nil {
		return 0, err
	}
	f.copies = new(copies)
	if c.Pending(*f) {
		f.copies.add(0, math.MaxInt64)
		return 0, nil
	}
	facts := c.Of(*f)
	if !facts.Known {
		q.Tell("%s: no manifest says what it holds: it is read whole", f.Path)
	}
	list := met.File(facts.Spans)
	if facts.Unordered {
		return q.onceUnordered(f, list), nil
	}
	if doubt, err = q.onceOrdered(ctx, f, list); err == nil && facts.Known && f.Open && c.Asked() {
		f.copies.add(facts.Raw, math.MaxInt64)
	}
	return doubt, err
}

// onceUnordered leaves out all of a file or nothing, because the places of its entries are not known.
func (q *Query) onceUnordered(f *File, list []audit.Stretch) (doubt int64) {
	all := true
	for i := range list {
		all = all && list[i].All()
		doubt += list[i].Met.Count()
	}
	if all {
		f.copies.add(0, math.MaxInt64)
		return 0
	}
	if doubt > 0 {
		q.Tell("%s: its manifest does not say where the %s entries stand that were read already: they are read again", f.Path,
			humanize.Comma(doubt))
	}
	return doubt
}

// onceOrdered leaves out what was met before: whole stretches, and of others the lines.
func (q *Query) onceOrdered(ctx context.Context, f *File, list []audit.Stretch) (doubt int64, err error) {
	lines := make(map[int]copies) // of stretches that were met in part
	if err := q.metLines(ctx, f, list, lines); err != nil {
		return 0, err
	}
	at := int64(0)
	for i := range list {
		s := &list[i]
		switch known, told := lines[i]; {
		case s.All():
			f.copies.add(at, at+s.Bytes)
		case told:
			for _, x := range known {
				f.copies.add(x.from, x.to)
			}
		case len(s.Met) > 0:
			doubt += s.Met.Count()
			q.Tell("%s: %s of %s entries cannot be told from the others, because not each is a line: they are read again", f.Path,
				humanize.Comma(s.Met.Count()), humanize.Comma(s.Count))
		}
		at += s.Bytes
	}
	return doubt, nil
}

// metLines finds the lines that were met before, of those stretches that were met in part and consist of lines.
func (q *Query) metLines(ctx context.Context, f *File, list []audit.Stretch, lines map[int]copies) error {
	var parts []*metPart
	at := int64(0)
	for i := range list {
		if s := &list[i]; len(s.Met) > 0 && !s.All() {
			parts = append(parts, &metPart{Stretch: s, place: i, at: at, next: at, end: at + s.Bytes})
		}
		at += list[i].Bytes
	}
	if len(parts) == 0 {
		return nil
	}
	r, err := Open(ctx, *f, Options{Blocks: Blocks(*f)}) // whoever reads the file reports what is damaged
	if err != nil {
		return err
	}
	for len(parts) > 0 {
		c, err := r.Next()
		if err != nil && err != io.EOF {
			return errors.Join(err, r.Close())
		}
		if err == io.EOF || c.Raw < 0 {
			break
		}
		for len(parts) > 0 && parts[0].read(c) {
			if parts[0].whole() {
				lines[parts[0].place] = parts[0].found
			}
			parts = parts[1:]
		}
	}
	return r.Close()
}

// metPart is a stretch that was met in part while its lines are counted.
type metPart struct {
	*audit.Stretch
	place int   // in the list of stretches
	at    int64 // where the next line begins
	next  int64 // up to where it was read
	end   int64
	lines int64
	found copies
}

// read looks at what a chunk has of the stretch, and reports whether that is its end.
func (p *metPart) read(c *Chunk) (ended bool) {
	end := c.Raw + int64(len(c.Data))
	if c.Raw > p.next || end <= p.next { // the rest is lost, or the stretch begins later
		return c.Raw > p.next
	}
	text := c.Data[p.next-c.Raw : min(p.end, end)-c.Raw]
	p.next += int64(len(text))
	from := p.next - int64(len(text))
	for {
		k := bytes.IndexByte(text, '\n') + 1
		if k == 0 {
			return p.next == p.end
		}
		from += int64(k)
		if text = text[k:]; p.Met.Has(p.lines) {
			p.found.add(p.at, from)
		}
		p.at, p.lines = from, p.lines+1
	}
}

// whole reports whether each entry of the stretch is a line.
func (p *metPart) whole() bool { return p.next == p.end && p.at == p.end && p.lines == p.Count }

// all reports whether everything is left out.
func (c *copies) all() bool { return c != nil && len(*c) == 1 && (*c)[0] == extent{0, math.MaxInt64} }

// pass gives what is not left out of a chunk to use.
func (c *copies) pass(q *Query, of *Chunk, use func(*Chunk) error) error {
	if c == nil || len(*c) == 0 {
		return use(of)
	}
	if of.Raw < 0 {
		q.tellOnce("%s: behind the damage it is not known which entries were read already: they are read again", of.File.Path)
		return use(of)
	}
	at, end := of.Raw, of.Raw+int64(len(of.Data))
	first := sort.Search(len(*c), func(i int) bool { return (*c)[i].to > at })
	for _, x := range append((*c)[first:len(*c):len(*c)], extent{end, end}) {
		if to := min(x.from, end); at < to {
			part := *of
			part.Data, part.Raw = of.Data[at-of.Raw:to-of.Raw], at
			if err := use(&part); err != nil {
				return err
			}
		}
		if at = max(at, x.to); at >= end {
			break
		}
	}
	return nil
}

// check compares the content of a file, which ended at a position, with what its manifest says; whole says that all of it
// was read.
func (c *copies) check(q *Query, p *plan, end Position, whole bool) {
	if c == nil || !p.facts.Known || end.Raw < 0 {
		return
	}
	if whole && end.Raw < p.facts.Raw {
		q.Lost(&Damage{Path: p.file.Path, Offset: end.Offset, Entries: -1, Err: errors.New("it ends before what its manifest says")})
	}
	if k := len(*c) - 1; end.Raw > p.facts.Raw && (k < 0 || (*c)[k].to < end.Raw) {
		q.tellOnce("%s: no manifest says what the last %d bytes are: they are read", p.file.Path, end.Raw-p.facts.Raw)
	}
}
