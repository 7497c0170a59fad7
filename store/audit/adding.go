package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"inkwell/store"
	"inkwell/store/stream"
)

// Report adds up what was gathered. The Audit is done with then.
func (a *Audit) Report() *Report {
	r := &Report{Directories: a.dirs, Categories: make(map[string]*Category), Findings: []Finding{}}
	if !a.o.Since.IsZero() {
		since := a.o.Since.UTC().Truncate(time.Hour)
		r.Since = &since
	}
	keys := slices.SortedFunc(maps.Keys(a.tallies), func(x, y key) int {
		return cmp.Or(cmp.Compare(x.category, y.category), slices.Compare(x.id[:], y.id[:]))
	})
	for _, k := range keys {
		a.byID[k.id] = append(a.byID[k.id], k)
	}
	for i, k := range keys {
		a.o.Progress("adding up", int64(i), int64(len(keys)))
		a.stream(r, k)
	}
	a.refusals(r)
	a.gone(r)
	r.Findings = append(r.Findings, a.notes...)
	for name, c := range r.Categories {
		for _, f := range a.files[name] {
			if f.State == Open || a.recent(f.Last.Unix()/3600) {
				c.Files = append(c.Files, f)
			}
		}
		r.Sums.add(c.Sums)
	}
	r.Fault = slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Fault })
	return r
}

// recent says whether an hour is to be reported.
func (a *Audit) recent(hour int64) bool {
	return a.o.Since.IsZero() || hour == noHour || hour >= a.o.Since.Unix()/3600
}

// stream reports one.
func (a *Audit) stream(r *Report, k key) {
	t := a.tallies[k]
	host, path := a.source(k)
	s := &Stream{Host: host, Path: path, Acknowledged: t.acked, InSpool: t.plainWaiting}
	hands := t.hands()
	name := Unnumbered
	last := t.hour(noHour)
	last.sums.Journal += t.plainJournal
	last.sums.Dropped += t.plainAside
	if k.id != (stream.ID{}) {
		name = k.id.String()
		s.InSpool = t.waiting.Count() - intersect(t.waiting, t.have(false)).Count()
		last.sums.HandedOn += hands.Count()
		for i := range t.places {
			last.sums.Journal += a.undrained(k, i).Count()
		}
		s.Next = max(top(t.have(true)), top(t.waiting), top(t.aside), t.acked)
		a.holes(r, k)
		a.copies(r, k)
	}
	if last.sums.Dropped > 0 && name == Unnumbered {
		r.Findings = append(r.Findings, Finding{Kind: Dropped, Category: k.category, Entries: last.sums.Dropped})
	}
	for _, at := range slices.Sorted(maps.Keys(t.hours)) {
		h := t.hours[at].sums
		h.Received = h.Written + h.Journal + h.HandedOn + h.Duplicated + h.Refused
		if h == (Sums{}) || !a.recent(at) {
			continue
		}
		s.Hours = append(s.Hours, Hour{Hour: hourTime(at), Sums: h})
		s.Sums.add(h)
	}
	if len(s.Hours) == 0 && s.InSpool == 0 && s.Acknowledged == 0 {
		return
	}
	c := r.Categories[k.category]
	if c == nil {
		c = &Category{Streams: make(map[string]*Stream)}
		r.Categories[k.category] = c
	}
	c.Streams[name] = s
	c.Sums.add(s.Sums)
	c.Hours = addHours(c.Hours, s.Hours)
}

func hourTime(at int64) *time.Time {
	if at == noHour {
		return nil
	}
	t := time.Unix(at*3600, 0).UTC()
	return &t
}

// addHours adds what is in more to the hours of list; both are ascending.
func addHours(list, more []Hour) (sum []Hour) {
	for len(list) > 0 || len(more) > 0 {
		order := -1
		if len(list) == 0 {
			order = 1
		} else if len(more) > 0 {
			order = compareHours(list[0], more[0])
		}
		switch {
		case order < 0:
			sum, list = append(sum, list[0]), list[1:]
		case order > 0:
			sum, more = append(sum, more[0]), more[1:]
		default:
			h := list[0]
			h.add(more[0].Sums)
			sum, list, more = append(sum, h), list[1:], more[1:]
		}
	}
	return sum
}

