package config

import (
	"fmt"
	"slices"
	"strings"

	"inkwell/internal/conf"
)

// unknown reports the keys and blocks of b that nothing reads; the original ignored them. A top-level block can have
// more keys than another.
func (l *loader) unknown(b *conf.Block, top bool) {
	in, ok := sectionsOf(b, top)
	if !ok {
		return // its type is not known, and that was said
	}
	for _, pair := range b.Own() {
		if !known(in, pair.Key) {
			text, cure := explain(in, pair.Key)
			l.strict(pair.Line, text, cure)
		}
	}
	if b.Parent == nil {
		return // every block is a store
	}
	for _, sub := range b.Blocks {
		if !slices.ContainsFunc(in, func(s *section) bool { return s.takes(sub.Name) }) {
			l.unusedBlock(sub, in)
		}
	}
}

// sectionsOf returns the sections whose keys b can have, that of its own type first.
func sectionsOf(b *conf.Block, top bool) ([]*section, bool) {
	kind, typed := b.Literal("type")
	name := kind.Text
	switch {
	case b.Parent == nil:
		name = "global"
	case !typed && top && slices.Contains(ownBlocks, b.Tag):
		name, top = b.Tag, false
	case !isType(name):
		return nil, false
	}
	own, _ := find(name)
	in := []*section{own}
	if top {
		store, _ := find("store")
		in = append(in, store)
	}
	return in, true
}

// known reports whether a key has a meaning in a block of these sections: its own, or one that the blocks in it
// inherit.
func known(in []*section, key string) bool {
	if kind, inherited, ok := strings.Cut(key, "::"); ok {
		s, found := find(kind)
		store, _ := find("store")
		return found && isType(kind) && (s.has(inherited) || store.has(inherited) && !slices.Contains(never, inherited))
	}
	if key == "type" && in[0].name != "global" {
		return isType(in[0].name)
	}
	return slices.ContainsFunc(in, func(s *section) bool { return s.has(key) })
}

// never are the keys that are not inherited.
var never = []string{"type", "category", "categories"}

// explain says what is wrong with an unknown key, and what to do about it.
func explain(in []*section, key string) (text, cure string) {
	text = fmt.Sprintf("%s is not known in %s", conf.Quote(key), where(in))
	if key == "" {
		return "there is nothing before the =", "write KEY=VALUE"
	}
	prefix, bare, inherited := strings.Cut(key, "::")
	if !inherited {
		prefix, bare = "", key
	} else {
		prefix += "::"
		text = conf.Quote(key) + " is inherited by nothing"
	}
	var candidates []string
	if s, ok := find(strings.TrimSuffix(prefix, "::")); ok && inherited {
		candidates = s.keys()
	}
	if inherited && candidates == nil {
		kind := strings.TrimSuffix(prefix, "::")
		return text, "there is no " + suggest(kind, types(), "such type")
	}
	for _, s := range in {
		if !inherited {
			candidates = append(candidates, s.keys()...)
		}
	}
	if cure, ok := forks[bare]; ok {
		return text, cure
	}
	if near := nearest(bare, candidates); near != "" {
		return text, "did you mean " + prefix + near + "?"
	}
	var elsewhere []string
	for _, s := range sections {
		if s.has(bare) {
			elsewhere = append(elsewhere, belongs(s))
		}
	}
	if len(elsewhere) > 0 {
		return text, "it belongs into " + strings.Join(elsewhere, ", or ")
	}
	return text, "remove it, or see docs/configuration.md for what there is"
}

// forks says what to write instead of options that forks of the original had.
var forks = map[string]string{
	"unix_socket":      "write listen=unix:/path, and another listen=HOST:PORT for the port",
	"use_ssl":          "nothing is encrypted: write tls=yes in a network store, listen=tls://HOST:PORT at the top",
	"ssl_cert_file":    "write tls_cert",
	"ssl_key_file":     "write tls_key",
	"ssl_trusted_file": "write tls_ca",
	"lzo_compression":  "write compress=gzip or compress=zstd",
}

// belongs says where the keys of a section belong.
func belongs(s section) string {
	switch s.name {
	case "global":
		return "no block, at the top of the file"
	case "store":
		return "a block at the top of the file"
	case "tail", "pipe", "journal", "syslog", "allow":
		return "a <" + s.name + "> block"
	}
	return "a block with type=" + s.name
}

func where(in []*section) string {
	if in[0].name == "global" {
		return "what stands outside of all blocks"
	}
	return belongs(*in[0])
}

// unusedBlock reports a block that has no meaning at its place.
func (l *loader) unusedBlock(sub *conf.Block, in []*section) {
	var names []string
	for _, s := range in {
		names = append(names, s.blocks...)
	}
	cure := fmt.Sprintf("%s has no blocks in it: look for an end tag that is missing above", where(in))
	if len(names) > 0 {
		cure = fmt.Sprintf("it can have <%s>", strings.Join(names, ">, <"))
	}
	if near := nearest(sub.Name, names); near != "" {
		cure = "did you mean <" + near + ">?"
	}
	l.strict(sub.Line, fmt.Sprintf("<%s> is not used in %s", conf.Quote(sub.Tag), where(in)), cure)
}

// suggestType lists the types of stores.
func suggestType(name string) string {
	if near := nearest(name, types()); near != "" {
		return "did you mean type=" + near + "?"
	}
	return "write type=" + strings.Join(types(), ", ")
}

// suggest names the candidate that is most similar to name.
func suggest(name string, candidates []string, none string) string {
	if near := nearest(name, candidates); near != "" {
		return "type " + conf.Quote(name) + ": did you mean " + near + "?"
	}
	return none
}

// nearest returns the candidate that was probably meant by name, "" if there is none.
func nearest(name string, candidates []string) string {
	best, least := "", min(3, 1+len(name)/3)
	if len(name) > 64 {
		return ""
	}
	for _, c := range candidates {
		if d := distance(strings.ToLower(name), c); d < least || strings.ToLower(name) == c {
			best, least = c, d
		}
	}
	return best
}

// distance returns the number of letters that have to be inserted, removed or changed to turn a into b; swapping two
// neighbours counts as one.
func distance(a, b string) int {
	var before2, before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before2, before, row = before, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			change := before[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, before[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before2[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
