package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
)

// has returns the position of an outlet with a single category.
func has(category string, through uint64) position {
	return position{Category: category, Through: through}
}

// shares returns the position of an outlet that has all categories of some patterns.
func shares(through uint64, patterns ...string) position {
	return position{Patterns: patterns, Through: through}
}

// keeps returns the position of the outlet of _unsafe or _overflow.
func keeps(name string, through uint64, patterns ...string) position {
	return position{Category: name, Patterns: patterns, Through: through}
}

// ended returns a run with rules for some patterns and Default, which read everything below read; entries from end on
// belong to the next run.
func ended(read, end uint64, outlets map[string]position, patterns ...string) formerRun {
	f := formerRun{Read: read, End: end, Outlets: outlets}
	for _, p := range append(patterns, Default) {
		f.Patterns.Add(p)
	}
	return f
}

// Each row of the rule: which parts of the journal an outlet has to deliver.
func TestWhatAnOutletHasToDeliver(t *testing.T) {
	type outlets = map[string]position
	for _, c := range []struct {
		name     string
		past     past
		category string
		now      string // keys of the category's outlets
		want     string // what each outlet has to deliver; "lost" for entries that had an outlet and have none any more
	}{
		{"no run left anything", nil, "web", "A", "A: 0-"},
		{"it had the category: it goes on", past{ended(1000, 1000, outlets{"A": has("web", 400)})}, "web", "A",
			"A: 400-"},
		{"it goes on beside others", past{ended(1000, 1000, outlets{"A": has("web", 400), "B": has("web", 100)})},
			"web", "A B", "A: 400-, B: 100-"},
		{"it takes nothing over that it has",
			past{ended(1000, 1000, outlets{"A": has("web", 1000), "B": has("web", 500)})}, "web", "A", "A: 1000-"},
		{"a new one takes over from one that is gone",
			past{ended(1000, 1000, outlets{"A": has("web", 1000), "B": has("web", 500)})}, "web", "A C",
			"A: 1000-, C: 500-"},
		{"from all that are gone", past{ended(1000, 1000, outlets{"A": has("web", 700), "B": has("web", 500)})}, "web",
			"C D", "C: 500-, D: 500-"},
		{"from none that is still there", past{ended(1000, 1000, outlets{"A": has("web", 300), "B": has("web", 500)})},
			"web", "A B C", "A: 300-, B: 500-, C: 1000-"},
		{"of another category's outlet it takes nothing",
			past{ended(1000, 1000, outlets{"A": has("db", 0), "B": has("web", 500)})}, "web", "C", "C: 500-"},
		{"the category was not met by a run that read it all", past{ended(1000, 1000, outlets{"A": has("db", 0)})},
			"web", "C", "C: 1000-"},
		{"nor by one that did not come so far", past{ended(600, 1000, outlets{"A": has("db", 0)})}, "web", "C",
			"C: 600-"},
		{"from a shared outlet to one of its own", past{ended(1000, 1000, outlets{"all": shares(200, "default")})},
			"web", "A", "A: 200-"},
		{"from one of its own to a shared outlet", past{ended(1000, 1000, outlets{"A": has("web", 200)})}, "web",
			"all", "all: 200-"},
		{"a shared outlet had another pattern", past{ended(1000, 1000, outlets{"all": shares(200, "db*")}, "db*")},
			"web", "A", "A: 1000-"},
		{"the first prefix that fits says which",
			past{ended(1000, 1000, outlets{"w": shares(200, "w*"), "web": shares(300, "web*")}, "w*", "web*")}, "web1",
			"A", "A: 200-"},
		{"a name goes before a prefix", past{ended(1000, 1000, outlets{"w": shares(200, "w*"), "web": has("web", 300)},
			"w*", "web")}, "web", "A", "A: 300-"},
		{"one too many", past{ended(1000, 1000, outlets{"o": keeps(store.OverflowCategory, 150, "default")})}, "web",
			"A", "A: 150-"},
		{"one too many of other rules", past{ended(1000, 1000, outlets{"o": keeps(store.OverflowCategory, 150, "db*")},
			"db*")}, "web", "A", "A: 1000-"},
		{"not one too many: it had an own outlet",
			past{ended(1000, 1000, outlets{"A": has("web", 700), "o": keeps(store.OverflowCategory, 150, "default")})},
			"web", "B", "B: 700-"},
		{"no name of a file", past{ended(1000, 1000, outlets{"u": keeps(store.UnsafeCategory, 150, "default")})},
			"../x", "A", "A: 150-"},
		{"a name of a file is not among those that are none",
			past{ended(1000, 1000, outlets{"u": keeps(store.UnsafeCategory, 150, "default")})}, "web", "A", "A: 1000-"},
		{"what has no outlet any more", past{ended(1000, 1000, outlets{"A": has("web", 800), "B": has("web", 500)})},
			"web", "", "lost: 500-"},
		{"what has no outlet any more and was delivered",
			past{ended(1000, 1000, outlets{"A": has("web", 1000), "B": has("db", 500)})}, "web", "", "lost: 1000-"},
		{"it got further than the reader of its run", past{ended(600, 1200, outlets{"A": has("web", 1100)})}, "web",
			"A", "A: 1100-"},
		{"both runs had it", past{ended(1000, 1000, outlets{"A": has("web", 400)}),
			ended(2000, 2000, outlets{"A": has("web", 0)})}, "web", "A", "A: 400-"},
		{"it took over in the second", past{ended(1000, 1000, outlets{"A": has("web", 400)}),
			ended(2000, 2000, outlets{"B": has("web", 0)})}, "web", "B", "B: 400-"},
		{"the second delivered what the first left",
			past{ended(1000, 1000, outlets{"A": has("web", 400)}), ended(2000, 2000, outlets{"B": has("web", 1700)})},
			"web", "C", "C: 1700-"},
		{"the second did not come to it", past{ended(1000, 1000, outlets{"A": has("web", 400)}),
			ended(450, 1000, outlets{"B": has("db", 0)})}, "web", "C", "C: 450-"},
		{"the second died before it knew who else has the category",
			past{ended(300, 300, outlets{"A": keeps(store.OverflowCategory, 0, "default", "w*"),
				"B": keeps(store.OverflowCategory, 300, "w*")}, "w*"),
				ended(100, 300, outlets{"A": keeps(store.OverflowCategory, 0, "default"),
					"B": keeps(store.OverflowCategory, 100, "w*")}, "w*")},
			"web", "A B", "A: 100-, B: 300-"},
		{"the second died when one was ahead of what it had read",
			past{ended(100, 300, outlets{"A": has("web", 200)})}, "web", "C", "C: 200-"},
		{"away and back", past{ended(1000, 1000, outlets{"A": has("web", 400)}),
			ended(1500, 1500, outlets{"B": has("web", 0)}), ended(2000, 2000, outlets{"B": has("web", 1100)})},
			"web", "A", "A: 1100-"},
		{"it was set beside one that was away, and that is gone now",
			past{ended(1000, 1000, outlets{"B": has("web", 400)}),
				ended(2000, 2000, outlets{"A": has("web", 1800), "B": has("web", 400)})},
			"web", "A", "A: 400-1000, A: 1800-"},
		{"back, it does not get again what it has",
			past{ended(1000, 1000, outlets{"A": has("web", 700), "B": has("web", 400)}),
				ended(2000, 2000, outlets{"C": has("web", 0)})},
			"web", "A", "A: 700-"},
		{"by the floors of a state of before",
			past{ended(1000, 1000, outlets{"all": {Patterns: []string{"default"}, Through: 100,
				Floors: &floors{Base: 200, Names: map[string]uint64{"web": 300}}}})}, "web", "all", "all: 300-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := strings.Fields(c.now)
			portions := c.past.portions(c.category, now)
			var got []string
			for _, key := range append(now, "lost") {
				for _, part := range merged(portions,
					func(h portion) bool { return slices.Contains(h.due, key) || key == "lost" && h.lost }) {
					got = append(got, key+": "+part)
				}
			}
			if text := strings.Join(got, ", "); text != c.want {
				t.Errorf("%s, want %s", text, c.want)
			}
		})
	}
}

