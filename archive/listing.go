package archive

import (
	"os"
	"slices"
	"strings"
	"time"

	"inkwell/store/books"
)

// Listed describes a file for users.
type Listed struct {
	Category string    `json:"category"`
	File     string    `json:"file"` // final name
	Path     string    `json:"path"` // current path
	First    time.Time `json:"first,omitzero"`
	Last     time.Time `json:"last,omitzero"`
	Entries  int64     `json:"entries"` // -1 = unknown
	Bytes    int64     `json:"bytes"`
	Raw      int64     `json:"raw"` // -1 = unknown
	Sources  []string  `json:"sources,omitempty"`
	Open     bool      `json:"open,omitempty"`
	Trouble  string    `json:"trouble,omitempty"`
}

// List lists the selected files of a series from the books, without reading the files.
func (q *Query) List(s *Series) (list []Listed, err error) {
	c, err := q.contentsIn(s)
	if err != nil {
		return nil, err
	}
	for _, f := range s.Files {
		facts := c.Of(f)
		if !q.during(facts.First, facts.Last) {
			continue
		}
		l := Listed{
			Category: s.Name(), File: f.Name(), Path: f.Path, First: facts.First, Last: facts.Last,
			Entries: facts.Entries, Bytes: f.Size, Raw: -1, Open: f.Open,
		}
		if facts.Known {
			l.Raw = facts.Raw
		}
		wanted := len(q.patterns) == 0
		for i := range facts.Spans {
			span := &facts.Spans[i]
			of := facts.Sources.Of(*span)
			if text := SourceText(span.Stream, of); span.Count > 0 && !slices.Contains(l.Sources, text) {
				l.Sources = append(l.Sources, text)
			}
			wanted = wanted || q.matches(span.Stream, of)
		}
		slices.Sort(l.Sources)
		if l.Trouble = c.trouble(f, facts); wanted {
			list = append(list, l)
		}
	}
	return list, nil
}

// trouble says what is wrong with a file, as far as that shows without reading it.
func (c *Contents) trouble(f File, facts Facts) string {
	listed, known := c.listed[f.Name()]
	switch {
	case f.Open || !known && c.Kept && facts.Known:
		return ""
	case !known && c.Kept:
		return "not in the manifest"
	case known && listed.Bytes > 0 && listed.Bytes != f.Size && !listed.Open && !plainFile(f):
		return "its size is not that in the manifest"
	}
	return ""
}

func plainFile(f File) bool {
	return !strings.HasSuffix(f.Name(), ".gz") && !strings.HasSuffix(f.Name(), ".zst")
}

// Periods lists the periods of a directory that are complete, as their markers say, in order. In a depot several
// collectors make markers, and Complete puts them together.
func (s *Series) Periods() (periods []string, err error) {
	if s.in != nil {
		return nil, nil
	}
	list, err := os.ReadDir(s.Dir)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		if period, ok := strings.CutPrefix(e.Name(), books.MarkerPrefix); ok {
			periods = append(periods, period)
		}
	}
	return periods, nil
}
