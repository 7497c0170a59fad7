package main

import (
	"os"
	"path/filepath"
	"slices"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store"
	"inkwell/store/audit"
	"inkwell/store/books"
)

// read reads what the manifest of a directory and the books of its collector say.
func (d *deduper) read(path string) error {
	if _, again := d.known[path]; again {
		return nil
	}
	c := contents{listed: make(map[string]books.File), held: make(map[string]store.Added)}
	d.known[path] = c
	for _, state := range append([]string{filepath.Join(filepath.Dir(path), audit.StateName)}, d.states...) {
		if !isDir(state) {
			continue
		}
		if err := d.readState(state, path, c); err != nil {
			return err
		}
	}
	files, err := readIn(d, filepath.Join(path, books.Manifest), books.ReadFiles)
	for _, f := range files {
		nameSpans(path, f.Spans)
		c.listed[f.Name] = f
	}
	return err
}

// readState reads what the books in a state directory say of the open files in a directory.
func (d *deduper) readState(state, path string, c contents) error {
	dir, err := faultfs.OpenDir(state, nil)
	if err != nil {
		return err
	}
	defer dir.Close()
	held, err := books.ReadHeld(dir)
	if err != nil {
		return err
	}
	for name, bad := range held.Bad {
		if bad > 0 {
			d.warn("%s: damaged lines that are passed over: %d", filepath.Join(state, name), bad)
		}
	}
	for i := range held.Files {
		f := &held.Files[i]
		if of, err := filepath.Abs(held.DirOf(f, filepath.Dir(state))); err == nil && of == path {
			nameSpans(path, f.Spans)
			c.held[f.File] = *f
		}
	}
	return nil
}

// nameSpans gives the spans of lines that name no category that of their directory.
func nameSpans(path string, spans []store.Span) {
	for i := range spans {
		if spans[i].Category == "" {
			spans[i].Category = filepath.Base(path)
		}
	}
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
	listed, asListed := c.listed[name]
	open, asHeld := c.held[name]
	if asListed && asHeld {
		asHeld, asListed = books.Believe(&listed, &open, p.open)
	}
	start := int64(0)
	switch {
	case asListed:
		h = held{first: listed.First, spans: listed.Spans, unordered: listed.Unordered}
		start = listed.Start
	case asHeld:
		h.first, start = time.Unix(open.First, 0), open.Start
	default:
		return h, false
	}
	if asHeld {
		h.spans, h.unordered = append(slices.Clip(h.spans), open.Spans...), h.unordered || open.Unordered
	}
	if start > 0 { // what was there before anybody kept books
		h.spans = append([]store.Span{{Bytes: start}}, h.spans...)
	}
	return h, true
}