// merged returns the ranges of some portions as FROM-TO, with adjacent ones merged.
func merged(all []portion, in func(portion) bool) (parts []string) {
	from, open := uint64(0), false
	for _, h := range all {
		switch {
		case in(h) && !open:
			from, open = h.from, true
		case !in(h) && open:
			parts, open = append(parts, fmt.Sprintf("%d-%d", from, h.from)), false
		}
	}
	if open {
		parts = append(parts, fmt.Sprintf("%d-", from))
	}
	return parts
}

// The next run must know nothing about a run that delivered everything; otherwise it must know the outlets of the
// categories with undelivered entries.
func TestWhatIsLeftOfARun(t *testing.T) {
	type outlets = map[string]position
	for _, c := range []struct {
		name string
		run  formerRun
		want []string // keys; nil: nothing is left
	}{
		{"all is delivered", ended(1000, 1000, outlets{"A": has("web", 1000), "all": shares(1000, "default")}), nil},
		{"no outlets", ended(1000, 1000, nil), nil},
		{"of one category", ended(1000, 1000,
			outlets{"A": has("web", 400), "B": has("web", 1000), "C": has("db", 1000)}), []string{"A", "B"}},
		{"shared outlets may have had it, too",
			ended(1000, 1000, outlets{"A": has("web", 400), "C": has("db", 1000), "all": shares(1000, "default")}),
			[]string{"A", "all"}},
		{"of a shared outlet: any category", ended(1000, 1000,
			outlets{"A": has("web", 1000), "all": shares(400, "default")}), []string{"A", "all"}},
		{"of one of our names: any category",
			ended(1000, 1000, outlets{"A": has("web", 1000), "o": keeps(store.OverflowCategory, 400, "default")}),
			[]string{"A", "o"}},
		{"it did not read everything", ended(600, 1000, outlets{"A": has("web", 1000)}), []string{"A"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, ok := c.run.unfinished()
			if got := slices.Sorted(maps.Keys(f.Outlets)); ok != (c.want != nil) || ok && !slices.Equal(got, c.want) {
				t.Errorf("%v, %v, want %v", got, ok, c.want)
			}
		})
	}
}

