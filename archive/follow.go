package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"inkwell/rotate"
)

// Follower reads what is appended to a series, and continues with its next files. It is done with a file when that is
// finished, or when the series has a later one. Not safe for concurrent use.
//
// A look costs two stats as long as nothing changes: the directory is only listed when it has changed.
type Follower struct {
	Query  *Query
	Series Series

	done    map[string]bool // keys of files that were read to their end
	current string          // key of the current file
	at      Position
	printed int64  // bytes of its content that were passed on
	held    int64  // end of the content that the books do not know yet; 0 = they know all of it
	edge    []byte // the bytes of the file before at, as they were read, to detect that it was rewritten
	listed  time.Time
	changed time.Time // modification time of the directory when it was listed
	size    int64     // of the current file at the last look
}

// Begin starts after the last lines, which it returns. If lines is negative, it starts at the beginning.
func (f *Follower) Begin(ctx context.Context, lines int) (chunks []*Chunk, err error) {
	f.done = make(map[string]bool)
	if lines < 0 || len(f.Series.Files) == 0 {
		return nil, nil
	}
	files := f.Series.Files
	last := files[len(files)-1]
	for _, old := range files[:len(files)-1] {
		f.done[old.key()] = true
	}
	f.current = last.key()
	// This finds the current end. Tail returns what is before it, and the next Look what is after it.
	if err := f.read(ctx, last, func(*Chunk) error { return nil }); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	end := f.printed
	chunks, err = f.Query.Tail(ctx, files, lines)
	if err != nil {
		return nil, err
	}
	var before []*Chunk
	for _, c := range chunks {
		if c.File.key() == f.current && c.Raw >= 0 && c.Raw+int64(len(c.Data)) > end {
			c.Data = c.Data[:max(0, end-c.Raw)]
		}
		before = append(before, c)
	}
	return before, nil
}

// Look passes everything that is new to use.
func (f *Follower) Look(ctx context.Context, use func(*Chunk) error) error {
	if f.done == nil {
		f.done = make(map[string]bool)
	}
	if err := f.list(); err != nil {
		return err
	}
	for i := range f.Series.Files {
		file := f.Series.Files[i]
		key := file.key()
		if f.done[key] {
			continue
		}
		if key != f.current {
			f.current, f.at, f.printed, f.edge, f.size, f.held = key, Position{}, 0, nil, -1, 0
		}
		err := f.read(ctx, file, use)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // removed by retention meanwhile
			return err
		}
		if i == len(f.Series.Files)-1 && (file.Open || file.Codec == rotate.None) || f.held > 0 {
			return nil
		}
		f.done[key] = true
	}
	return nil
}

// list lists the files again if the directory has changed.
func (f *Follower) list() error {
	st, err := os.Stat(f.Series.Dir)
	if errors.Is(err, fs.ErrNotExist) { // it may be created again
		f.Series.Files = nil
		return nil
	}
	if err != nil {
		return err
	}
	// A change right after the listing can have the same modification time.
	if st.ModTime().Equal(f.changed) && f.listed.Sub(f.changed) > time.Second {
		return nil
	}
	f.listed, f.changed = time.Now(), st.ModTime()
	if err := f.Series.Refresh(); err != nil {
		return err
	}
	known := make(map[string]bool, len(f.Series.Files))
	for i := range f.Series.Files {
		if key := f.Series.Files[i].key(); f.done[key] {
			known[key] = true
		}
	}
	f.done = known
	return nil
}

