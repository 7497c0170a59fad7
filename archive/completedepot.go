package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"inkwell/store/books"
	"inkwell/store/depot"
)

// CompleteDepot is Complete for a category in a depot, to which several collectors bring files. It is complete when it is
// for each of them that brought a file or a marker for that time or for the day before.
func CompleteDepot(ctx context.Context, arg string, during Span) (c Completeness, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	list, err := readDepot(ctx, arg, daysFor(during, time.Now()), func(string, ...any) {})
	if err != nil || len(list) == 0 {
		return c, err
	}
	if len(list) > 1 || !list[0].named {
		return c, fmt.Errorf("%s is not one category (want ADDRESS/CATEGORY; inkwell ls shows them)", arg)
	}
	s := &list[0]
	over := make(map[string]bool) // by writer, those that are waited for
	listed := make(map[string]bool)
	for _, name := range s.in.markers {
		who, period, ok := markerOf(path.Base(name))
		if !ok {
			continue
		}
		c.Marked = true
		if recent(period.From, during) || period.reaches(during) {
			over[who] = over[who] || period.reaches(during)
		}
		if period.From.Before(during.From) && !period.To.After(during.From) {
			continue
		}
		m, err := s.in.marker(ctx, name)
		if err != nil {
			return c, err
		}
		for _, f := range m.Files {
			in := !f.First.Before(during.From) && f.First.Before(during.To)
			if name := depot.NameOf(f.Name, who); in && !listed[name] {
				listed[name] = true
				c.Entries, c.Files = c.Entries+f.Entries, c.Files+1
			}
			c.Late = c.Late || in && m.Version > 1
		}
	}
	c.Complete = c.Marked && len(over) > 0 && !time.Now().Before(during.To)
	for _, f := range s.Files {
		first := s.in.contents.Of(f).First
		if first.IsZero() || !recent(first, during) {
			continue
		}
		who := depot.WriterOf(s.in.contents.local[f.Name()], f.Name())
		if _, known := over[who]; who != "" && !known {
			over[who] = false // it is waited for
		}
		c.Complete = c.Complete && (first.Before(during.From) || !first.Before(during.To) || listed[f.Name()])
	}
	for _, done := range over {
		c.Complete = c.Complete && done
	}
	return c, nil
}

// maxDays is how many partitions are listed one by one.
const maxDays = 31

// daysFor are the days in whose partitions everything lies that says whether a period is complete: from the day before
// it, up to today, because a marker of a later period counts as well; nil = too many to be listed one by one.
func daysFor(during Span, now time.Time) (days []string) {
	from, last := during.From.Local().AddDate(0, 0, -1), now.Local().AddDate(0, 0, 1)
	for day := from; !day.After(last); day = day.AddDate(0, 0, 1) {
		if days = append(days, day.Format(time.DateOnly)); len(days) > maxDays {
			return nil
		}
	}
	return days
}

// recent says whether a time lies in a period, or in the day before it.
func recent(t time.Time, during Span) bool {
	return t.Before(during.To) && !t.Before(during.From.AddDate(0, 0, -1))
}

// markerOf takes the name of a done marker in a depot apart: _SUCCESS.PERIOD_WHO, and .vN behind it for a later version.
func markerOf(name string) (who string, period Span, ok bool) {
	label, who, ok := strings.Cut(strings.TrimPrefix(name, books.MarkerPrefix), "_")
	if !ok {
		return "", Span{}, false
	}
	if k := strings.LastIndex(who, ".v"); k > 0 && strings.Trim(who[k+2:], "0123456789") == "" {
		who = who[:k]
	}
	period, ok = ParsePeriod(label)
	return who, period, ok
}

// marker reads a done marker.
func (p *place) marker(ctx context.Context, name string) (m books.Marker, err error) {
	r, err := p.depot.Open(ctx, name, depot.Whole)
	if err != nil {
		return m, err
	}
	data, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		return m, fmt.Errorf("read the done marker %s: %w", name, err)
	}
	return m, nil
}