func TestPatternsMatch(t *testing.T) {
	var p Patterns
	for _, pattern := range []string{"web*", "w*", "web", "db", "web*", "db", "aa"} {
		p.Add(pattern)
	}
	want := map[string]string{"web": "web", "web.eu": "web*", "w": "w*", "we": "w*", "db": "db", "db2": "", "": "",
		"default": "", "aa": "aa"}
	for category, pattern := range want {
		if got := p.Match(category); got != pattern {
			t.Errorf("%q has %q, want %q", category, got, pattern)
		}
	}
	if !slices.Equal(p.Names, []string{"aa", "db", "web"}) || !slices.Equal(p.Prefixes, []string{"web*", "w*"}) ||
		p.Named("web.eu") || !p.Named("db") {
		t.Errorf("%+v", p)
	}
	p.Add(Default)
	if got := p.Match("db2"); got != Default {
		t.Errorf("the rest has %q", got)
	}
}

// TestThePastIsTheRule plays chains of runs with random configurations, in which stores fail, outlets deliver only a
// part, and runs die or stop. It compares which entries the functions of the engine (NewOutlet, due, gather, history,
// unfinished, and the saved checkpoint) assign to which outlet with a simple rule that is applied to each entry.
func TestThePastIsTheRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, c: &checkpoint{Version: checkpointVersion, Outlets: make(map[string]position)}}
		for range rapid.IntRange(2, 6).Draw(t, "runs") {
			w.play(w.draw(), false)
		}
		w.play(w.draw(), true)
		w.check()
	})
}

