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

// Report evaluates everything that was gathered. The Audit must not be used afterwards.
func (a *Audit) Report() *Report {
	r := &Report{Directories: a.dirs, Categories: make(map[string]*Category), Findings: []Finding{}}
	if !a.o.Since.IsZero() {
		since := a.o.Since.UTC().Truncate(time.Hour)
		r.Since = &since
	}
	keys := slices.SortedFunc(maps.Keys(a.streamsByKey), func(x, y key) int {
		return cmp.Or(cmp.Compare(x.category, y.category), slices.Compare(x.id[:], y.id[:]))
	})
	for _, k := range keys {
		a.byID[k.id] = append(a.byID[k.id], k)
	}
	for i, k := range keys {
		a.o.Progress("adding up", int64(i), int64(len(keys)))
		a.reportStream(r, k)
	}
	a.reportRefused(r)
	a.reportRemoved(r)
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

// recent reports whether an hour belongs into the report.
func (a *Audit) recent(hour int64) bool {
	return a.o.Since.IsZero() || hour == noHour || hour >= a.o.Since.Unix()/3600
}

// reportStream adds one stream of a category to the report.
func (a *Audit) reportStream(r *Report, k key) {
	t := a.streamsByKey[k]
	host, path := a.source(k)
	s := &Stream{Host: host, Path: path, Acknowledged: t.acked, InSpool: t.plainWaiting}
	hands := t.handedOn()
	name := Unnumbered
	last := t.hour(noHour)
	last.sums.Journal += t.plainJournal
	last.sums.Dropped += t.plainAside
	if k.id != (stream.ID{}) {
		name = k.id.String()
		s.InSpool = t.waiting.Count() - intersect(t.waiting, t.present(false)).Count()
		last.sums.HandedOn += hands.Count()
		for i := range t.byCollector {
			last.sums.Journal += a.undrained(k, i).Count()
		}
		s.Next = max(endOf(t.present(true)), endOf(t.waiting), endOf(t.aside), t.acked)
		a.findMissing(r, k)
		a.findCopies(r, k)
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

// addHours merges more into list; both are sorted by hour.
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

// compareHours orders hours; the unknown hour is the last.
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

// present returns the numbers that collectors have; with taken set, also those that they have taken and handed on.
func (t *categoryStream) present(taken bool) (have stream.Ranges) {
	for _, p := range t.byCollector {
		merge(&have, p.written)
		merge(&have, p.journal)
		if taken {
			merge(&have, p.taken)
		}
	}
	return have
}

// handedOn returns the numbers that were taken by collectors that hand them on, except those that still wait or were
// set aside.
func (t *categoryStream) handedOn() (hands stream.Ranges) {
	for _, p := range t.byCollector {
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

// undrained returns the numbers that are in the journal of a collector and not in its files.
func (a *Audit) undrained(k key, at int) stream.Ranges {
	journal := a.streamsByKey[k].byCollector[at].journal
	var rest, written stream.Ranges
	for _, other := range a.byID[k.id] {
		if t := a.streamsByKey[other]; (other == k || kept(other.category)) && at < len(t.byCollector) {
			merge(&written, t.byCollector[at].written)
		}
	}
	for _, r := range journal {
		merge(&rest, written.Missing(r.First, r.End))
	}
	return rest
}

// accountedFor returns the numbers that are somewhere: those of the category itself, and those of entries that
// collectors keep under another category. Numbers below from are not looked for, because they are reported for another
// category.
func (a *Audit) accountedFor(k key) (known stream.Ranges, from int64) {
	for _, other := range a.byID[k.id] {
		if other.category != k.category && !kept(k.category) && !kept(other.category) {
			continue
		}
		t := a.streamsByKey[other]
		merge(&known, t.present(!a.writes[other.category]))
		merge(&known, t.waiting)
		merge(&known, t.refused)
		if kept(k.category) && !kept(other.category) { // the other category reports lower numbers
			from = max(from, endOf(t.present(true)), endOf(t.waiting), endOf(t.aside), t.acked)
		}
	}
	return known, from
}

// kept reports whether a category holds entries of other categories.
func kept(category string) bool {
	return category == store.UnsafeCategory || category == store.OverflowCategory
}

// findMissing adds findings on the numbers of a stream that are nowhere.
func (a *Audit) findMissing(r *Report, k key) {
	t := a.streamsByKey[k]
	known, from := a.accountedFor(k)
	end := max(endOf(t.present(true)), endOf(t.waiting), endOf(t.aside), t.acked)
	index := t.index()
	dropped := Finding{Kind: Dropped}
	missing := Finding{Kind: Missing, Fault: true}
	if len(t.present(true)) == 0 && a.streamsByKey[key{category: k.category}] != nil {
		missing.Text = "no collector knows this stream, and the category has entries without numbers: perhaps they " +
			"came through a server that passes no numbers on"
	}
	var gone, lost stream.Ranges
	guessed := int64(0)
	for _, hole := range known.Missing(from, end) {
		at := index.hour(hole.End)
		h := t.hour(at)
		for _, d := range overlap(t.aside, hole.First, hole.End) {
			h.sums.Dropped += d.End - d.First
			if a.recent(at) {
				dropped.count(at, d.End-d.First)
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
				missing.count(at, n)
				lost.Add(m.First, m.End)
			}
		}
	}
	if refused := lost.Count() - missing.Entries; refused > 0 {
		missing.Text = "collectors refused other entries among these numbers"
	}
	if guessed > 0 {
		a.Notef("%s: stream %s: %d numbers that are nowhere count as refused: collectors counted refused "+
			"entries of it without their numbers", k.category, k.id, guessed)
	}
	a.addFinding(r, k, dropped, gone)
	a.addFinding(r, k, missing, lost)
}

// count adds entries of an hour to the finding and updates its first hour.
func (f *Finding) count(at, entries int64) {
	f.Entries += entries
	if t := hourTime(at); t != nil && (f.Since == nil || t.Before(*f.Since)) {
		f.Since = t
	}
}

// addFinding adds f, a finding on numbers of a stream, unless there are none.
func (a *Audit) addFinding(r *Report, k key, f Finding, numbers stream.Ranges) {
	if len(numbers) == 0 {
		return
	}
	f.Category, f.Stream, f.Numbers = k.category, k.id.String(), numbers.String()
	f.Host, f.Path = a.source(k)
	r.Findings = append(r.Findings, f)
}

// findCopies adds findings on entries that one collector has twice, or that several collectors have. A number
// identifies an entry only together with its category; in categories that hold entries of several others, the same
// number does not mean the same entry.
func (a *Audit) findCopies(r *Report, k key) {
	if kept(k.category) {
		return
	}
	t := a.streamsByKey[k]
	recent := t.present(false)
	if !a.o.Since.IsZero() {
		recent = nil
		for at, h := range t.hours {
			if a.recent(at) {
				merge(&recent, h.numbers)
			}
		}
		for _, p := range t.byCollector {
			merge(&recent, p.journal)
		}
	}
	var seen, both stream.Ranges
	for i, p := range t.byCollector {
		twice := intersect(p.twice, recent)
		a.addFinding(r, k, Finding{Kind: Twice, Fault: true, Entries: twice.Count(), Directories: a.dirs[i : i+1]},
			twice)
		copied := intersect(p.copied, recent)
		a.addFinding(r, k, Finding{Kind: Copied, Entries: copied.Count(), Directories: p.dirsOf(copied)}, copied)
		has := slices.Clone(p.written)
		merge(&has, p.journal)
		merge(&both, intersect(seen, has))
		merge(&seen, has)
	}
	if both = intersect(both, recent); len(both) == 0 {
		return
	}
	f := Finding{Kind: InBoth, Entries: both.Count()}
	for i, p := range t.byCollector {
		if len(intersect(p.written, both)) > 0 || len(intersect(p.journal, both)) > 0 {
			f.Directories = append(f.Directories, a.dirs[i])
		}
	}
	a.addFinding(r, k, f, both)
}

// dirsOf returns the directories whose files contain some of these numbers.
func (p *holdings) dirsOf(numbers stream.Ranges) (dirs []string) {
	for _, dir := range slices.Sorted(maps.Keys(p.byDir)) {
		if len(intersect(*p.byDir[dir], numbers)) > 0 {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// reportRefused adds findings on why entries were refused.
func (a *Audit) reportRefused(r *Report) {
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

// reportRemoved adds findings on finished files that do not exist any more, for each directory and reason. Their
// entries count as written.
func (a *Audit) reportRemoved(r *Report) {
	type reason struct{ dir, why string }
	for _, category := range slices.Sorted(maps.Keys(a.files)) {
		files, entries := make(map[reason]int), make(map[reason]int64)
		for _, f := range a.files[category] {
			if f.State == Removed && a.recent(f.Last.Unix()/3600) {
				files[reason{f.Directory, f.Removed}]++
				entries[reason{f.Directory, f.Removed}] += f.Entries
			}
		}
		for _, k := range slices.SortedFunc(maps.Keys(files),
			func(x, y reason) int { return cmp.Or(cmp.Compare(x.dir, y.dir), cmp.Compare(x.why, y.why)) }) {
			text := "1 file"
			if n := files[k]; n > 1 {
				text = fmt.Sprintf("%d files", n)
			}
			r.Findings = append(r.Findings, Finding{Kind: Gone, Category: category, Entries: entries[k],
				Directories: []string{k.dir}, Text: text, Why: k.why})
		}
	}
}

// index maps the first number of a span to the hour in which it was written.
type index map[int64]int64

func (t *categoryStream) index() index {
	x := make(index)
	for at, h := range t.hours {
		for _, r := range h.numbers {
			x[r.First] = min(x.hour(r.First), at)
		}
	}
	return x
}

// hour returns the hour of the span that begins with number n, noHour if there is none.
func (x index) hour(n int64) int64 {
	if at, known := x[n]; known {
		return at
	}
	return noHour
}
