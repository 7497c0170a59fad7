package archive

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store/books"
)

// Span is a period of time that includes its beginning but not its end.
type Span struct{ From, To time.Time }

// Completeness says whether everything from a period has arrived in the finished files of a directory.
type Completeness struct {
	Marked   bool  // the directory has done markers
	Complete bool  // everything received in the period is in finished files that markers list
	Late     bool  // some of it arrived after a marker had declared the period complete
	Entries  int64 // in those files
	Files    int
}

// labels are the layouts of the labels of done markers, and the end of such a period; nil = the label does not tell.
var labels = []struct {
	layout string
	length func(time.Time) time.Time
}{
	{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
	{"2006-01-02T15", func(t time.Time) time.Time { return t.Add(time.Hour) }},
	{"2006-01-02T15-04-05", nil},
}

// ParsePeriod parses the label of a period in local time: a day as 2006-01-02, or an hour as 2006-01-02T15.
func ParsePeriod(label string) (s Span, ok bool) {
	for _, p := range labels {
		from, err := time.ParseInLocation(p.layout, label, time.Local)
		if err != nil {
			continue
		}
		s = Span{From: from, To: from}
		if p.length != nil {
			s.To = p.length(from)
		}
		return s, true
	}
	return Span{}, false
}

// reaches says whether a period that is done leaves nothing to come for another one: it ends no earlier.
func (s Span) reaches(during Span) bool {
	return !s.From.Before(during.To) || !s.To.Before(during.To)
}

// Complete says whether a directory is complete for a stretch of time: it is over, every file that was begun in it is
// listed by a marker, and a marker of its last period or of a later one says that nothing more comes.
func Complete(path string, during Span, now time.Time) (c Completeness, err error) {
	dir, err := faultfs.Look(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Completeness{}, nil
	}
	if err != nil {
		return Completeness{}, err
	}
	defer dir.Close()
	list, err := dir.ReadDir()
	if err != nil {
		return Completeness{}, err
	}
	listed, over := make(map[string]bool), false
	for _, e := range list {
		label, ok := strings.CutPrefix(e.Name(), books.MarkerPrefix)
		period, known := ParsePeriod(label)
		if !ok || !known {
			continue
		}
		c.Marked = true
		over = over || period.reaches(during)
		if period.From.Before(during.From) && !period.To.After(during.From) {
			continue
		}
		m, err := readMarker(dir, e.Name())
		if err != nil {
			return c, err
		}
		for _, f := range m.Files {
			if listed[f.Name] = true; !f.First.Before(during.From) && f.First.Before(during.To) {
				c.Entries, c.Files, c.Late = c.Entries+f.Entries, c.Files+1, c.Late || m.Version > 1
			}
		}
	}
	if !c.Marked || !over || now.Before(during.To) {
		return c, nil
	}
	missing, err := unlisted(path, during, listed)
	c.Complete = !missing
	return c, err
}

// unlisted says whether no marker lists a file that was begun in the period.
func unlisted(path string, during Span, listed map[string]bool) (bool, error) {
	contents, err := ReadContents(path, nil, func(string, ...any) {})
	if err != nil {
		return true, err
	}
	all, err := ReadSeries(path)
	if err != nil {
		return true, err
	}
	for _, s := range all {
		for _, f := range s.Files {
			first := contents.Of(f).First
			if !first.IsZero() && !first.Before(during.From) && first.Before(during.To) && !listed[f.Name()] {
				return true, nil
			}
		}
	}
	return false, nil
}

func readMarker(dir *faultfs.Dir, name string) (m books.Marker, err error) {
	data, err := dir.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		return m, &fs.PathError{Op: "read the done marker", Path: filepath.Join(dir.Path(), name), Err: err}
	}
	return m, nil
}
