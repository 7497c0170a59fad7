package archive

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store"
	"inkwell/store/audit"
	"inkwell/store/books"
	"inkwell/store/index"
)

// Facts is what the books and indexes of a collector know of a file.
type Facts struct {
	Known     bool      // it is in the manifest or the books
	First     time.Time // when its first entry was received; zero = unknown
	Last      time.Time // when its last entry was received, to the second; zero = unknown, or more may come
	Entries   int64     // -1 = unknown
	Raw       int64     // bytes of content that Spans cover
	Spans     []store.Span
	Unordered bool // Spans are not in the order of the file
	Sources   books.Sources
}

// Contents is what is known of the files of a directory.
type Contents struct {
	Kept   bool // a collector keeps books of the directory
	dir    string
	listed map[string]books.File
	local  map[string]string // of a depot: what each file is called in the directory of its collector
	held   map[string]*store.Added
	named  books.Sources
	asks   bool // a state directory could be read
}

// ReadContents reads the manifest of a directory and the books of its collector: those in states, and those of .inkwell
// in the directory or next to it. It must be called before the files are listed, because files can only become finished
// in between. Damage is reported to warn and skipped.
func ReadContents(path string, states []string, warn func(format string, args ...any)) (*Contents, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	c := &Contents{dir: abs, listed: make(map[string]books.File), held: make(map[string]*store.Added)}
	near := []string{filepath.Join(abs, audit.StateName), filepath.Join(filepath.Dir(abs), audit.StateName)}
	for _, state := range append(near, states...) {
		if err := c.readState(state, warn); err != nil {
			return nil, err
		}
	}
	dir, err := faultfs.Look(abs)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	files, bad, err := books.ReadFiles(dir)
	if err != nil {
		return nil, err
	}
	if bad > 0 {
		warn("%s: damaged lines that are passed over: %d", filepath.Join(abs, books.Manifest), bad)
	}
	for _, f := range files {
		c.Kept = true
		nameSpans(abs, f.Spans)
		c.listed[f.Name] = f
	}
	return c, nil
}

// readState reads what the books in a state directory say of the open files. The directory need not exist.
func (c *Contents) readState(state string, warn func(format string, args ...any)) error {
	dir, err := faultfs.Look(state)
	// Analysts may be allowed to read the files, but not the state.
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	held, err := books.ReadHeld(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	for name, bad := range held.Bad {
		if bad > 0 {
			warn("%s: damaged lines that are passed over: %d", filepath.Join(state, name), bad)
		}
	}
	c.asks = true
	for i := range held.Files {
		f := &held.Files[i]
		if of, err := filepath.Abs(held.DirOf(f, filepath.Dir(state))); err == nil && of == c.dir {
			nameSpans(c.dir, f.Spans)
			c.held[f.File], c.Kept = f, true
		}
	}
	c.named = c.named.With(held.Sources)
	return nil
}

// nameSpans sets the category of spans that have none to the name of their directory.
func nameSpans(path string, spans []store.Span) {
	for i := range spans {
		if spans[i].Category == "" {
			spans[i].Category = filepath.Base(path)
		}
	}
}

// Of returns what is known of a file of the directory.
func (c *Contents) Of(f File) Facts {
	listed, asListed := c.listed[f.Name()]
	open, asHeld := c.held[f.Name()]
	if asListed && asHeld {
		asHeld, asListed = books.Believe(&listed, open, f.Open)
	}
	facts := Facts{Entries: -1, Known: asListed || asHeld}
	start := int64(0)
	switch {
	case asListed:
		facts.First, facts.Last, facts.Spans, facts.Unordered = listed.First, listed.Last, listed.Spans, listed.Unordered
		start = listed.Start
	case asHeld:
		facts.First, start = time.Unix(open.First, 0), open.Start
	default:
		return facts
	}
	if asHeld {
		facts.Spans, facts.Unordered = append(slices.Clip(facts.Spans), open.Spans...), facts.Unordered || open.Unordered
		facts.Last = time.Unix(open.Last, 0)
	}
	if start > 0 { // content from before the books were begun
		facts.Spans = append([]store.Span{{Bytes: start}}, facts.Spans...)
	}
	facts.Entries = 0
	for i := range facts.Spans {
		facts.Entries += facts.Spans[i].Count
		facts.Raw += facts.Spans[i].Bytes
	}
	if f.Open {
		facts.Last = time.Time{}
	}
	facts.Sources = listed.Sources.With(c.named)
	return facts
}

// Pending says whether a collector writes the file, but its books do not know the file yet: its content was received a
// moment ago.
func (c *Contents) Pending(f File) bool { return f.Open && c.asks && !c.Of(f).Known }

// Writes says whether a collector has the file open, as far as its books tell.
func (c *Contents) Writes(f File) bool {
	open, asHeld := c.held[f.Name()]
	if listed, asListed := c.listed[f.Name()]; asListed {
		asHeld, _ = books.Believe(&listed, open, f.Open)
	}
	return asHeld
}

// Asked says whether the books of a collector could be read.
func (c *Contents) Asked() bool { return c.asks }

// Blocks returns the blocks in the index of a file; nil if there is none.
func Blocks(f File) []index.Block {
	if f.in != nil { // a depot has no indexes
		return nil
	}
	dir, err := faultfs.Look(f.Home())
	if err != nil {
		return nil
	}
	defer dir.Close()
	blocks, _, err := index.Read(dir, f.Name())
	if err != nil {
		return nil
	}
	return blocks
}
