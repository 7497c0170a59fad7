package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"inkwell/rotate"
	"inkwell/store/index"
	"inkwell/store/stream"
)

// Query selects entries: those that were received from Since to Until, to the accuracy of a block, and from certain
// sources. The zero value selects all.
type Query struct {
	Since, Until time.Time                        // by the collector's clock; zero = no bound
	Sources      []string                         // patterns, of which one has to match; none = all
	States       []string                         // state directories of collectors that are not next to their files
	Tell         func(format string, args ...any) // gets messages for the user; may be nil
	Lost         func(*Damage)                    // gets what cannot be read; may be nil
	// Progress is called with the bytes of files that were read or passed over; may be nil. Safe for concurrent use.
	Progress func(n int64)

	Event EventTime // Since and Until are of the lines' own times; not for a Follower

	Held  bool // a Follower waits until the books know what was written
	Apart bool // each chunk is a single block, as far as the indexes know them

	eventSince, eventUntil time.Time // what was asked for, with Event

	patterns []*regexp.Regexp
	mu       sync.Mutex // guards the maps
	contents map[string]*Contents
	told     map[string]bool // the messages of tellOnce
}

// Prepare must be called before a Query is used.
func (q *Query) Prepare() error {
	if q.Tell == nil {
		q.Tell = func(string, ...any) {}
	}
	if q.Lost == nil {
		q.Lost = func(*Damage) {}
	}
	if q.Progress == nil {
		q.Progress = func(int64) {}
	}
	q.contents, q.told = make(map[string]*Contents), make(map[string]bool)
	if !q.Since.IsZero() && !q.Until.IsZero() && q.Until.Before(q.Since) {
		return fmt.Errorf("the end, %s, lies before the beginning, %s",
			q.Until.Format(time.RFC3339), q.Since.Format(time.RFC3339))
	}
	if err := q.widen(); err != nil {
		return err
	}
	for _, p := range q.Sources {
		text := regexp.QuoteMeta(p)
		text = strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(text)
		q.patterns = append(q.patterns, regexp.MustCompile("^(?s:"+text+")$"))
	}
	return nil
}

// Forget drops what is known of the directories, so that it is read again.
func (q *Query) Forget() {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(q.contents)
}

// Contents returns what is known of the files of a directory. It is read once.
func (q *Query) Contents(dir string) (*Contents, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c := q.contents[dir]; c != nil {
		return c, nil
	}
	c, err := ReadContents(dir, q.States, q.Tell)
	if err == nil {
		q.contents[dir] = c
	}
	return c, err
}

// ContentsOf is what is known of the files of the directory, or of the category in a depot, in which f lies.
func (q *Query) ContentsOf(f File) (*Contents, error) {
	if f.in != nil {
		return f.in.contents, nil
	}
	return q.Contents(f.Home())
}

// contentsIn is what is known of the files of a series.
func (q *Query) contentsIn(s *Series) (*Contents, error) {
	if s.in != nil {
		return s.in.contents, nil
	}
	return q.Contents(s.Dir)
}

// SourceText is how a source is shown: HOST:PATH, or the name of the stream when nobody said where it comes from.
func SourceText(id [16]byte, of stream.Source) string {
	switch {
	case id == [16]byte{}:
		return "-"
	case of == (stream.Source{}):
		return stream.ID(id).String()
	}
	return of.Host + ":" + of.Path
}

// matches says whether the query selects a stream.
func (q *Query) matches(id [16]byte, of stream.Source) bool {
	for _, p := range q.patterns {
		for _, text := range []string{SourceText(id, of), of.Host, of.Path, stream.ID(id).String()} {
			if text != "" && p.MatchString(text) {
				return true
			}
		}
	}
	return len(q.patterns) == 0
}

// during says whether the query selects something that was received from first to last; zero times are unknown.
func (q *Query) during(first, last time.Time) bool {
	return (q.Since.IsZero() || last.IsZero() || !last.Before(q.Since)) &&
		(q.Until.IsZero() || first.IsZero() || !first.After(q.Until))
}

// plan says how one file is read.
type plan struct {
	file   File
	facts  Facts
	kept   bool // a collector keeps books of its directory
	blocks []index.Block
	before time.Time // when the last block of the previous chunks was received
	keep   []stretch // of the content, in order; nil = all of it
}

// stretch is a range of bytes of a file's content.
type stretch struct {
	from, to int64
	wanted   bool
}

// narrow says whether the query selects less than everything.
func (q *Query) narrow() bool { return len(q.patterns) > 0 || !q.Since.IsZero() || !q.Until.IsZero() }

// pending says whether the file has books, and they do not yet cover its content up to the offset end.
func (p *plan) pending(end int64) bool {
	return p.kept && (p.file.Open || p.file.Codec == rotate.None) && end > p.facts.Raw
}

