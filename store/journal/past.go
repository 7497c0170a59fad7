package journal

import (
	"maps"
	"slices"

	"inkwell/store"
)

// past is the list of earlier runs that left entries in the journal, the oldest first. It answers one question: which
// of the entries that were in the journal before this run must a given outlet deliver?
//
// The rule: an outlet continues with the entries that it had to deliver and did not. What an outlet that no longer
// exists had to deliver and did not goes to all current outlets of the category, except those that delivered the entry
// themselves. A run that ended before it read an entry has changed nothing about it. (An entry counts as read if one of
// the outlets delivered it: it can be ahead of the offset that the checkpoint records.)
//
// Example: the category web went to outlet A, which delivered everything, and to outlet B, which failed from offset 500
// on. The next configuration sends web to A and C. A continues where it was, and C gets web from 500 on. If the new
// configuration named A alone, nothing would be delivered again.
//
// What each run left depends, by the same rule, on the runs before it; therefore the list. A run is dropped from it
// when the journal is no longer needed below its end, and a run that continues the one before it with the same rules
// and outlets replaces it: a collector that is started a thousand times while one outlet fails has one former run.
type past []formerRun

// formerRun is what a checkpoint records about a run that has ended.
type formerRun struct {
	Read     uint64              `json:"read"` // how far the run had read the journal
	End      uint64              `json:"end"`  // entries from this offset on belong to the next run
	Patterns Patterns            `json:"patterns"`
	Outlets  map[string]position `json:"outlets"` // by key: only outlets of categories that have undelivered entries

	own    map[string][]string // index: category → keys of its own outlets; nil: not built yet
	shared []string            // index: keys of outlets with many categories
}

// position is how far one outlet came, and which categories it has.
type position struct {
	Category string       `json:"category,omitempty"` // the only category; "" if the outlet has those of Patterns
	Patterns []string     `json:"patterns,omitempty"`
	Through  uint64       `json:"through"`         // the destination has every entry below this offset
	Files    store.States `json:"files,omitempty"` // by path, as of Through
	// Booked is the number of the last addition to files that the books were told of, see report.booked. It is at least
	// the journal offset of that addition.
	Booked uint64  `json:"booked,omitempty"`
	Floors *floors `json:"floors,omitempty"`
}

// outletsOf returns the keys of the outlets that had a category in the run: its own outlets and those that it shared
// with others. If there are none, they are the outlets of _unsafe or _overflow, where the category was kept because its
// name is unsafe or there were too many categories.
func (f *formerRun) outletsOf(category string) (keys []string) {
	if f.own == nil {
		f.index()
	}
	pattern := f.Patterns.Match(category)
	keys = append(keys, f.own[category]...)
	for _, key := range f.shared {
		if slices.Contains(f.Outlets[key].Patterns, pattern) {
			keys = append(keys, key)
		}
	}
	if len(keys) > 0 {
		return keys
	}
	for _, key := range f.own[keptAs(category)] {
		if slices.Contains(f.Outlets[key].Patterns, pattern) {
			keys = append(keys, key)
		}
	}
	return keys
}

// index fills own and shared.
func (f *formerRun) index() {
	f.own = make(map[string][]string)
	for _, key := range slices.Sorted(maps.Keys(f.Outlets)) {
		if c := f.Outlets[key].Category; c != "" {
			f.own[c] = append(f.own[c], key)
		} else {
			f.shared = append(f.shared, key)
		}
	}
}

// keptAs returns the category of Inkwell's own under which a category may have been kept.
func keptAs(category string) string {
	if store.SafeCategory([]byte(category)) {
		return store.OverflowCategory
	}
	return store.UnsafeCategory
}

// end returns the offset at which the entries of the current run begin.
func (p past) end() uint64 {
	if len(p) == 0 {
		return 0
	}
	return p[len(p)-1].End
}

// portion is a range of the journal, with the outlets of one category that have to deliver the entries of that category
// in it.
type portion struct {
	from, to uint64
	due      []string // keys of the outlets
	lost     bool     // the entries were not delivered, and the category has no outlet any more
}

// portions divides the journal into ranges for a category; now are the keys of its current outlets.
func (p past) portions(category string, now []string) []portion {
	then := make([][]string, len(p)) // then[i]: the outlets that the category had in run i
	bounds := []uint64{0}
	for i := range p {
		then[i] = p[i].outletsOf(category)
		bounds = append(bounds, p[i].Read, p[i].End)
		for _, key := range then[i] {
			bounds = append(bounds, p[i].Outlets[key].through(category))
		}
	}
	slices.Sort(bounds)
	bounds = slices.Compact(bounds)
	all := make([]portion, len(bounds))
	for i, from := range bounds {
		all[i] = portion{from: from, to: noOffset}
		if i > 0 {
			all[i-1].to = from
		}
		e := p.fateOf(category, from, then)
		all[i].due = e.due(now)
		all[i].lost = len(now) == 0 && (!e.seen || len(e.owing) > 0)
	}
	return all
}

