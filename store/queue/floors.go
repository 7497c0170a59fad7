package queue

import (
	"maps"
	"strings"

	"inkwell/store"
)

// floors say for each category that comes to a queue where in the journal those of its entries begin that the queue's store is to have:
// what lies below is there, or was taken by the stores of before. A new configuration may bring categories together that had got to
// different places.
type floors struct {
	Base     uint64            `json:"base"`               // of categories that are not named below
	Names    map[string]uint64 `json:"names,omitempty"`    // by category
	Prefixes map[string]uint64 `json:"prefixes,omitempty"` // by what the names of categories begin with
}

// of is the floor of a category, by the rules by which it is routed: its name, else a prefix, else the rest.
func (f floors) of(category string) uint64 {
	if at, known := f.Names[category]; known {
		return at
	}
	lowest := uint64(noOffset)
	for prefix, at := range f.Prefixes {
		if strings.HasPrefix(category, prefix) {
			lowest = min(lowest, at)
		}
	}
	if lowest == noOffset {
		return f.Base
	}
	return lowest
}

// bounds are the lowest and the highest floor.
func (f floors) bounds() (lowest, highest uint64) {
	lowest, highest = f.Base, f.Base
	for _, m := range []map[string]uint64{f.Names, f.Prefixes} {
		for _, at := range m {
			lowest, highest = min(lowest, at), max(highest, at)
		}
	}
	return lowest, highest
}

func (f floors) equal(g floors) bool {
	return f.Base == g.Base && maps.Equal(f.Names, g.Names) && maps.Equal(f.Prefixes, g.Prefixes)
}

// each returns f with every floor changed by to.
func (f floors) each(to func(uint64) uint64) floors {
	g := floors{Base: to(f.Base), Names: make(map[string]uint64), Prefixes: make(map[string]uint64)}
	for name, at := range f.Names {
		g.Names[name] = to(at)
	}
	for prefix, at := range f.Prefixes {
		g.Prefixes[prefix] = to(at)
	}
	return g
}

// lower says that entries of a pattern from at on were not taken.
func (f *floors) lower(pattern string, at uint64) {
	prefix, isPrefix := strings.CutSuffix(pattern, "*")
	switch {
	case isPrefix:
		lowest(f.Prefixes, prefix, at)
	case pattern == everything:
		f.Base = min(f.Base, at)
	default:
		lowest(f.Names, pattern, at)
	}
}

// lowest notes at for a name unless there is less already.
func lowest(m map[string]uint64, name string, at uint64) {
	if before, known := m[name]; known {
		at = min(at, before)
	}
	m[name] = at
}

// everything is the pattern of all categories that no other is for.
const everything = "default"

// many says whether entries of categories with other names come to the queue.
func (o *QueueOptions) many() bool { return len(o.Patterns) > 0 || anything(o.Name) }

// anything says whether a queue has categories by no pattern.
func anything(name string) bool {
	return name == store.OverflowCategory || name == store.UnsafeCategory
}

// own are the floors of a queue that goes on where it was.
func (p place) own() floors {
	above := func(at uint64) uint64 { return max(at, p.Through) }
	if p.Past == nil {
		return floors{}.each(above)
	}
	return p.Past.each(above)
}

// left is what the queues that are listed have left to others: all but the one of a key, and but for those that are claimed, because they
// take the same categories now as before.
func (c *checkpoint) left(key string, claimed map[string]bool) floors {
	f := floors{Base: c.Drained, Names: make(map[string]uint64), Prefixes: make(map[string]uint64)}
	rest := c.Drained
	var taken []floors
	for k, p := range c.Queues {
		own := p.own().each(func(at uint64) uint64 { return min(at, c.Drained) })
		if claimed[k] {
			own = floors{Base: c.Drained}
		}
		switch {
		case k == key:
		case anything(p.Name):
			first, _ := own.bounds()
			rest = min(rest, first)
		case !p.Shared:
			lowest(f.Names, p.Name, own.Base) // whatever the name
		default:
			f.share(p, own)
			taken = append(taken, own)
		}
	}
	for _, own := range taken {
		f.follow(own)
	}
	return f.each(func(at uint64) uint64 { return min(at, rest) })
}

// follow says how far another had come that took over some of the same: whoever took over last had come further.
func (f *floors) follow(other floors) {
	for name, at := range other.Names {
		f.Names[name] = max(f.Names[name], at)
	}
	for prefix, at := range other.Prefixes {
		f.Prefixes[prefix] = max(f.Prefixes[prefix], at)
	}
}

// share says what a shared queue has not taken of its patterns.
func (f *floors) share(p place, own floors) {
	if len(p.Patterns) == 0 { // an older program's
		f.lower(everything, own.Base)
	}
	for _, pattern := range p.Patterns {
		f.lower(pattern, own.of(strings.TrimSuffix(pattern, "*")))
	}
}

// floors are those of a queue in a run that begins with c. One that is listed goes on where it was, and takes over what queues for narrower
// patterns have left, which it did not have then. A new one takes over what all have left, as far as it gets that.
func (c *checkpoint) floors(key string, o *QueueOptions, claimed map[string]bool) floors {
	p, known := c.Queues[key]
	if known && p.Name != o.Name { // its file was that of a queue that is gone: what that has left is there to be taken over, too
		known = false
		delete(claimed, key)
	}
	switch {
	case !known && !o.many():
		return floors{Base: c.left("", claimed).of(o.Name)}
	case !known:
		return c.left("", claimed)
	case !o.many():
		return p.own()
	}
	own, left := p.own(), c.left(key, claimed)
	for k := range claimed { // these go on with what they had
		other := c.Queues[k]
		left.forget(other.Patterns)
		if !other.Shared {
			delete(left.Names, other.Name)
		}
	}
	left.forget(o.Patterns)
	own.follow(left)
	return own
}

// forget leaves patterns out.
func (f *floors) forget(patterns []string) {
	for _, pattern := range patterns {
		if prefix, is := strings.CutSuffix(pattern, "*"); is {
			delete(f.Prefixes, prefix)
		}
		delete(f.Names, pattern)
	}
}
