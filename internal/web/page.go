package web

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"inkwell/internal/status"
)

//go:embed assets
var assets embed.FS

var pages = template.Must(template.New("").Funcs(functions).ParseFS(assets, "assets/*.html"))

// shown is the number of rows of a table unless the reader asks for all: a browser lays out some hundred without delay.
const shown = 100

// page is the data of the page.
type page struct {
	*status.Status
	Query, Sort string
	Whole       bool // all rows of the tables
	Matching    []status.Category
	Rows        []status.Category
	Fleet       []status.Sender
	Entries     chart
	Bytes       chart
	Tails       bool // files and entries can be viewed
}

// index serves the page.
func (h *handler) index(w http.ResponseWriter, r *http.Request) {
	s, ok := h.document(w, r)
	if !ok {
		return
	}
	q := r.URL.Query()
	p := page{Status: s, Query: q.Get("q"), Sort: q.Get("sort"), Whole: q.Has("all"), Tails: h.o.Files != nil}
	p.Matching = matching(s.Categories, p.Query)
	sortBy(p.Matching, p.Sort)
	p.Rows, p.Fleet = p.Matching, s.Senders
	if !p.Whole {
		p.Rows, p.Fleet = p.Rows[:min(len(p.Rows), shown)], p.Fleet[:min(len(p.Fleet), shown)]
	}
	p.Entries, p.Bytes = draw(s.History.Entries, s.History.Step), draw(s.History.Bytes, s.History.Step)
	render(w, "index.html", p)
}

// matching returns a new list of the categories whose names contain a text.
func matching(list []status.Category, text string) []status.Category {
	text = strings.ToLower(text)
	return slices.DeleteFunc(slices.Clone(list),
		func(c status.Category) bool { return !strings.Contains(strings.ToLower(c.Name), text) })
}

// sortBy orders categories by a column. Any other word keeps the order of the status, by importance.
func sortBy(list []status.Category, column string) {
	by := map[string]func(a, b status.Category) int{
		"name":    func(a, b status.Category) int { return cmp.Compare(a.Name, b.Name) },
		"entries": func(a, b status.Category) int { return cmp.Compare(b.Entries, a.Entries) },
		"bytes":   func(a, b status.Category) int { return cmp.Compare(b.Bytes, a.Bytes) },
		"rate":    func(a, b status.Category) int { return cmp.Compare(b.EntriesPerSecond, a.EntriesPerSecond) },
		"backlog": func(a, b status.Category) int { return cmp.Compare(b.Backlog, a.Backlog) },
		"oldest":  func(a, b status.Category) int { return cmp.Compare(b.Oldest, a.Oldest) },
		"last":    func(a, b status.Category) int { return when(b.LastEntry).Compare(when(a.LastEntry)) },
	}[column]
	if by != nil {
		slices.SortStableFunc(list, by)
	}
}

// when returns the time that t points to, the zero time for nil.
func when(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// Link returns the address of the page with other choices.
func (p page) Link(key, value string) template.URL {
	q := url.Values{}
	for k, v := range map[string]string{"q": p.Query, "sort": p.Sort} {
		if v != "" {
			q.Set(k, v)
		}
	}
	if p.Whole {
		q.Set("all", "1")
	}
	q.Set(key, value)
	return template.URL("?" + q.Encode()) // which has escaped everything
}

// categoryPage is the data of the page of one category.
type categoryPage struct {
	*status.Status
	Category status.Category
	Files    []File
	Complete []string // periods
	Counting bool     // there is a page of statistics
	Trouble  string
}

// category serves the page of one category.
func (h *handler) category(w http.ResponseWriter, r *http.Request) {
	s, ok := h.document(w, r)
	if !ok {
		return
	}
	p := categoryPage{Status: s, Counting: h.counting != nil}
	i := slices.IndexFunc(s.Categories, func(c status.Category) bool { return c.Name == r.URL.Query().Get("name") })
	if i < 0 {
		say(w, http.StatusNotFound, "no such category: see the list on /")
		return
	}
	p.Category = s.Categories[i]
	var err error
	if p.Files, p.Complete, err = h.list(p.Category.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.Trouble = err.Error()
	}
	render(w, "category.html", p)
}

// render writes a page completely or, after an error, not at all.
func render(w http.ResponseWriter, name string, data any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		say(w, http.StatusInternalServerError, "the page cannot be made: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // who has gone does not read it
}

// asset serves the style sheet and the script.
func asset(name, kind string) http.HandlerFunc {
	data, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // it is built in
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(data) // who has gone does not read it
	}
}