// fate says which outlets have delivered an entry and which still have to.
type fate struct {
	seen  bool     // a run has read the entry
	owing []string // outlets that have to deliver it and have not
	had   []string // outlets that have delivered it
}

// fateOf returns the fate of the entry of a category at an offset. then[i] are the outlets that the category had in run
// i.
func (p past) fateOf(category string, at uint64, then [][]string) (e fate) {
	for i := range p {
		f := &p[i]
		has := func(key string) bool { return f.Outlets[key].through(category) > at }
		if at >= f.End || at >= f.Read && !slices.ContainsFunc(then[i], has) {
			continue // appended after this run, or not read by it
		}
		due := e.due(then[i])
		e.seen, e.owing = true, nil
		for _, key := range due {
			if has(key) {
				e.had = append(e.had, key)
			} else {
				e.owing = append(e.owing, key)
			}
		}
	}
	return e
}

// due returns those of the current outlets of a category that have to deliver the entry, by the rule of type past.
func (e *fate) due(now []string) (due []string) {
	gone := !e.seen || slices.ContainsFunc(e.owing, func(key string) bool { return !slices.Contains(now, key) })
	for _, key := range now {
		if slices.Contains(e.owing, key) || gone && !slices.Contains(e.had, key) {
			due = append(due, key)
		}
	}
	return due
}

// without drops the runs that ended at or below low, where the journal is no longer needed.
func (p past) without(low uint64) past {
	for len(p) > 0 && p[0].End <= low {
		p = p[1:]
	}
	return p
}

// with adds a run to the list if the next run has to know it: what it left, but not how its files stand.
func (p past) with(f formerRun) past {
	if _, lacks := f.unfinished(); !lacks {
		return p
	}
	for k := len(p) - 1; k >= 0 && f.continues(&p[k]); k-- {
		f, p = f.joined(&p[k]), p[:k]
	}
	f, _ = f.unfinished()
	known := make(map[string]position, len(f.Outlets))
	for key, o := range f.Outlets {
		o.Files, o.Booked = nil, 0
		known[key] = o
	}
	f.Outlets = known
	return append(slices.Clip(p), f)
}

// continues reports whether f had the rules of the run before it, and the outlets of every category of which that run
// left entries.
func (f *formerRun) continues(before *formerRun) bool {
	if !f.Patterns.equal(&before.Patterns) {
		return false
	}
	for key, p := range before.Outlets {
		if now, there := f.Outlets[key]; !there || !now.continues(p) {
			return false
		}
	}
	for key, p := range f.Outlets {
		_, there := before.Outlets[key]
		if !there && (p.Category == "" || len(before.outletsOf(p.Category)) > 0) {
			return false
		}
	}
	return true
}

// continues reports whether p is of an outlet with the same categories as before.
func (p position) continues(before position) bool {
	return p.Category == before.Category && slices.Equal(p.Patterns, before.Patterns) && p.Floors == nil &&
		before.Floors == nil
}

// joined returns f and the run before it, which f continues, as one run: each outlet came as far as it did in one of
// them, and what the run before had read without listing the outlet, it had nothing left to deliver of.
func (f formerRun) joined(before *formerRun) formerRun {
	outlets := maps.Clone(f.Outlets)
	for key, p := range outlets {
		done := before.Read
		if earlier, there := before.Outlets[key]; there {
			done = earlier.Through
		}
		p.Through = max(p.Through, done)
		outlets[key] = p
	}
	return formerRun{Read: max(f.Read, before.Read), End: f.End, Patterns: f.Patterns, Outlets: outlets}
}

// unfinished returns the part of the run that the next run has to know: the outlets that have not delivered everything
// below its end, and the outlets that share categories with them. ok is false if everything was delivered. If the run
// did not read up to its end, all outlets are kept, because they tell how much of the rest was read.
func (f formerRun) unfinished() (_ formerRun, ok bool) {
	if f.Read < f.End {
		return f, true
	}
	categories, shared := make(map[string]bool), false
	for _, p := range f.Outlets {
		if p.Through < f.End {
			ok = true
			categories[p.Category] = true
			shared = shared || len(p.Patterns) > 0
		}
	}
	kept := make(map[string]position)
	for key, p := range f.Outlets {
		if ok && (shared || len(p.Patterns) > 0 || categories[p.Category]) {
			kept[key] = p
		}
	}
	f.Outlets = kept
	return f, ok
}

// through returns the offset below which the destination has every entry of a category.
func (p position) through(category string) uint64 {
	if p.Floors == nil {
		return p.Through
	}
	return max(p.Through, p.Floors.floor(category))
}
