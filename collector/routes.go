package collector

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/config"
	"inkwell/internal/stats"
	"inkwell/store"
	"inkwell/store/queue"
)

// routes is which stores take which category, by the rules of the original: those of its own name, else those of the first prefix that
// fits (in byte order, so the shortest, or the longest if so configured), else the default ones. Safe for concurrent use.
type routes struct {
	conf    *config.Config
	journal *queue.Journal
	opener  *opener
	stats   *stats.Set

	exact    map[string][]rule
	prefixes []prefix        // in the order in which they are tried
	others   []rule          // default
	refused  []*config.Store // blocks that are no stores

	mu      sync.RWMutex
	targets map[string]*target
	owns    map[string]*target // of our own names, by name and block
}

// rule is a block as it applies to the categories of one pattern.
type rule struct {
	block *config.Store
	copy  bool   // each category gets a queue and a copy of the store of its own
	name  string // of the queue, when they share it
}

type prefix struct {
	text  string
	rules []rule
}

// target is where one category goes.
type target struct {
	name             string
	queues           []*queue.Queue // none: there is no store
	waiting          []*queue.Queue // without one: of what the journal has from before, if a block for it was refused
	good, bytes, bad *atomic.Int64  // the last without a store, the others with one
	complained       atomic.Int64   // when it was last told that there is no store, in Unix seconds
}

func newRoutes(c *config.Config, j *queue.Journal, o *opener, set *stats.Set) *routes {
	r := &routes{conf: c, journal: j, opener: o, stats: set, exact: make(map[string][]rule), targets: make(map[string]*target), owns: make(map[string]*target)}
	for _, b := range c.Stores {
		switch {
		case c.Status != "": // of a file that is spoilt as a whole nothing is used
		case b.Sink != nil:
			r.add(b)
		default:
			r.refused = append(r.refused, b)
		}
	}
	slices.SortFunc(r.prefixes, func(a, b prefix) int { return strings.Compare(a.text+"*", b.text+"*") })
	if c.LongestPrefix {
		slices.Reverse(r.prefixes)
	}
	return r
}

// add spreads a block over the patterns that it is for.
func (r *routes) add(b *config.Store) {
	for _, pattern := range b.Categories {
		u := rule{block: b, copy: r.conf.ThreadPerCategory, name: b.Handled}
		text, isPrefix := strings.CutSuffix(pattern, "*")
		switch {
		case isPrefix:
			i := slices.IndexFunc(r.prefixes, func(p prefix) bool { return p.text == text })
			if i < 0 {
				i = len(r.prefixes)
				r.prefixes = append(r.prefixes, prefix{text: text})
			}
			r.prefixes[i].rules = append(r.prefixes[i].rules, u)
		case pattern == "default":
			r.others = append(r.others, u)
		default:
			u.copy = u.copy && b.List // a name of its own is no model
			r.exact[pattern] = append(r.exact[pattern], u)
		}
	}
}

// prepare makes the queues that are there from the start: of the blocks with a name, of those that many categories share, and of the
// categories for which a former run left something in a buffer.
func (r *routes) prepare() {
	for name := range r.exact {
		r.find([]byte(name))
	}
	for _, rules := range append([][]rule{r.others}, prefixRules(r.prefixes)...) {
		for _, u := range rules {
			if !u.copy {
				r.open(u, "", rules)
			}
		}
	}
	beyond := 0
	for _, b := range r.conf.Stores {
		beyond += r.resume(b)
	}
	if beyond > 0 {
		r.opener.log.Warn("buffers of a former run are not looked at, because there are too many categories (raise max_categories, or the limit of open files)", "buffers", beyond)
	}
}

// resume makes the queues of the copies of a block for which a former run left something in a buffer, and says how many are too many.
func (r *routes) resume(b *config.Store) (beyond int) {
	if b.Sink == nil || !r.conf.ThreadPerCategory {
		return 0
	}
	for _, name := range leftovers(b.Sink) {
		if ourName(name) {
			r.resumeOwn(b, name)
		} else if t := r.find([]byte(name)); t.name != name {
			beyond++
		}
	}
	return beyond
}

// resumeOwn makes the queues of one of our own names, for all that a block is for.
func (r *routes) resumeOwn(b *config.Store, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rules := range append([][]rule{r.others}, prefixRules(r.prefixes)...) {
		if slices.ContainsFunc(rules, func(u rule) bool { return u.block == b }) {
			r.own(name, name, rules)
		}
	}
}

func prefixRules(prefixes []prefix) [][]rule {
	all := make([][]rule, len(prefixes))
	for i, p := range prefixes {
		all[i] = p.rules
	}
	return all
}

