package journal

import (
	"slices"

	"inkwell/store"
)

// past is the runs before this one that left entries in the journal, the oldest first. It answers one question: which entries that were
// in the journal before this run are a given outlet's to deliver?
//
// The rule: if the outlet delivered the entry's category in the run before, it goes on where it was. If it did not, it takes over what
// those outlets of the category that are gone had not delivered.
//
// Example: web went to the outlets A, which had everything, and B, which was away since offset 500. The next configuration sends web to A
// and C. A goes on where it was; C gets web from 500 on. Had the configuration named A alone, nothing would be delivered again.
//
// What was left by the run before is itself by this rule, hence the chain; a run is forgotten when the journal is needed only from behind
// its end.
type past []formerRun

// formerRun is what a checkpoint says of a run that has ended.
type formerRun struct {
	Read     uint64              `json:"read"` // how far it read the journal
	End      uint64              `json:"end"`  // entries from here on belong to the run behind it
	Patterns Patterns            `json:"patterns"`
	Outlets  map[string]position `json:"outlets"` // by key: of categories for which something is left
}

// position is how far one outlet got, and which categories it has.
type position struct {
	Category string       `json:"category,omitempty"` // the one that it has; "" if it has those of Patterns
	Patterns []string     `json:"patterns,omitempty"`
	Through  uint64       `json:"through"`         // the destination has everything below
	Files    store.States `json:"files,omitempty"` // by path: how they stood then
	Floors   *floors      `json:"floors,omitempty"`
}

// covers says whether an outlet had a category that matched a pattern. Categories that are kept under a name of ours went to the outlet of
// that name.
func (p *position) covers(category, kept, pattern string) bool {
	if p.Category == "" || p.Category != category && p.Category == kept {
		return slices.Contains(p.Patterns, pattern)
	}
	return p.Category == category
}

// of returns the outlets that had a category in the run: its own, or those that it shares, or those under which it was kept because it is
// no name of a file or was one too many.
func (f *formerRun) of(category string) (keys []string) {
	pattern := f.Patterns.Match(category)
	for _, kept := range keptAs(category) {
		for key, p := range f.Outlets {
			if p.covers(category, kept, pattern) {
				keys = append(keys, key)
			}
		}
		if len(keys) > 0 {
			break
		}
	}
	return keys
}

// keptAs are the names under which a category can be kept, the most likely first.
func keptAs(category string) []string {
	if store.SafeCategory([]byte(category)) {
		return []string{category, store.OverflowCategory}
	}
	return []string{category, store.UnsafeCategory}
}

// end is where the entries of this run begin.
func (p past) end() uint64 {
	if len(p) == 0 {
		return 0
	}
	return p[len(p)-1].End
}

// floor is where in the journal the entries of a category begin that an outlet has to deliver: those below were delivered, or are another
// outlet's. outlets are the keys of all that the category has now. With a key that is none of them the answer is where those entries begin
// that had an outlet and have none any more.
func (p past) floor(key, category string, outlets []string) uint64 {
	if len(p) == 0 {
		return 0
	}
	older, last := p[:len(p)-1], &p[len(p)-1]
	then := last.of(category)
	if len(then) == 0 { // delivered, unless the run ended before it came to them
		return max(older.floor(key, category, outlets), last.Read)
	}
	left := func(key string) uint64 {
		return min(last.End, max(last.Outlets[key].through(category), older.floor(key, category, then)))
	}
	if slices.Contains(then, key) {
		return left(key)
	}
	floor := last.End
	for _, k := range then {
		if !slices.Contains(outlets, k) {
			floor = min(floor, left(k))
		}
	}
	return floor
}

// without forgets the runs that the journal is not needed for any more.
func (p past) without(low uint64) past {
	for len(p) > 0 && p[0].End <= low {
		p = p[1:]
	}
	return p
}

// left is the run as the next one has to know it: the outlets that have not delivered everything below its end, and those that may have
// had entries with them. ok is false when there are none. Of a run that did not read everything below its end all outlets count: those
// that are not listed had not come to it.
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