// compareHours orders hours, that which is not known last.
func compareHours(a, b Hour) int {
	switch {
	case a.Hour == nil && b.Hour == nil:
		return 0
	case a.Hour == nil:
		return 1
	case b.Hour == nil:
		return -1
	}
	return a.Hour.Compare(*b.Hour)
}

// have is what any collector has; with taken, or had and handed on.
func (t *tally) have(taken bool) (have stream.Ranges) {
	for _, p := range t.places {
		merge(&have, p.written)
		merge(&have, p.journal)
		if taken {
			merge(&have, p.taken)
		}
	}
	return have
}

// hands is what was taken by collectors that hand it on, and neither waits nor was kept.
func (t *tally) hands() (hands stream.Ranges) {
	for _, p := range t.places {
		for _, r := range p.taken {
			for _, m := range p.journal.Missing(r.First, r.End) {
				for _, n := range t.waiting.Missing(m.First, m.End) {
					merge(&hands, t.aside.Missing(n.First, n.End))
				}
			}
		}
	}
	return hands
}

// undrained is what the journal of a collector has and its files have not.
func (a *Audit) undrained(k key, at int) stream.Ranges {
	journal := a.tallies[k].places[at].journal
	var rest, written stream.Ranges
	for _, other := range a.byID[k.id] {
		if t := a.tallies[other]; (other == k || kept(other.category)) && at < len(t.places) {
			merge(&written, t.places[at].written)
		}
	}
	for _, r := range journal {
		merge(&rest, written.Missing(r.First, r.End))
	}
	return rest
}

// known is what is somewhere, with the category's own numbers and those of the entries that collectors keep elsewhere.
func (a *Audit) known(k key) (known stream.Ranges, from int64) {
	for _, other := range a.byID[k.id] {
		if other.category != k.category && !kept(k.category) && !kept(other.category) {
			continue
		}
		t := a.tallies[other]
		merge(&known, t.have(!a.writes[other.category]))
		merge(&known, t.waiting)
		merge(&known, t.refused)
		if kept(k.category) && !kept(other.category) { // what is missing below is missing there
			from = max(from, top(t.have(true)), top(t.waiting), top(t.aside), t.acked)
		}
	}
	return known, from
}

// kept says whether a category holds the entries of others.
func kept(category string) bool {
	return category == store.UnsafeCategory || category == store.OverflowCategory
}

// holes finds what is nowhere of a stream.
func (a *Audit) holes(r *Report, k key) {
	t := a.tallies[k]
	known, from := a.known(k)
	end := max(top(t.have(true)), top(t.waiting), top(t.aside), t.acked)
	index := t.index()
	dropped := Finding{Kind: Dropped}
	missing := Finding{Kind: Missing, Fault: true}
	if len(t.have(true)) == 0 && a.tallies[key{category: k.category}] != nil {
		missing.Text = "no collector knows this stream, and the category has entries without numbers: perhaps they came through a server that passes no numbers on"
	}
	var gone, lost stream.Ranges
	guessed := int64(0)
	for _, hole := range known.Missing(from, end) {
		at := index.hour(hole.End)
		h := t.hour(at)
		for _, d := range overlap(t.aside, hole.First, hole.End) {
			h.sums.Dropped += d.End - d.First
			if a.recent(at) {
				dropped.first(at, d.End-d.First)
				gone.Add(d.First, d.End)
			}
		}
		for _, m := range t.aside.Missing(hole.First, hole.End) {
			n := m.End - m.First
			refused := min(n, a.refused[k.id])
			a.refused[k.id] -= refused
			guessed += refused
			if n -= refused; n == 0 {
				continue
			}
			h.sums.Missing += n
			if a.recent(at) {
				missing.first(at, n)
				lost.Add(m.First, m.End)
			}
		}
	}
	if refused := lost.Count() - missing.Entries; refused > 0 {
		missing.Text = "collectors refused other entries among these numbers"
	}
	if guessed > 0 {
		a.note(fmt.Sprintf("%s: stream %s: %d numbers that are nowhere count as refused: collectors counted refused entries of it without their numbers", k.category, k.id, guessed))
	}
	a.found(r, k, dropped, gone)
	a.found(r, k, missing, lost)
}

// first counts entries of an hour, the first of which is kept.
func (f *Finding) first(at, entries int64) {
	f.Entries += entries
	if t := hourTime(at); t != nil && (f.Since == nil || t.Before(*f.Since)) {
		f.Since = t
	}
}