// find returns the target of a category, made when it is first asked for.
func (r *routes) find(category []byte) *target {
	r.mu.RLock()
	t := r.targets[string(category)]
	r.mu.RUnlock()
	if t != nil {
		return t
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.make(string(category))
}

// make returns the target of a category. Names that can be no file names, and those beyond the limit, share one of our own.
func (r *routes) make(category string) *target {
	if t := r.targets[category]; t != nil {
		return t
	}
	rules, named := r.match(category)
	switch {
	case named: // by the operator
	case !store.SafeCategory([]byte(category)):
		return r.own(category, store.UnsafeCategory, rules)
	case len(r.targets) >= r.opener.limit:
		return r.own(category, store.OverflowCategory, rules)
	}
	r.targets[category] = r.target(category, category, rules)
	return r.targets[category]
}

// own returns the target of one of our own names, under which a category is kept: one for all that the same blocks take.
func (r *routes) own(category, name string, rules []rule) *target {
	key := name + "\x00"
	if len(rules) > 0 {
		key += rules[0].block.Name
	}
	if r.owns[key] == nil {
		r.owns[key] = r.target(category, name, rules)
	}
	return r.owns[key]
}

// target makes the target of a category that is kept under a name.
func (r *routes) target(category, name string, rules []rule) *target {
	t := &target{name: name, queues: r.queues(rules, name)}
	if len(t.queues) > 0 {
		t.good, t.bytes = r.stats.Category(name, "received good"), r.stats.Category(name, "received good bytes")
	} else {
		t.bad = r.stats.Category(name, "received bad")
		t.waiting = r.wait(category, name)
	}
	return t
}

// match returns the rules for a category, and whether they name it.
func (r *routes) match(category string) (rules []rule, named bool) {
	if rules := r.exact[category]; len(rules) > 0 {
		return rules, true
	}
	for _, p := range r.prefixes {
		if strings.HasPrefix(category, p.text) {
			return p.rules, false
		}
	}
	return r.others, false
}

// queues returns those of a category, in the order of their blocks.
func (r *routes) queues(rules []rule, category string) []*queue.Queue {
	var queues []*queue.Queue
	for _, u := range rules {
		queues = append(queues, r.open(u, category, rules)...)
	}
	return queues
}

// queue is the name of a rule's queue for a category.
func (u rule) queue(category string) string {
	if u.copy {
		return category
	}
	return u.name
}

// keys are those of the queues of rules for a category.
func keys(rules []rule, category string) (all []string) {
	for _, u := range rules {
		name := u.queue(category)
		for _, place := range u.places(name) {
			o := options(name, place)
			all = append(all, o.Key())
		}
	}
	return all
}

// options say what tells the queue of a place apart.
func options(name string, place config.Sink) queue.QueueOptions {
	_, file := place.(config.File)
	return queue.QueueOptions{Name: name, Store: place.String(), Single: file}
}

// siblings are the keys of the queues that take the same categories as that of a rule, which is one of rules.
func (r *routes) siblings(u rule, category string, rules []rule) []string {
	all := keys(rules, category)
	for _, pattern := range u.patterns(u.queue(category)) {
		all = append(all, keys(r.exact[pattern], pattern)...) // of a list: beside those of the others in it, too
	}
	return all
}

// open returns the queues of a rule for a category (of a rule that is shared, for any of its categories): one for each place where every
// entry has to go, so that one that fails does not keep entries from the others.
func (r *routes) open(u rule, category string, rules []rule) []*queue.Queue {
	var queues []*queue.Queue
	b, name := u.block, u.queue(category)
	for _, place := range u.places(name) {
		q := options(name, place)
		q.Patterns = u.patterns(name)
		o := opening{opener: r.opener, name: name, shared: len(q.Patterns) > 0}
		q.Open = func(saved store.States) (store.Store, error) {
			o.saved = saved
			return o.open(place)
		}
		q.Target, q.Interval, q.Check, q.Lossy, q.Buffered = b.TargetWriteSize, b.MaxWriteInterval, r.conf.CheckInterval, !b.MustSucceed, setsAside(place)
		queues = append(queues, r.journal.NewQueue(q, func() []string { return r.siblings(u, category, rules) }))
	}
	return queues
}

// wait returns the queue in which entries of a category that were taken before wait for a better configuration, if there is a block for
// them in this one that was refused.
func (r *routes) wait(category, name string) []*queue.Queue {
	for _, b := range r.refused {
		if !slices.ContainsFunc(b.Categories, func(pattern string) bool {
			prefix, isPrefix := strings.CutSuffix(pattern, "*")
			return pattern == category || pattern == "default" || isPrefix && strings.HasPrefix(category, prefix)
		}) {
			continue
		}
		sink := config.Unusable{Status: b.Status, Refusal: b.Status}
		return []*queue.Queue{r.journal.NewQueue(queue.QueueOptions{
			Name: name, Store: sink.String(), Interval: time.Second, Check: r.conf.CheckInterval,
			Open: func(store.States) (store.Store, error) { return store.NewUnusable(sink.Status, sink.Refusal), nil },
		}, func() []string { return nil })}
	}
	return nil
}

// places are where a rule brings every entry of the categories of a name.
func (u rule) places(name string) []config.Sink {
	s := u.block.Sink
	if u.copy {
		s = s.For(name)
	}
	return places(s)
}

func places(s config.Sink) []config.Sink {
	m, ok := s.(config.Multi)
	if !ok || m.Any {
		return []config.Sink{s}
	}
	var all []config.Sink
	for _, child := range m.Children {
		all = append(all, places(child)...)
	}
	return all
}

// patterns are those of the categories that share the queue of a name; none for a category's own.
func (u rule) patterns(name string) []string {
	if c := u.block.Categories; u.copy || len(c) == 1 && c[0] == name && name != "default" {
		return nil
	}
	return u.block.Categories
}

// count is the number of categories seen.
func (r *routes) count() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.targets) + len(r.owns)
}

// complain tells once a minute that a category has no store.
func (t *target) complain(log *slog.Logger) {
	now := time.Now().Unix()
	if last := t.complained.Load(); now-last >= 60 && t.complained.CompareAndSwap(last, now) {
		log.Warn("log entry has invalid category: no store takes it, and there is no default", "category", t.name)
	}
}