// read passes what follows f.at in a file to use.
func (f *Follower) read(ctx context.Context, file File, use func(*Chunk) error) error {
	opened, size, err := file.open(ctx)
	if err != nil {
		return err
	}
	defer opened.Close()
	if size == f.size && file.Open && f.held == 0 {
		return nil
	}
	if !f.goesOn(opened, size) { // the collector was killed and goes on from an earlier place, with the same bytes in other blocks
		f.at, f.edge = Position{}, nil
	}
	p := &plan{file: file}
	if f.Query.narrow() || f.Query.Held {
		if p, err = f.Query.plan(file); err != nil {
			return err
		}
		if p == nil {
			return nil
		}
	}
	var damages []*Damage // since the last chunk; what was read of two versions of the file looks like damage
	r, err := Open(ctx, file, Options{
		Blocks: p.blocks, Want: p.want(f.Query), Apart: f.Query.Apart, From: f.at,
		Lost: func(d *Damage) { damages = append(damages, d) },
	})
	if err != nil {
		return err
	}
	next := func() (*Chunk, error) {
		c, err := r.Next()
		if !f.goesOn(opened, size) {
			return nil, errRewritten
		}
		for _, d := range damages {
			f.Query.Lost(d)
		}
		damages = nil
		return c, err
	}
	f.size = size
	if err = f.chunks(r, next, p, use); errors.Is(err, errRewritten) {
		f.at, f.edge, f.size, err = Position{}, nil, -1, nil // the next look reads it again
	}
	// What was read may be less than an edge, or unknown.
	wide := make([]byte, min(f.at.Offset, edgeBytes))
	if _, rerr := opened.ReadAt(wide, f.at.Offset-int64(len(wide))); rerr == nil && bytes.HasSuffix(wide, f.edge) {
		f.edge = wide
	}
	return errors.Join(err, r.Close())
}

// errRewritten is that a file was truncated and written again while it was read: what was read last may be of neither.
var errRewritten = errors.New("the file was written again")

// chunks reads up to the end, or with Query.Held only up to what the collector's books know.
func (f *Follower) chunks(r *Reader, next func() (*Chunk, error), p *plan, use func(*Chunk) error) error {
	f.held = 0
	for {
		c, err := next()
		if err == io.EOF {
			f.pass(r)
			return nil
		}
		if err != nil {
			return err
		}
		if end := c.Raw + int64(len(c.Data)); f.Query.Held && c.Raw >= 0 && p.pending(end) {
			f.held = end
			return nil
		}
		f.pass(r)
		if c.Raw >= 0 && c.Raw < f.printed { // it was passed on before the file was truncated
			drop := min(f.printed-c.Raw, int64(len(c.Data)))
			c.Data, c.Raw = c.Data[drop:], c.Raw+drop
		}
		if len(c.Data) == 0 {
			continue
		}
		if c.First.IsZero() {
			c.First, c.Last = time.Now(), time.Now()
		}
		if c.Raw >= 0 {
			f.printed = c.Raw + int64(len(c.Data))
		}
		if err := f.Query.cut(p, c, use); err != nil {
			return err
		}
	}
}

// pass moves to the end of what r has read.
func (f *Follower) pass(r *Reader) { f.at, f.edge = r.Position(), slices.Clone(r.Edge()) }

// goesOn says whether what was read of a file still stands before f.at.
func (f *Follower) goesOn(file source, size int64) bool {
	if size < f.at.Offset {
		return false
	}
	now := make([]byte, len(f.edge))
	_, err := file.ReadAt(now, f.at.Offset-int64(len(now)))
	return (err == nil || err == io.EOF && len(now) == 0) && bytes.Equal(now, f.edge)
}

// Finder finds the series below a path that need not exist yet.
type Finder struct {
	Path  string
	known map[string]bool
	next  time.Time
}

// New lists the series that were not listed before. It looks at most once a second.
func (f *Finder) New() (list []Series, err error) {
	if time.Now().Before(f.next) {
		return nil, nil
	}
	f.next = time.Now().Add(time.Second)
	if f.known == nil {
		f.known = make(map[string]bool)
	}
	st, err := os.Stat(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !st.IsDir():
		if f.known[f.Path] {
			return nil, nil
		}
		f.known[f.Path] = true
		one, err := Single(f.Path)
		return []Series{Alone(one)}, err
	}
	all, err := Tree(f.Path)
	for _, s := range all {
		if key := s.Dir + "\x00" + s.Base; !f.known[key] {
			f.known[key] = true
			list = append(list, s)
		}
	}
	return list, err
}

// Ended says that nothing more can come: the series is a single file, which is finished and was read to its end.
func (f *Follower) Ended() bool {
	return f.Series.Alone() && (len(f.Series.Files) == 0 || f.done[f.Series.Files[0].key()])
}
