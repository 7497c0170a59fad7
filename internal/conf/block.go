package conf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is something about a configuration file that its author should know.
type Problem struct {
	File  string
	Line  int // from 1; 0: the file as a whole
	Text  string
	Cure  string // what to do about it; "" if Text says that
	Error bool   // the line cannot be used; otherwise it is used as Text says
}

// String formats the problem as a compiler does: file:12: warning: text (cure).
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Error {
		b.WriteString(": error: ")
	} else {
		b.WriteString(": warning: ")
	}
	b.WriteString(p.Text)
	if p.Cure != "" {
		fmt.Fprintf(&b, " (%s)", p.Cure)
	}
	return b.String()
}

// Shown makes the problem fit to be shown, whatever words of the file it contains. Whoever collects problems must call
// it.
func (p Problem) Shown() Problem {
	p.Text, p.Cure = Shown(p.Text), Shown(p.Cure)
	return p
}

// File is a parsed configuration file.
type File struct {
	Name string
	New  bool   // it begins with "inkwell 1": what the original ignored is an error
	Root *Block // what is outside of all blocks
}

// Setting is a value and the line that it is from.
type Setting struct {
	Text string
	Line int
}

// Pair is a line KEY=VALUE.
type Pair struct {
	Key string
	Setting
}

// Block is what is between <NAME> and </NAME>.
type Block struct {
	Name   string   // "store0" for the first <store> of its parent, "" for the root
	Tag    string   // as it was written: "store"
	Line   int      // of <NAME>
	Parent *Block   // keys are inherited from it; nil for the root
	Blocks []*Block // in the byte order of their names

	pairs  []Pair         // in the order of the file
	latest map[string]int // index of the last pair of each key
	counts map[string]int // how many blocks there are so far of each name that may be repeated
	places map[string]int // index in Blocks by name, while b is being parsed
}

// Own lists the lines of the block itself, in the order of the file, including those that a later line of the same key
// overrides.
func (b *Block) Own() []Pair { return b.pairs }

// Sub returns the block of that name in b, nil if there is none.
func (b *Block) Sub(name string) *Block {
	i, ok := slices.BinarySearchFunc(b.Blocks, name,
		func(s *Block, name string) int { return cmp.Compare(s.Name, name) })
	if !ok {
		return nil
	}
	return b.Blocks[i]
}

// Literal returns the value of a key in b itself.
func (b *Block) Literal(key string) (Setting, bool) {
	i, ok := b.latest[key]
	if !ok {
		return Setting{}, false
	}
	return b.pairs[i].Setting, true
}

// All returns every value of a key in b itself, in the order of the file.
func (b *Block) All(key string) []Setting {
	var all []Setting
	for _, p := range b.pairs {
		if p.Key == key {
			all = append(all, p.Setting)
		}
	}
	return all
}

// Get returns the value of a key. If b does not set it but has a type, the nearest TYPE::KEY in b and the blocks around
// it counts. The keys type, category and categories are never inherited.
func (b *Block) Get(key string) (Setting, bool) {
	if v, ok := b.Literal(key); ok {
		return v, true
	}
	kind, ok := b.Literal("type")
	if !ok || key == "type" || key == "category" || key == "categories" {
		return Setting{}, false
	}
	key = kind.Text + "::" + key
	for from := b; from != nil; from = from.Parent {
		if v, ok := from.Literal(key); ok {
			return v, true
		}
	}
	return Setting{}, false
}

// set appends a line to b. again says that the key was set before.
func (b *Block) set(p Pair) (before Setting, again bool) {
	before, again = b.Literal(p.Key)
	if b.latest == nil {
		b.latest = make(map[string]int)
	}
	b.latest[p.Key] = len(b.pairs)
	b.pairs = append(b.pairs, p)
	return before, again
}

// number counts the blocks of a name that may be repeated, from 0.
func (b *Block) number(name string) int {
	if b.counts == nil {
		b.counts = make(map[string]int)
	}
	b.counts[name]++
	return b.counts[name] - 1
}

// add puts a block into b, and returns the one of the same name that it replaces, nil if there was none.
func (b *Block) add(sub *Block) (before *Block) {
	if i, again := b.places[sub.Name]; again {
		before, b.Blocks[i] = b.Blocks[i], sub
		return before
	}
	if b.places == nil {
		b.places = make(map[string]int)
	}
	b.places[sub.Name] = len(b.Blocks)
	b.Blocks = append(b.Blocks, sub)
	return nil
}

// finish is called when all blocks were added.
func (b *Block) finish() {
	slices.SortFunc(b.Blocks, func(x, y *Block) int { return cmp.Compare(x.Name, y.Name) })
	b.places = nil
}