// plan says how a file is read; nil: not at all.
func (q *Query) plan(f File) (*plan, error) {
	c, err := q.ContentsOf(f)
	if err != nil {
		return nil, err
	}
	p := &plan{file: f, facts: c.Of(f), kept: c.Kept}
	if f.copies.all() {
		return nil, nil
	}
	last := p.facts.Last
	if !last.IsZero() {
		last = last.Add(time.Second) // it is to the second
	}
	if !q.during(p.facts.First, last) {
		return nil, nil
	}
	p.blocks = Blocks(f)
	timed := (!q.Since.IsZero() || !q.Until.IsZero()) && !inside(q, p.facts.First, last)
	if timed && len(p.blocks) == 0 && f.in == nil {
		q.tellOnce("%s: no index says when its blocks came: hours are told apart at best (inkwell repair makes an index)", f.Path)
	}
	if len(q.patterns) > 0 || timed && len(p.blocks) == 0 && p.facts.Known {
		p.keep = q.stretches(&p.facts, timed && len(p.blocks) == 0)
		if p.facts.Unordered {
			q.tellOnce("%s: its manifest does not say where the entries of which source stand: "+
				"blocks are told apart at best", f.Path)
			p.keep = nil
		}
	}
	return p, nil
}

// inside says whether all of a file is within the selected time.
func inside(q *Query, first, last time.Time) bool {
	return (q.Since.IsZero() || !first.IsZero() && !first.Before(q.Since)) &&
		(q.Until.IsZero() || !last.IsZero() && !last.After(q.Until))
}

func (q *Query) tellOnce(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.told[text] {
		q.told[text] = true
		q.Tell("%s", text)
	}
}

// stretches returns the selected and unselected ranges of a file according to its spans. With hours, the hours of the
// spans count, because no index has the times of the blocks.
func (q *Query) stretches(facts *Facts, hours bool) (all []stretch) {
	at := int64(0)
	for i := range facts.Spans {
		s := &facts.Spans[i]
		begun := time.Unix(s.Hour*3600, 0)
		wanted := q.matches(s.Stream, facts.Sources.Of(*s)) &&
			(!hours || s.Hour == 0 || q.during(begun, begun.Add(time.Hour-time.Nanosecond)))
		if k := len(all) - 1; k >= 0 && all[k].wanted == wanted {
			all[k].to += s.Bytes
		} else {
			all = append(all, stretch{at, at + s.Bytes, wanted})
		}
		at += s.Bytes
	}
	return append(all, stretch{at, 1 << 62, len(q.patterns) == 0}) // content that the books do not know yet
}

// want returns a function that says whether a block of the index is to be read; nil = all are.
func (p *plan) want(q *Query) func(b *index.Block) bool {
	if !q.narrow() {
		return nil
	}
	prefixes := q.prefixes(&p.facts)
	return func(b *index.Block) bool {
		if !q.during(b.First, b.Last) {
			return false
		}
		if prefixes == nil || b.Many || len(b.Streams) == 0 {
			return true
		}
		for _, s := range b.Streams {
			if prefixes[s] {
				return true
			}
		}
		return false
	}
}

// prefixes returns the prefixes of the selected streams' IDs, as indexes have them; nil = all streams are selected.
func (q *Query) prefixes(facts *Facts) map[index.Stream]bool {
	if len(q.patterns) == 0 || !facts.Known {
		return nil
	}
	known := make(map[index.Stream]bool)
	for i := range facts.Spans {
		if s := &facts.Spans[i]; q.matches(s.Stream, facts.Sources.Of(*s)) {
			known[index.Stream(s.Stream[:4])] = true
		}
	}
	return known
}

// Read passes the selected chunks of a file to use.
func (q *Query) Read(ctx context.Context, f File, use func(*Chunk) error) error {
	return q.from(ctx, f, Position{}, use)
}

// from is Read, beginning at a position.
func (q *Query) from(ctx context.Context, f File, from Position, use func(*Chunk) error) error {
	p, err := q.plan(f)
	if err != nil {
		return err
	}
	if p == nil {
		q.Progress(f.Size)
		return nil
	}
	want := p.want(q)
	whole := want == nil && from == Position{}
	lost := func(d *Damage) { whole = false; q.Lost(d) }
	r, err := Open(ctx, f, Options{Blocks: p.blocks, Want: want, Apart: q.Apart, From: from, Lost: lost, Progress: q.Progress})
	if err != nil {
		return err
	}
	events := q.events(use)
	if events != nil {
		use = events.add
	}
	for {
		c, err := r.Next()
		if err == nil {
			p.date(c)
			err = q.cut(p, c, use)
		}
		if err == io.EOF {
			f.copies.check(q, p, r.Position(), whole)
			if err = nil; events != nil {
				err = events.end()
			}
			return errors.Join(err, r.Close())
		}
		if err != nil {
			return errors.Join(err, r.Close())
		}
	}
}

// date gives a chunk that no index knows the earliest time at which it can have been received: that of the block before
// it, or that of the start of the file.
func (p *plan) date(c *Chunk) {
	if !c.First.IsZero() {
		p.before = c.Last
		return
	}
	if c.First = p.before; c.First.IsZero() {
		c.First = p.facts.First
	}
}

// cut passes the selected parts of a chunk to use.
func (q *Query) cut(p *plan, c *Chunk, use func(*Chunk) error) error {
	if p.keep == nil {
		return p.file.copies.pass(q, c, use)
	}
	if c.Raw < 0 {
		q.tellOnce("%s: behind the damage it is not known which entries are wanted: they are left out", c.File.Path)
		return nil
	}
	end := c.Raw + int64(len(c.Data))
	for _, s := range p.keep {
		from, to := max(s.from, c.Raw), min(s.to, end)
		if !s.wanted || from >= to {
			continue
		}
		part := *c
		part.Data, part.Raw = c.Data[from-c.Raw:to-c.Raw], from
		if err := p.file.copies.pass(q, &part, use); err != nil {
			return err
		}
	}
	return nil
}
