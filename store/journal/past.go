package journal

import (
	"maps"
	"slices"

	"inkwell/store"
)

// past is the runs before this one that left entries in the journal, the oldest first. It answers one question: which
// entries that were in the journal before this run are a given outlet's to deliver?
//
// The rule: an outlet goes on with what it was to deliver and has not. What an outlet that is gone was to deliver and
// has not goes to all that the entry's category has now, but for those that had the entry themselves.
//
// Example: web went to the outlets A, which had everything, and B, which was away since offset 500. The next
// configuration sends web to A and C. A goes on where it was; C gets web from 500 on. Had the configuration named A
// alone, nothing would be delivered again.
//
// What was left by the run before is itself by this rule, hence the chain; a run is forgotten when the journal is
// needed only from behind its end.
type past []formerRun

// formerRun is what a checkpoint says of a run that has ended.
type formerRun struct {
	Read     uint64              `json:"read"` // how far it read the journal
	End      uint64              `json:"end"`  // entries from here on belong to the run behind it
	Patterns Patterns            `json:"patterns"`
	Outlets  map[string]position `json:"outlets"` // by key: of categories for which something is left

	own    map[string][]string // keys by category; nil: they were not looked for yet
	shared []string            // keys of those that have many categories
}

// position is how far one outlet got, and which categories it has.
type position struct {
	Category string       `json:"category,omitempty"` // the one that it has; "" if it has those of Patterns
	Patterns []string     `json:"patterns,omitempty"`
	Through  uint64       `json:"through"`          // the destination has everything below
	Files    store.States `json:"files,omitempty"`  // by path: how they stood then
	Booked   uint64       `json:"booked,omitempty"` // what the books know of the files: journal offset of the last Mark that added something, at least
	Floors   *floors      `json:"floors,omitempty"`
}

// of returns the keys of the outlets that had a category in the run: its own, and those that it shared, or those under
// which it was kept because it is no name of a file or was one too many.
func (f *formerRun) of(category string) (keys []string) {
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

// index finds the outlets of the categories.
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

// keptAs is the name of ours under which a category can be kept.
func keptAs(category string) string {
	if store.SafeCategory([]byte(category)) {
		return store.OverflowCategory
	}
	return store.UnsafeCategory
}

// end is where the entries of this run begin.
func (p past) end() uint64 {
	if len(p) == 0 {
		return 0
	}
	return p[len(p)-1].End
}

// portion is a part of the journal, from an offset up to another, and the outlets of a category that have to deliver
// its entries there.
type portion struct {
	from, to uint64
	due      []string // keys
	lost     bool     // nobody has to although somebody had: the category has no outlet any more
}

// portions divides the journal for a category among the outlets that it has now, by their keys.
func (p past) portions(category string, now []string) []portion {
	then := make([][]string, len(p)) // the outlets that it had
	bounds := []uint64{0}
	for i := range p {
		then[i] = p[i].of(category)
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
		e := p.fate(category, from, then)
		all[i].due = e.due(now)
		all[i].lost = len(now) == 0 && (!e.seen || len(e.owing) > 0)
	}
	return all
}

// fate is what has become of an entry.
type fate struct {
	seen  bool     // some run had it
	owing []string // outlets that are to deliver it and have not
	had   []string // outlets that have delivered it
}

// fate is that of the entry of a category at an offset. then are the outlets that the category had in each of the runs.
func (p past) fate(category string, at uint64, then [][]string) (e fate) {
	for i := range p {
		f := &p[i]
		switch {
		case at >= f.End: // it came later
		case len(then[i]) > 0:
			due := e.due(then[i])
			e.seen, e.owing = true, nil
			for _, key := range due {
				if f.Outlets[key].through(category) > at {
					e.had = append(e.had, key)
				} else {
					e.owing = append(e.owing, key)
				}
			}
		case at < f.Read: // there was no outlet for it, or all had delivered it
			e.seen, e.owing = true, nil
		}
	}
	return e
}

// due are the outlets of a category that have to deliver the entry, by the rule, of those that it has now.
func (e *fate) due(now []string) (due []string) {
	gone := !e.seen || slices.ContainsFunc(e.owing, func(key string) bool { return !slices.Contains(now, key) })
	for _, key := range now {
		if slices.Contains(e.owing, key) || gone && !slices.Contains(e.had, key) {
			due = append(due, key)
		}
	}
	return due
}

// without forgets the runs that the journal is not needed for any more.
func (p past) without(low uint64) past {
	for len(p) > 0 && p[0].End <= low {
		p = p[1:]
	}
	return p
}

// left is the run as the next one has to know it: the outlets that have not delivered everything below its end, and
// those that may have had entries with them. ok is false when there are none. Of a run that did not read everything
// below its end all outlets count: those that are not listed had not come to it.
func (f formerRun) left() (_ formerRun, ok bool) {
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

// through is where the entries of a category begin that the destination may not have.
func (p position) through(category string) uint64 {
	if p.Floors == nil {
		return p.Through
	}
	return max(p.Through, p.Floors.of(category))
}