// TestRunsOfOneConfigurationAreOne compares the list of runs as it is kept, in which runs with the same rules and outlets
// are joined, with one of all runs that left something.
func TestRunsOfOneConfigurationAreOne(t *testing.T) {
	known := map[string]position{"A": has("a", 0), "A2": has("a", 0), "B": has("b", 0), "all": shares(0, Default),
		"o": keeps(store.OverflowCategory, 0, Default)}
	keys := slices.Sorted(maps.Keys(known))
	joinedRuns := 0
	rapid.Check(t, func(t *rapid.T) {
		at := func(from, to uint64, what string) uint64 {
			return 100 * rapid.Uint64Range(from/100, to/100).Draw(t, what)
		}
		subset := func(what string) []string {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(keys), 0, len(keys), rapid.ID[string]).Draw(t, what)
		}
		var all, kept past
		end, now := uint64(0), subset("outlets")
		for range rapid.IntRange(2, 7).Draw(t, "runs") {
			if rapid.IntRange(0, 3).Draw(t, "another configuration") == 0 {
				now = subset("outlets")
			}
			end += at(0, 300, "entries")
			f := ended(end, end, make(map[string]position))
			if rapid.Bool().Draw(t, "dies") {
				f.Read = at(0, end, "read")
			}
			for _, key := range now {
				if p := known[key]; f.Read == end || rapid.IntRange(0, 3).Draw(t, "not made yet") > 0 {
					p.Through = at(0, end, "through")
					f.Outlets[key] = p
				}
			}
			if g, lacks := f.unfinished(); lacks {
				all = append(all, g)
			}
			kept = kept.with(f)
		}
		joinedRuns += len(all) - len(kept)
		current := subset("current outlets")
		for _, category := range []string{"a", "b", "c"} {
			want, got := all.portions(category, current), kept.portions(category, current)
			for _, key := range append(current, "lost") {
				in := func(h portion) bool { return slices.Contains(h.due, key) || key == "lost" && h.lost }
				if w, g := merged(want, in), merged(got, in); !slices.Equal(w, g) {
					t.Fatalf("%s of %s: %v, want %v; kept %+v\nof %+v", key, category, g, w, kept, all)
				}
			}
		}
	})
	if joinedRuns == 0 {
		t.Error("no runs were joined")
	}
}

// entryBytes is the size of an entry in the journal of a world.
const entryBytes = 100

// world is a journal, the outlets its entries went to, and the outlets they should have gone to.
type world struct {
	t       *rapid.T
	c       *checkpoint
	entries []*record
	setups  []*setup // that were configured so far
	log     []string
}

// record is one entry and, according to the rule, what happened to it.
type record struct {
	category string
	at       uint64
	seen     bool            // a run had it
	homeless bool            // a run in which it had no outlet has read it
	lacks    map[string]bool // outlets that had to deliver it in the last run in which it had any, and have not
	got      map[string]int  // how often each outlet has delivered it
}

// duty is the rule: it returns the current outlets that have to deliver the entry. An entry that no run has handled
// goes to all. Any other entry goes to those outlets that had to deliver it and have not. If one of these does not
// exist any more, it also goes to all outlets that have not delivered it.
func (e *record) duty(now map[string]bool) map[string]bool {
	if !e.seen {
		return now
	}
	due, gone := make(map[string]bool), false
	for k := range e.lacks {
		if gone = gone || !now[k]; now[k] {
			due[k] = true
		}
	}
	for k := range now {
		if gone && e.got[k] == 0 {
			due[k] = true
		}
	}
	return due
}

// setup is a configuration: blocks of stores for patterns, distributed like by the router of the collector.
type setup struct {
	patterns Patterns
	blocks   []setupBlock
	copies   bool // each category has outlets of its own
	single   bool // outlets are told apart by their stores alone
	limit    int  // categories
}

type setupBlock struct {
	patterns []string
	store    string
}

var worldCategories = []string{"a", "ab", "abc", "b", "c", "../x", "./y"}

