package collector

import (
	"cmp"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/config"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/books"
	"inkwell/store/journal"
)

// router knows which outlets get which category, by the rules of the original: those for the category's own name, or
// else those of the first prefix that matches (in byte order, so the shortest, or the longest if so configured), or
// else the default ones. Safe for concurrent use.
type router struct {
	conf    *config.Config
	journal *journal.Journal
	opener  *opener
	stats   *stats.Set

	rules    map[string][]rule // by pattern
	patterns journal.Patterns
	refused  []*config.Store // blocks that are not usable stores

	mu       sync.RWMutex
	targets  map[string]*target
	reserved map[string]*target // of reserved names, by name and block
}

// rule is a block as it applies to the categories of one pattern.
type rule struct {
	block *config.Store
	copy  bool   // each category gets its own outlet and its own copy of the store
	name  string // of the outlet, if the categories share it
}

// target is where the entries of one category go.
type target struct {
	journal.Target
	name             string
	stored           bool          // there is a store; otherwise Target only has outlets for old entries of the journal
	good, bytes, bad *atomic.Int64 // bad without a store, the others with one
	complained       atomic.Int64  // when a missing store was last logged, in Unix seconds
}

func newRouter(c *config.Config, j *journal.Journal, o *opener, set *stats.Set) *router {
	r := &router{
		conf: c, journal: j, opener: o, stats: set,
		rules: make(map[string][]rule), targets: make(map[string]*target), reserved: make(map[string]*target),
	}
	for _, b := range c.Stores {
		switch {
		case c.Status != "": // the file is unusable as a whole
		case b.Sink != nil:
			r.add(b)
		default:
			r.refused = append(r.refused, b)
		}
	}
	slices.Sort(r.patterns.Prefixes)
	if c.LongestPrefix {
		slices.Reverse(r.patterns.Prefixes)
	}
	return r
}

// add makes a rule of a block for each of its patterns.
func (r *router) add(b *config.Store) {
	for _, pattern := range b.Categories {
		u := rule{block: b, copy: r.conf.ThreadPerCategory, name: b.Handled}
		if !strings.HasSuffix(pattern, "*") && pattern != journal.Default {
			u.copy = u.copy && b.List // a single category needs no copy
		}
		r.rules[pattern] = append(r.rules[pattern], u)
		r.patterns.Add(pattern)
	}
}

// routes returns what the engine has to know.
func (r *router) routes() journal.Routes {
	return journal.Routes{
		Prepare:  r.prepare,
		Route:    func(category []byte) *journal.Target { return &r.find(category).Target },
		Patterns: r.patterns, Relays: r.relays(), Destinations: r.destinations(), Locate: r.locate,
	}
}

// relays says whether some entries are sent on to another server.
func (r *router) relays() (relays bool) {
	for _, b := range r.conf.Stores {
		if b.Sink != nil {
			config.Walk(b.Sink, func(s config.Sink) {
				switch s.(type) {
				case config.Network, config.Kafka:
					relays = true
				}
			})
		}
	}
	return relays
}

// locate returns the key of the outlet for the files of a category, and the path of those files. It is needed for the
// state of a `collect --dir` from the time before there were outlets.
func (r *router) locate(category string) (key, path string) {
	for _, u := range r.match(category) {
		for _, s := range u.places(u.outlet(category)) {
			if f, ok := s.(config.File); ok && f.Compress != nil {
				o := options(u.outlet(category), s)
				return o.Key(), filepath.Join(f.Dir, f.Sub, f.Base)
			}
		}
	}
	return "", ""
}

// prepare creates the outlets that exist from the start: those of blocks with a category name, those that several
// categories share, and those of categories for which a former run has left entries in a buffer.
func (r *router) prepare() {
	for _, name := range r.patterns.Names {
		r.find([]byte(name))
	}
	for _, rules := range r.unnamed() {
		for _, u := range rules {
			if !u.copy {
				r.outlets(u, "")
			}
		}
	}
	beyond := 0
	for _, b := range r.conf.Stores {
		beyond += r.resume(b)
	}
	if beyond > 0 {
		r.opener.log.Warn("buffers of a former run are not looked at, because there are too many categories "+
			"(raise max_categories, or the limit of open files)", "buffers", beyond)
	}
}

