package web

import (
	"net/http"
	"slices"
	"time"

	"inkwell/internal/status"
)

// The grids have the last hours and days, by the collector's clock, and so many categories at most.
const (
	gridHours      = 24
	gridDays       = 14
	gridCategories = 200
)

// grid says for categories which periods are complete.
type grid struct {
	Title   string
	Periods []string // labels, the newest first
	Heads   []string // as they stand above the columns
	Rows    []gridRow
}

// gridRow is a category, and whether each of the periods is complete.
type gridRow struct {
	Name     string
	Complete []bool
}

// gridPage is the data of the page of complete periods.
type gridPage struct {
	*status.Status
	Grids   []grid
	Left    int // categories that are not shown
	Trouble string
}

// grid serves the page of complete periods of all categories.
func (h *handler) grid(w http.ResponseWriter, r *http.Request) {
	s, ok := h.document(w, r)
	if !ok {
		return
	}
	p := gridPage{Status: s}
	names := make([]string, 0, len(s.Categories))
	for i := range s.Categories {
		names = append(names, s.Categories[i].Name)
	}
	slices.Sort(names)
	p.Left = max(0, len(names)-gridCategories)
	complete, err := h.completeOf(names[:len(names)-p.Left])
	if err != nil {
		p.Trouble = err.Error()
	}
	p.Grids = gridsOf(names[:len(names)-p.Left], complete, time.Now())
	render(w, "grid.html", p)
}

// completeOf returns the complete periods of categories, and gives up after listWait.
func (h *handler) completeOf(names []string) (map[string][]string, error) {
	leave, err := h.reads()
	if err != nil {
		return nil, err
	}
	done := make(chan map[string][]string, 1)
	go func() {
		defer leave()
		all := make(map[string][]string)
		for _, name := range names {
			all[name] = h.o.Files.Complete(name)
		}
		done <- all
	}()
	timer := time.NewTimer(listWait)
	defer timer.Stop()
	select {
	case all := <-done:
		return all, nil
	case <-timer.C:
		return nil, errHang
	}
}

// gridsOf makes a grid of hours and one of days, each with the categories that have such periods.
func gridsOf(names []string, complete map[string][]string, now time.Time) (grids []grid) {
	hours := grid{Title: "Hours"}
	for i := range gridHours {
		at := now.Add(-time.Duration(i) * time.Hour)
		hours.Periods, hours.Heads = append(hours.Periods, at.Format("2006-01-02T15")), append(hours.Heads, at.Format(
			"15"))
	}
	days := grid{Title: "Days"}
	for i := range gridDays {
		at := now.AddDate(0, 0, -i)
		days.Periods, days.Heads = append(days.Periods, at.Format(time.DateOnly)),
			append(days.Heads, at.Format("01-02"))
	}
	for _, g := range []grid{hours, days} {
		for _, name := range names {
			if !slices.ContainsFunc(complete[name],
				func(label string) bool { return len(label) == len(g.Periods[0]) }) {
				continue
			}
			row := gridRow{Name: name}
			for _, period := range g.Periods {
				row.Complete = append(row.Complete, slices.Contains(complete[name], period))
			}
			g.Rows = append(g.Rows, row)
		}
		if len(g.Rows) > 0 {
			grids = append(grids, g)
		}
	}
	return grids
}