// draw returns a configuration: often one of those before, which the list of former runs joins.
func (w *world) draw() *setup {
	if n := len(w.setups); n > 0 && rapid.Bool().Draw(w.t, "again") {
		return w.setups[rapid.IntRange(0, n-1).Draw(w.t, "which")]
	}
	s := &setup{copies: rapid.Bool().Draw(w.t, "copies"), single: rapid.Bool().Draw(w.t, "single"),
		limit: rapid.IntRange(0, 6).Draw(w.t, "limit")}
	for range rapid.IntRange(0, 4).Draw(w.t, "blocks") {
		b := setupBlock{store: rapid.SampledFrom([]string{"s0", "s1", "s2"}).Draw(w.t, "store")}
		b.patterns = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "ab*", "a*", "default", "default"}),
			1, 2, rapid.ID[string]).Draw(w.t, "patterns")
		s.blocks = append(s.blocks, b)
		for _, p := range b.patterns {
			s.patterns.Add(p)
		}
	}
	slices.Sort(s.patterns.Prefixes)
	w.setups = append(w.setups, s)
	return s
}

// outlet returns the options of the outlet of a block for a category that is kept under a name.
func (s *setup) outlet(b setupBlock, pattern, kept string) OutletOptions {
	name := strings.Join(b.patterns, " ")
	o := OutletOptions{Name: name, Patterns: b.patterns, Store: b.store, Single: s.single}
	exact := pattern != Default && !strings.HasSuffix(pattern, "*")
	switch {
	case s.copies && !(exact && len(b.patterns) == 1):
		o.Name, o.Category, o.Store, o.Patterns = kept, kept, b.store+"/"+kept, nil
		if ours(kept) {
			o.Patterns = b.patterns
		}
	case exact && len(b.patterns) == 1:
		o.Name, o.Category, o.Patterns = pattern, pattern, nil
	}
	return o
}

// play plays one run. In the last run, all outlets deliver everything that they have to.
func (w *world) play(s *setup, last bool) {
	t := w.t
	for range rapid.IntRange(0, 6).Draw(t, "new entries") {
		c := rapid.SampledFrom(worldCategories).Draw(t, "category")
		w.entries = append(w.entries, &record{category: c, at: uint64(len(w.entries)) * entryBytes,
			got: make(map[string]int)})
	}
	p := newPlay(w, s)
	end := uint64(len(w.entries)) * entryBytes
	died := !last && rapid.Bool().Draw(t, "dies")
	readTo := end
	if died && w.c.Low < end {
		readTo = w.c.Low + entryBytes*rapid.Uint64Range(0, (end-w.c.Low)/entryBytes).Draw(t, "read")
	}
	for _, e := range w.entries {
		if e.at >= w.c.Low && e.at < readTo {
			p.feed(e)
		}
	}
	p.r.position = max(readTo, w.c.Low)
	overshoot := uint64(0)
	if died && readTo < end {
		overshoot = entryBytes * rapid.Uint64Range(0, 2).Draw(t, "overshoot")
	}
	w.log = append(w.log, fmt.Sprintf("%+v died %v read %d of %d: %v", *s, died, readTo, end,
		slices.Sorted(maps.Keys(p.r.outlets))))
	p.deliver(readTo, min(readTo+overshoot, end), last)
	if died && rapid.IntRange(0, 4).Draw(t, "without a checkpoint") == 0 {
		return // nothing of it was durable
	}
	next, _ := p.r.gather(w.c, !died)
	p.account(next)
	w.c = w.reread(next)
}

// reread returns a checkpoint as the next process reads it.
func (w *world) reread(c *checkpoint) *checkpoint {
	data, err := json.Marshal(c)
	read := new(checkpoint)
	if err == nil {
		err = json.Unmarshal(data, read)
	}
	again, err2 := json.Marshal(read)
	if err = errors.Join(err, err2); err != nil || !bytes.Equal(data, again) || !c.equal(read) {
		w.t.Fatalf("%v: %s is read as %s", err, data, again)
	}
	read.skipAcked(read.Low)
	return read
}

// played is a run without goroutines.
type played struct {
	w       *world
	s       *setup
	r       *run
	targets map[string]*Target
	counts  int
	due     map[*Outlet][]*record // in order
	through map[*Outlet]uint64
	began   map[*record]map[string]bool // duties
}

