// Package manifest is what is known of the files of a collector without reading them: what `inkwell audit` adds up.
//
//	DIR/CATEGORY/.manifest    a line for each file, written when it is finished, right after it got its final name
//	DIR/.manifest             counts of what is in no file: duplicates, refused entries, by hour
//
// Both are faultfs.Lines ("CRC JSON"). The last line of a file counts: after a crash it may be written again. Lines of files that
// retention has removed stay, so that an audit knows what was there.
package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store/stream"
)

// Name and Header are those of the files.
const (
	Name   = ".manifest"
	Header = "inkwell manifest 1"
)

// File is a line about a file.
type File struct {
	Name    string    `json:"file"`
	Bytes   int64     `json:"bytes"`   // on disk
	Raw     int64     `json:"raw"`     // uncompressed
	Entries int64     `json:"entries"` // the sum of those of Spans
	First   time.Time `json:"first"`   // when its first entry came in, by the collector's clock, UTC, to the second
	Last    time.Time `json:"last"`
	// Spans in the order in which they stand in the file; together they are all its bytes. Unordered: there were too many, and they
	// are those of each hour and stream, joined.
	Spans     []Span `json:"-"`
	Unordered bool   `json:"unordered,omitempty"`
}

// Span is entries that follow each other in a file.
type Span struct {
	Hour   int64     // when they came in: hours since 1970, UTC
	Stream stream.ID // zero: they have no numbers
	First  int64     // number of the first
	Count  int64     // entries
	Bytes  int64     // uncompressed, with what the collector added
}

// End is behind the number of the last entry.
func (s *Span) End() int64 { return s.First + s.Count }

// fileLine is File as it is written: each stream is named once.
type fileLine struct {
	File
	Streams []string   `json:"streams,omitempty"`
	Spans   [][5]int64 `json:"spans"` // hour, index of the stream or -1, first, count, bytes
}

// AppendFile appends the body of f's line.
func AppendFile(dst []byte, f *File) ([]byte, error) {
	line := fileLine{File: *f}
	line.Streams, line.Spans = encodeSpans(f.Spans)
	return appendJSON(dst, line)
}

func appendJSON(dst []byte, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	return append(dst, data...), err
}

func encodeSpans(spans []Span) (streams []string, rows [][5]int64) {
	index := make(map[stream.ID]int64)
	rows = make([][5]int64, 0, len(spans))
	for _, s := range spans {
		i := int64(-1)
		if s.Stream != (stream.ID{}) {
			known := false
			if i, known = index[s.Stream]; !known {
				i = int64(len(streams))
				index[s.Stream] = i
				streams = append(streams, s.Stream.String())
			}
		}
		rows = append(rows, [5]int64{s.Hour, i, s.First, s.Count, s.Bytes})
	}
	return streams, rows
}

func decodeSpans(streams []string, rows [][5]int64) ([]Span, error) {
	ids := make([]stream.ID, len(streams))
	for i, s := range streams {
		var err error
		if ids[i], err = stream.ParseID(s); err != nil {
			return nil, err
		}
	}
	spans := make([]Span, len(rows))
	for i, r := range rows {
		if r[1] < -1 || r[1] >= int64(len(ids)) || r[2] < 0 || r[3] < 0 || r[4] < 0 || r[2]+r[3] < 0 {
			return nil, fmt.Errorf("span %d is out of range", i)
		}
		spans[i] = Span{Hour: r[0], First: r[2], Count: r[3], Bytes: r[4]}
		if r[1] >= 0 {
			spans[i].Stream = ids[r[1]]
		}
	}
	return spans, nil
}

// ParseFile reads the body of a line about a file.
func ParseFile(body []byte) (f File, err error) {
	var line fileLine
	if err := json.Unmarshal(body, &line); err != nil {
		return File{}, err
	}
	if line.Name == "" {
		return File{}, errors.New("a line without a file")
	}
	f = line.File
	f.Spans, err = decodeSpans(line.Streams, line.Spans)
	return f, err
}

// Newest is the name of the file that a category's manifest lists last, "" if there is none or it cannot be read.
func Newest(dir *faultfs.Dir) string {
	var last []byte
	if _, err := faultfs.ReadLines(dir, Name, Header, func(body []byte) error {
		last = body
		return nil
	}); err != nil {
		return ""
	}
	f, err := ParseFile(last)
	if err != nil {
		return ""
	}
	return f.Name
}

// ReadFiles reads the manifest of a category's directory; there need not be one. In the order of their first lines, each file once.
// bad counts lines that are damaged.
func ReadFiles(dir *faultfs.Dir) (files []File, bad int, err error) {
	at := make(map[string]int)
	bad, err = faultfs.ReadLines(dir, Name, Header, func(body []byte) error {
		f, err := ParseFile(body)
		if err != nil {
			return err
		}
		if i, again := at[f.Name]; again {
			files[i] = f
		} else {
			at[f.Name] = len(files)
			files = append(files, f)
		}
		return nil
	})
	return files, bad, err
}