// resume creates the outlets for the copies of a block in whose buffers a former run has left entries. It returns how
// many of them are beyond the limit of categories.
func (r *router) resume(b *config.Store) (beyond int) {
	if b.Sink == nil || !r.conf.ThreadPerCategory {
		return 0
	}
	for _, name := range leftovers(b.Sink) {
		if isReserved(name) {
			r.resumeOwn(b, name)
		} else if t := r.find([]byte(name)); t.name != name {
			beyond++
		}
	}
	return beyond
}

// resumeOwn creates the outlets of a reserved name, for everything that the block b handles.
func (r *router) resumeOwn(b *config.Store, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rules := range r.unnamed() {
		if slices.ContainsFunc(rules, func(u rule) bool { return u.block == b }) {
			r.reservedTarget(name, name, rules)
		}
	}
}

// unnamed lists the rules for categories that no block names: those of each prefix, and the default ones.
func (r *router) unnamed() (all [][]rule) {
	for _, prefix := range r.patterns.Prefixes {
		all = append(all, r.rules[prefix])
	}
	return append(all, r.rules[journal.Default])
}

// findAll appends the targets of runs to dst; that of a blank category is nil. One lock covers all runs, because a call
// can have thousands of them.
func (r *router) findAll(dst []*target, runs []proto.Run) []*target {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, run := range runs {
		t := r.targets[string(run.Category)]
		if t == nil && len(run.Category) > 0 {
			r.mu.RUnlock()
			t = r.find(run.Category)
			r.mu.RLock()
		}
		dst = append(dst, t)
	}
	return dst
}