func newPlay(w *world, s *setup) *played {
	j := &Journal{o: Options{Stats: stats.New()}, saver: &saver{saved: w.c}}
	j.o.defaults()
	j.log = j.o.Logger
	idle := new(benches) // on which nothing is stepped
	idle.work.L, idle.watched = &idle.mu, true
	r := &run{j: j, initial: w.c, past: w.c.history(), position: w.c.Low, benches: idle,
		outlets: make(map[string]*Outlet),
		named:   make(map[string][]*Outlet), portions: make(map[string][]portion), routes: Routes{Patterns: s.patterns}}
	j.run = r
	p := &played{w: w, s: s, r: r, targets: make(map[string]*Target), due: make(map[*Outlet][]*record),
		through: make(map[*Outlet]uint64),
		began:   make(map[*record]map[string]bool)}
	for _, name := range s.patterns.Names {
		p.route(name)
	}
	for _, pattern := range append(slices.Clone(s.patterns.Prefixes), Default) {
		for _, b := range s.blocks {
			if o := s.outlet(b, pattern, "model"); slices.Contains(b.patterns, pattern) && o.Category == "" {
				j.NewOutlet(o)
			}
		}
	}
	for _, q := range w.c.Outlets {
		if q.Category != "" && !ours(q.Category) {
			p.route(q.Category)
		}
	}
	return p
}

// route returns the target of a category, creating outlets.
func (p *played) route(category string) *Target {
	if t := p.targets[category]; t != nil {
		return t
	}
	pattern, kept := p.s.patterns.Match(category), p.kept(category)
	t := new(Target)
	for _, b := range p.s.blocks {
		if pattern != "" && slices.Contains(b.patterns, pattern) {
			t.Outlets = append(t.Outlets, p.r.j.NewOutlet(p.s.outlet(b, pattern, kept)))
		}
	}
	if p.targets[category] = t; kept == category {
		p.counts++
	}
	return t
}

// kept returns the name under which a new category is kept.
func (p *played) kept(category string) string {
	switch {
	case p.s.patterns.Named(category):
		return category
	case !store.SafeCategory([]byte(category)):
		return store.UnsafeCategory
	case p.counts >= p.s.limit:
		return store.OverflowCategory
	}
	return category
}

// feed feeds an entry to the outlets of its category, like the reader, and compares that with the rule.
func (p *played) feed(e *record) {
	target := p.route(e.category)
	now := make(map[string]bool)
	for _, k := range target.keys() {
		now[k] = true
	}
	want := e.duty(now)
	p.began[e] = want
	s := e.stretch()
	for _, o := range uniq(target.Outlets) {
		takes := false
		for part := range p.r.due(s, o.key, target) {
			takes = part.end() > o.taken
		}
		if takes != want[o.key] {
			p.w.t.Fatalf("%q gets entry %d of %s: %v, want %v; %v have it, %v lack it\n%s\npast %+v", o.key, e.at,
				e.category, takes,
				want[o.key], e.got, e.lacks, strings.Join(p.w.log, "\n"), p.r.past)
		}
		if takes {
			p.due[o] = append(p.due[o], e)
		}
	}
	if len(target.Outlets) > 0 {
		return
	}
	counted := false
	for range p.r.lost(s, target) {
		counted = true
	}
	if counted != (!e.seen || len(e.lacks) > 0) {
		p.w.t.Fatalf("entry %d of %s has no outlet: counted %v, seen %v, lacked by %v\n%s", e.at, e.category, counted,
			e.seen, e.lacks, strings.Join(p.w.log, "\n"))
	}
}

// stretch returns the entry as a stretch of a journal in which each entry has entryBytes.
func (e *record) stretch() stretch {
	var b proto.Batch
	b.Append([]byte(e.category), make([]byte, entryBytes-proto.EntryOverhead-len(e.category)))
	return stretch{run: b.AppendRuns(nil)[0], batch: &b, base: e.at}
}

func uniq(all []*Outlet) (some []*Outlet) {
	for _, o := range all {
		if !slices.Contains(some, o) {
			some = append(some, o)
		}
	}
	return some
}

