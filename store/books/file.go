package books

import (
	"encoding/json"
	"errors"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/rotate"
	"inkwell/store"
)

// Manifest and ManifestHeader are the name and the first line of the file that lists the contents of the other files in
// its directory.
const (
	Manifest       = ".manifest"
	ManifestHeader = "inkwell manifest 1"
)

// File describes the content of a file, or of its part from Start on.
type File struct {
	Name    string `json:"file"`
	Start   int64  `json:"start,omitempty"` // offset in the content, from which on the line replaces earlier lines
	Bytes   int64  `json:"bytes"`           // on disk
	Raw     int64  `json:"raw"`             // before compression
	Entries int64  `json:"entries"`         // the sum of Spans[i].Count
	// when the first entry arrived, by the collector's clock, in UTC, to the second
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Spans cover the whole content, in the order of the file; neighbours of one category without numbers are one span.
	// If there were too many, Unordered is set and the spans of each hour, category and stream are joined.
	Spans     []store.Span `json:"-"`
	Sources   Sources      `json:"-"` // of the streams of Spans, as far as they are known
	Unordered bool         `json:"unordered,omitempty"`
	Open      bool         `json:"open,omitempty"`    // the file was not finished when the line was written
	Removed   string       `json:"removed,omitempty"` // why the file does not exist any more
}

// ByRetention is the value of Removed for files that were removed by retention.
const ByRetention = "retention"

type fileLine struct {
	File
	spanLines
}

// removalLine is the line about a file that is removed.
type removalLine struct {
	Name    string    `json:"file"`
	Removed string    `json:"removed"`
	At      time.Time `json:"at"`
}

// AppendFile appends the body of the line of f.
func AppendFile(dst []byte, f *File) ([]byte, error) {
	line := fileLine{File: *f, spanLines: encodeSpans(f.Spans)}
	line.name(f.Sources)
	return appendJSON(dst, line)
}

// ParseFile reads the body of a line.
func ParseFile(body []byte) (f File, err error) {
	var line fileLine
	if err := json.Unmarshal(body, &line); err != nil {
		return File{}, err
	}
	if line.Name == "" || line.Start < 0 {
		return File{}, errors.New("a line without a file")
	}
	f = line.File
	f.Sources = line.sources()
	f.Spans, err = line.decode()
	return f, err
}

// FileOf returns the description of what was added to a file.
func FileOf(a *store.Added) File {
	f := File{Name: a.File, Start: a.Start, First: time.Unix(a.First, 0).UTC(), Last: time.Unix(a.Last, 0).UTC(),
		Spans: a.Spans, Unordered: a.Unordered, Open: a.Open}
	for _, s := range a.Spans {
		f.Entries += s.Count
		f.Raw += s.Bytes
	}
	return f
}

// lines are the lines of a manifest about one file, in the order of its content.
type lines []File

// add appends a line, which replaces those about the same content.
func (l lines) add(f File) lines {
	if f.Removed != "" {
		if len(l) == 0 {
			return lines{f}
		}
		l[len(l)-1].Removed = f.Removed
		return l
	}
	for len(l) > 0 && l[len(l)-1].Start >= f.Start {
		l = l[:len(l)-1]
	}
	return append(l, f)
}

// file merges the lines into the description of the whole file.
func (l lines) file() File {
	f := l[0]
	for _, more := range l[1:] {
		f.Bytes, f.Open, f.Removed = more.Bytes, more.Open, more.Removed
		if more.Entries > 0 {
			f.Last = more.Last
		}
		f.Unordered = f.Unordered || more.Unordered
		f.Raw += more.Raw
		f.Entries += more.Entries
		f.Spans = append(f.Spans[:len(f.Spans):len(f.Spans)], more.Spans...)
		f.Sources = f.Sources.With(more.Sources)
	}
	return f
}

// ReadFiles reads the manifest of a directory; it may be missing. Each file is returned once, in the order of the first
// lines. bad is the number of damaged lines.
func ReadFiles(dir *faultfs.Dir) (files []File, bad int, err error) {
	var names []string
	byName := make(map[string]lines)
	bad, err = faultfs.ReadLines(dir, Manifest, ManifestHeader, func(body []byte) error {
		f, err := ParseFile(body)
		if err != nil {
			if _, other := ParseCount(body); other == nil { // written by an older version
				return nil
			}
			return err
		}
		l, known := byName[f.Name]
		if !known {
			names = append(names, f.Name)
		}
		byName[f.Name] = l.add(f)
		return nil
	})
	for _, name := range names {
		files = append(files, byName[name].file())
	}
	return files, bad, err
}

// Newest returns the name of the file of a series that the manifest of its directory lists last, "" if there is none or
// the manifest cannot be read. With it a series continues its numbers, even if the last files do not exist any more.
func Newest(dir *faultfs.Dir, base string) (name string) {
	_, err := faultfs.ReadLines(dir, Manifest, ManifestHeader, func(body []byte) error {
		var line struct {
			Name    string `json:"file"`
			Removed string `json:"removed"`
		}
		err := json.Unmarshal(body, &line)
		if of, ok := rotate.BaseOf(line.Name); err == nil && ok && of == base && line.Removed == "" {
			name = line.Name
		}
		return err
	})
	if err != nil {
		return ""
	}
	return name
}