// find returns the target of a category. The target is created when it is first asked for.
func (r *router) find(category []byte) *target {
	r.mu.RLock()
	t := r.targets[string(category)]
	r.mu.RUnlock()
	if t != nil {
		return t
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.findOrMake(string(category))
}

// findOrMake returns the target of a category, and creates it if necessary. Names that cannot be file names, and names
// beyond the limit, share a reserved one. The caller holds mu.
func (r *router) findOrMake(category string) *target {
	if t := r.targets[category]; t != nil {
		return t
	}
	rules := r.match(category)
	switch {
	case r.patterns.Named(category): // the operator has named it, so it counts as safe
	case !store.SafeCategory([]byte(category)):
		return r.reservedTarget(category, store.UnsafeCategory, rules)
	case len(r.targets) >= r.opener.limit:
		return r.reservedTarget(category, store.OverflowCategory, rules)
	}
	r.targets[category] = r.target(category, category, rules)
	return r.targets[category]
}

// reservedTarget returns the target of a reserved name under which the category is kept. All categories that the same
// blocks handle share it.
func (r *router) reservedTarget(category, name string, rules []rule) *target {
	key := name + "\x00"
	if len(rules) > 0 {
		key += rules[0].block.Name
	}
	if r.reserved[key] == nil {
		r.reserved[key] = r.target(category, name, rules)
	}
	return r.reserved[key]
}

// target creates the target of a category that is kept under a name.
func (r *router) target(category, name string, rules []rule) *target {
	t := &target{name: name}
	for _, u := range rules {
		t.Outlets = append(t.Outlets, r.outlets(u, name)...)
	}
	if t.stored = len(t.Outlets) > 0; t.stored {
		t.good, t.bytes = r.stats.Category(name, "received good"), r.stats.Category(name, "received good bytes")
	} else {
		t.bad = r.stats.Category(name, "received bad")
		t.Outlets = r.waitingOutlets(category, name)
	}
	return t
}

// match returns the rules for a category.
func (r *router) match(category string) []rule { return r.rules[r.patterns.Match(category)] }

// outlet is the name of the rule's outlet for a category.
func (u rule) outlet(category string) string {
	if u.copy {
		return category
	}
	return u.name
}

// options returns the options that identify the outlet for one place.
func options(name string, place config.Sink) journal.OutletOptions {
	_, file := place.(config.File)
	return journal.OutletOptions{Name: name, Store: place.String(), Single: file}
}

// outlets creates the outlets of a rule for a category; a shared rule has the same ones for all its categories. There
// is one outlet for each place to which every entry goes, so that a place that fails does not hold up the others.
func (r *router) outlets(u rule, category string) (all []*journal.Outlet) {
	b, name := u.block, u.outlet(category)
	for _, place := range u.places(name) {
		o := options(name, place)
		o.Category, o.Patterns = u.covers(name)
		opening := opening{opener: r.opener, name: name, shared: o.Category == ""}
		o.Open = func(saved store.States) (store.Store, error) {
			opening.saved = saved
			return opening.open(place)
		}
		o.Target, o.Interval, o.Check = b.TargetWriteSize, b.MaxWriteInterval, r.conf.CheckInterval
		o.Lossy, o.Buffered = !b.MustSucceed, setsAside(place)
		o.Blocks, o.Continued = blocks(place), continued(place)
		pace(&o, place)
		o.Interval = cmp.Or(r.opener.tuning.interval, o.Interval)
		all = append(all, r.journal.NewOutlet(o))
	}
	return all
}

// covers returns the category that the outlet of that name handles, or the patterns of the categories if there are
// several.
func (u rule) covers(name string) (category string, patterns []string) {
	c := u.block.Categories
	switch {
	case isReserved(name):
		return name, c
	case u.copy || len(c) == 1 && c[0] == name && name != journal.Default:
		return name, nil
	}
	return "", c
}

// waitingOutlets returns an outlet in which old entries of the journal wait for a usable configuration, if a refused
// block of the current one would handle their category.
func (r *router) waitingOutlets(category, name string) []*journal.Outlet {
	for _, b := range r.refused {
		if !slices.ContainsFunc(b.Categories, func(pattern string) bool {
			prefix, isPrefix := strings.CutSuffix(pattern, "*")
			return pattern == category || pattern == "default" || isPrefix && strings.HasPrefix(category, prefix)
		}) {
			continue
		}
		sink := config.Unusable{Status: b.Status, Refusal: b.Status}
		return []*journal.Outlet{r.journal.NewOutlet(journal.OutletOptions{
			Name: name, Category: name, Store: sink.String(), Target: 1, Interval: time.Second,
			Check: r.conf.CheckInterval,
			Open:  func(store.States) (store.Store, error) { return store.NewUnusable(sink.Status, sink.Refusal), nil },
		})}
	}
	return nil
}

// places lists the stores to which a rule sends every entry of the categories under that name.
func (u rule) places(name string) []config.Sink {
	s := u.block.Sink
	if u.copy {
		s = s.For(name)
	}
	return config.Places(s)
}

// count is how many categories were seen.
func (r *router) count() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.targets) + len(r.reserved)
}

// complain logs, once a minute, that a category has no store.
func (t *target) complain(log *slog.Logger) {
	now := time.Now().Unix()
	if last := t.complained.Load(); now-last >= 60 && t.complained.CompareAndSwap(last, now) {
		log.Warn("log entry has invalid category: no store takes it, and there is no default", "category", t.name)
	}
}

// destinations lists the directories with files for readers. The files of a buffer do not count, because they are read
// back.
func (r *router) destinations() (all []books.Destination) {
	for _, f := range r.files() {
		d := books.Destination{Root: filepath.Join(f.Dir, f.Sub)}
		if c := f.Compress; c != nil {
			d.Keep, d.SeriesBytes, d.TotalBytes = c.Keep, c.KeepBytes, c.KeepTotal
			if c.DoneMarkers {
				d.Done = &books.Done{Period: c.Period, At: c.At, Lateness: c.Lateness, Hive: c.Hive}
				if c.Hive {
					d.Done.Period = c.Period.Calendar()
				}
			}
		}
		all = append(all, d)
	}
	return all
}

// files lists the stores that write files for readers.
func (r *router) files() (all []config.File) {
	for _, b := range r.conf.Stores {
		all = append(all, config.Outputs(b.Sink)...)
	}
	return all
}