// deliver advances each outlet by a random amount. Outlets that read the journal themselves and have everything may
// have read up to beyond.
func (p *played) deliver(readTo, beyond uint64, all bool) {
	t := p.w.t
	reach := make(map[*Outlet]uint64)
	for _, key := range slices.Sorted(maps.Keys(p.r.outlets)) {
		o := p.r.outlets[key]
		n, through := len(p.due[o]), o.start
		if !all {
			n = rapid.SampledFrom([]int{0, n, n, rapid.IntRange(0, n).Draw(t, "some")}).Draw(t, "delivered")
		}
		for _, e := range p.due[o][:n] {
			through = e.at + entryBytes
		}
		if n < len(p.due[o]) {
			next := p.due[o][n].at
			through += entryBytes * rapid.Uint64Range(0, (next-through)/entryBytes).Draw(t, "nothing of its own")
			o.undone = through + entryBytes*rapid.Uint64Range(0, (next-through)/entryBytes).Draw(t, "undone")
		} else if beyond > readTo && rapid.Bool().Draw(t, "goes beyond") {
			reach[o] = beyond
		}
		p.put(o, through)
	}
	for _, e := range p.w.entries {
		if e.at < readTo || e.at >= beyond || e.at < p.w.c.Low || len(reach) == 0 {
			continue
		}
		p.feed(e)
		for o := range reach {
			if due := p.due[o]; len(due) > 0 && due[len(due)-1] == e {
				p.put(o, e.at+entryBytes)
			}
		}
	}
}

// put sets the last report of an outlet.
func (p *played) put(o *Outlet, through uint64) {
	o.report, p.through[o] = newReport(through, nil, 0), through
	close(o.report.saved)
}

// account updates the rule at the end of a run, as far as the checkpoint next knows the run.
func (p *played) account(next *checkpoint) {
	for _, e := range p.w.entries {
		made, now := p.peek(e.category)
		switch {
		case e.at >= next.Read && !p.passed(now, e.at): // the run has not come to it
		case made:
			due := p.began[e]
			if due == nil {
				due = e.duty(now)
			}
			e.seen, e.lacks = true, make(map[string]bool)
			for k := range due {
				if p.through[p.r.outlets[k]] <= e.at {
					e.lacks[k] = true
				} else {
					e.got[k]++
				}
			}
		default:
			e.homeless = e.homeless || !e.seen || len(e.lacks) > 0
			e.seen, e.lacks = true, nil
		}
	}
}

// passed reports whether one of the outlets is beyond an offset.
func (p *played) passed(outlets map[string]bool, at uint64) bool {
	for k := range outlets {
		if p.through[p.r.outlets[k]] > at {
			return true
		}
	}
	return false
}

// peek returns whether a category has outlets, and which it has or would have.
func (p *played) peek(category string) (made bool, now map[string]bool) {
	now = make(map[string]bool)
	pattern, kept := p.s.patterns.Match(category), p.kept(category)
	if t := p.targets[category]; t != nil {
		for _, k := range t.keys() {
			now[k] = true
		}
		return len(now) > 0, now
	}
	made = true
	for _, b := range p.s.blocks {
		if pattern != "" && slices.Contains(b.patterns, pattern) {
			o := p.s.outlet(b, pattern, kept)
			now[o.Key()] = true
			made = made && p.r.outlets[o.Key()] != nil
		}
	}
	return made && len(now) > 0, now
}

// check verifies, when everything was delivered, that no outlet lacks an entry, and that each entry was delivered
// unless its category had no outlet in some run.
func (w *world) check() {
	for _, e := range w.entries {
		if len(e.lacks) > 0 || !e.seen {
			w.t.Fatalf("entry %d of %s: seen %v, lacked by %v\n%s", e.at, e.category, e.seen, e.lacks,
				strings.Join(w.log, "\n"))
		}
		if len(e.got) == 0 && !e.homeless {
			w.t.Fatalf("entry %d of %s was delivered nowhere\n%s", e.at, e.category, strings.Join(w.log, "\n"))
		}
		for k, n := range e.got {
			if n > 1 {
				w.t.Fatalf("%q has entry %d of %s %d times\n%s", k, e.at, e.category, n, strings.Join(w.log, "\n"))
			}
		}
	}
}