// found adds f, which is about numbers of a stream, if there are any.
func (a *Audit) found(r *Report, k key, f Finding, numbers stream.Ranges) {
	if len(numbers) == 0 {
		return
	}
	f.Category, f.Stream, f.Numbers = k.category, k.id.String(), numbers.String()
	f.Host, f.Path = a.source(k)
	r.Findings = append(r.Findings, f)
}

// copies finds what collectors have twice, each by itself and together. Numbers are of a stream and a category: where
// the entries of several are kept, the same one does not mean the same entry.
func (a *Audit) copies(r *Report, k key) {
	if kept(k.category) {
		return
	}
	t := a.tallies[k]
	recent := t.have(false)
	if !a.o.Since.IsZero() {
		recent = nil
		for at, h := range t.hours {
			if a.recent(at) {
				merge(&recent, h.numbers)
			}
		}
		for _, p := range t.places {
			merge(&recent, p.journal)
		}
	}
	var seen, both stream.Ranges
	for i, p := range t.places {
		twice := intersect(p.twice, recent)
		a.found(r, k, Finding{Kind: Twice, Fault: true, Entries: twice.Count(), Directories: a.dirs[i : i+1]}, twice)
		copied := intersect(p.copied, recent)
		a.found(r, k, Finding{Kind: Copied, Entries: copied.Count(), Directories: p.dirsOf(copied)}, copied)
		has := slices.Clone(p.written)
		merge(&has, p.journal)
		merge(&both, intersect(seen, has))
		merge(&seen, has)
	}
	if both = intersect(both, recent); len(both) == 0 {
		return
	}
	f := Finding{Kind: InBoth, Entries: both.Count()}
	for i, p := range t.places {
		if len(intersect(p.written, both)) > 0 || len(intersect(p.journal, both)) > 0 {
			f.Directories = append(f.Directories, a.dirs[i])
		}
	}
	a.found(r, k, f, both)
}

// dirsOf are the directories whose files have some of these numbers.
func (p *place) dirsOf(numbers stream.Ranges) (dirs []string) {
	for _, dir := range slices.Sorted(maps.Keys(p.in)) {
		if len(intersect(*p.in[dir], numbers)) > 0 {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// refusals reports why entries were refused.
func (a *Audit) refusals(r *Report) {
	sums := make(map[cause]int64)
	for c, n := range a.why {
		if a.recent(c.hour) {
			sums[cause{category: c.category, why: c.why}] += n
		}
	}
	for _, c := range slices.SortedFunc(maps.Keys(sums), func(x, y cause) int {
		return cmp.Or(cmp.Compare(x.category, y.category), cmp.Compare(x.why, y.why))
	}) {
		r.Findings = append(r.Findings, Finding{Kind: Refused, Category: c.category, Entries: sums[c], Text: c.why})
	}
}

// gone tells of the finished files that are not there, for each directory and reason. What they held counts as written.
func (a *Audit) gone(r *Report) {
	type reason struct{ dir, why string }
	for _, category := range slices.Sorted(maps.Keys(a.files)) {
		files, entries := make(map[reason]int), make(map[reason]int64)
		for _, f := range a.files[category] {
			if f.State == Removed && a.recent(f.Last.Unix()/3600) {
				files[reason{f.Directory, f.Removed}]++
				entries[reason{f.Directory, f.Removed}] += f.Entries
			}
		}
		for _, k := range slices.SortedFunc(maps.Keys(files), func(x, y reason) int { return cmp.Or(cmp.Compare(x.dir, y.dir), cmp.Compare(x.why, y.why)) }) {
			text := "1 file"
			if n := files[k]; n > 1 {
				text = fmt.Sprintf("%d files", n)
			}
			r.Findings = append(r.Findings, Finding{Kind: Gone, Category: category, Entries: entries[k], Directories: []string{k.dir}, Text: text, Why: k.why})
		}
	}
}

// index tells the hour in which a stretch of numbers was begun.
type index map[int64]int64

func (t *tally) index() index {
	x := make(index)
	for at, h := range t.hours {
		for _, r := range h.numbers {
			x[r.First] = min(x.hour(r.First), at)
		}
	}
	return x
}

// hour is that of number n, noHour if no stretch of a file begins there.
func (x index) hour(n int64) int64 {
	if at, known := x[n]; known {
		return at
	}
	return noHour
}
