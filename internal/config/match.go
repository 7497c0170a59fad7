package config

import (
	"slices"
	"strings"
)

// Match returns the blocks for a category: those with its exact name, else those with the first matching prefix, else
// the default blocks. Prefixes are tried in byte order or, if so configured, the longest first.
func (c *Config) Match(category string) []*Store {
	type rule struct {
		text  string
		block *Store
	}
	var exact, others []*Store
	var prefixes []rule
	for _, b := range c.Stores {
		for _, pattern := range b.Categories {
			text, isPrefix := strings.CutSuffix(pattern, "*")
			switch {
			case isPrefix:
				if strings.HasPrefix(category, text) {
					prefixes = append(prefixes, rule{text, b})
				}
			case pattern == "default":
				others = append(others, b)
			case pattern == category:
				exact = append(exact, b)
			}
		}
	}
	if len(exact) > 0 || len(prefixes) == 0 {
		if len(exact) > 0 {
			return exact
		}
		return others
	}
	first := slices.MinFunc(prefixes, func(a, b rule) int { // all fit, so that their order is by length
		if c.LongestPrefix {
			return len(b.text) - len(a.text)
		}
		return len(a.text) - len(b.text)
	})
	var list []*Store
	for _, r := range prefixes {
		if r.text == first.text {
			list = append(list, r.block)
		}
	}
	return list
}

// Places returns the parts of a sink of which each gets every entry: the children of a multi store if all of them must
// take an entry.
func Places(s Sink) []Sink {
	m, ok := s.(Multi)
	if !ok || m.Any {
		return []Sink{s}
	}
	var all []Sink
	for _, child := range m.Children {
		all = append(all, Places(child)...)
	}
	return all
}

// HandsOn reports whether a sink passes entries on to elsewhere, so that they are not in files here, or not
// necessarily.
func HandsOn(s Sink) bool {
	switch s := s.(type) {
	case Network, Kafka, Null:
		return true
	case Buffer:
		return HandsOn(s.Primary) || !s.Replay && HandsOn(s.Secondary)
	case Bucket:
		return slices.ContainsFunc(s.Children, HandsOn)
	case Multi:
		return slices.ContainsFunc(s.Children, HandsOn)
	case ByCategory:
		return HandsOn(s.Model)
	}
	return false
}

// Outputs returns the file stores in which a sink leaves its output. Those in which a buffer keeps unsent entries are
// not among them.
func Outputs(s Sink) (all []File) {
	switch s := s.(type) {
	case File:
		return []File{s}
	case Buffer:
		all = Outputs(s.Primary)
		if !s.Replay {
			all = append(all, Outputs(s.Secondary)...)
		}
	case Bucket:
		for _, child := range s.Children {
			all = append(all, Outputs(child)...)
		}
	case Multi:
		for _, child := range s.Children {
			all = append(all, Outputs(child)...)
		}
	case ByCategory:
		return Outputs(s.Model)
	}
	return all
}

// Files returns the directories below which a sink leaves its output files.
func Files(s Sink) (dirs []string) {
	for _, f := range Outputs(s) {
		dirs = append(dirs, f.Dir)
	}
	return dirs
}

// Spools returns the directories below which the buffers of a sink keep unsent entries.
func Spools(s Sink) (dirs []string) {
	switch s := s.(type) {
	case Buffer:
		dirs = append(Spools(s.Primary), Spools(s.Secondary)...)
		if f, ok := s.Secondary.(File); ok && s.Replay {
			dirs = append(dirs, f.Dir)
		}
		if s.SpoolDir != "" {
			dirs = append(dirs, s.SpoolDir)
		}
	case Bucket:
		for _, child := range s.Children {
			dirs = append(dirs, Spools(child)...)
		}
	case Multi:
		for _, child := range s.Children {
			dirs = append(dirs, Spools(child)...)
		}
	case ByCategory:
		return Spools(s.Model)
	}
	return dirs
}
