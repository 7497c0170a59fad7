package config

import (
	"fmt"
	"slices"
	"strings"
)

// kind says how the text of a value is parsed.
type kind int

const (
	text          kind = iota
	count              // a number as C reads it: base 0
	decimal            // a number as C reads it, but base 10
	ratio              // a decimal fraction
	exactly            // yes; everything else is no
	unless             // no; everything else is yes
	oneOrZero          // a number; everything but 0 is yes, and a text without a number is 0
	size               // bytes, which can have a unit
	duration           // a duration with units
	octets             // count, of bytes
	decimalOctets      // decimal, of bytes
	seconds            // count, of seconds
	milliseconds       // count, of milliseconds
	newlines           // oneOrZero, or a word of store.ParseNewlines
)

// kinds describes to an operator what to write.
var kinds = map[kind]string{
	text: "text", count: "number", decimal: "number, base 10", ratio: "fraction", exactly: "`yes` or `no`",
	unless: "`no` or `yes`", oneOrZero: "`1` or `0`",
	size: "size, as `64MiB`", duration: "duration, as `30d`", octets: "bytes", decimalOctets: "bytes, base 10",
	seconds: "seconds", milliseconds: "milliseconds",
	newlines: "`1`, `0`, `never`, `always` or `if-missing`",
}

// option is one key that a block understands.
type option struct {
	key     string
	kind    kind
	value   string // the default, as it would be written; "" = none
	newer   string // the same in a file of the new style, "" = as value
	meaning string // one sentence or two, for an operator
	ours    bool   // the original did not have it
}

// fallback is the value of the key where it is missing.
func (o option) fallback(newStyle bool) string {
	if newStyle && o.newer != "" {
		return o.newer
	}
	return o.value
}

// Default returns what a file of the new style means if a block of that section (global, or the type of a store) lacks
// the key.
func Default(name, key string) string {
	s, ok := find(name)
	if !ok {
		panic("config: no section " + name)
	}
	return s.option(key).fallback(true)
}

// section is the options of one kind of block.
type section struct {
	name    string // of the type, global, store, or one of ownBlocks
	title   string
	intro   string
	options []option
	blocks  []string // names of the blocks allowed in it; N stands for digits
}

// sections is the table of all options, in the order of the documentation.
var sections = []section{
	{name: "global", title: "Outside of all blocks", options: globalOptions},
	{name: "store", title: "Every store block at the top", options: storeOptions, intro: "A block at the top of the " +
		"file, whatever its name, is a store. It has these keys beside those of its type:"},
	{name: "file", title: "type=file", options: fileOptions, intro: fileIntro},
	{name: "thriftfile", title: "type=thriftfile", options: thriftfileOptions, intro: thriftfileIntro},
	{name: "buffer", title: "type=buffer", options: bufferOptions, intro: bufferIntro,
		blocks: []string{"primary", "secondary"}},
	{name: "network", title: "type=network", options: networkOptions, intro: networkIntro},
	{name: "bucket", title: "type=bucket", options: bucketOptions, intro: bucketIntro,
		blocks: []string{"bucket", "bucketN"}},
	{name: "multi", title: "type=multi", options: multiOptions, intro: multiIntro, blocks: []string{"storeN"}},
	{name: "category", title: "type=category", options: nil, intro: categoryIntro, blocks: []string{"model"}},
	{name: "multifile", title: "type=multifile", options: fileOptions, intro: multifileIntro},
	{name: "thriftmultifile", title: "type=thriftmultifile", options: thriftfileOptions, intro: thriftmultifileIntro},
	{name: "kafka", title: "type=kafka", options: kafkaOptions, intro: kafkaIntro},
	{name: "null", title: "type=null", options: nil, intro: nullIntro},
	{name: "tail", title: "<tail>", options: tailOptions, intro: tailIntro},
	{name: "pipe", title: "<pipe>", options: pipeOptions, intro: pipeIntro},
	{name: "journal", title: "<journal>", options: journalOptions, intro: journalIntro},
	{name: "syslog", title: "<syslog>", options: syslogOptions, intro: syslogIntro},
	{name: "allow", title: "<allow>", options: allowOptions, intro: allowIntro},
}

// notTypes are the sections that are not types of stores.
var notTypes = append([]string{"global", "store"}, ownBlocks...)

// ownBlocks are the sections of top-level blocks that are not stores.
var ownBlocks = append([]string{"allow"}, inputBlocks...)

// inputBlocks are the blocks that describe inputs of a forwarder or a pipe.
var inputBlocks = []string{"tail", "pipe", "journal", "syslog"}

// find returns the section of that name.
func find(name string) (*section, bool) {
	i := slices.IndexFunc(sections, func(s section) bool { return s.name == name })
	if i < 0 {
		return nil, false
	}
	return &sections[i], true
}

// types lists the types of stores.
func types() []string {
	var names []string
	for _, s := range sections {
		if !slices.Contains(notTypes, s.name) {
			names = append(names, s.name)
		}
	}
	return names
}

// isType reports whether there are stores of that type.
func isType(name string) bool {
	_, ok := find(name)
	return ok && !slices.Contains(notTypes, name)
}

// option returns the option of that key. It panics if the table lacks the key, which is a mistake of the program.
func (s *section) option(key string) option {
	i := slices.IndexFunc(s.options, func(o option) bool { return o.key == key })
	if i < 0 {
		panic(fmt.Sprintf("config: %s has no option %s", s.name, key))
	}
	return s.options[i]
}

// has reports whether there is an option of that key.
func (s *section) has(key string) bool {
	return slices.ContainsFunc(s.options, func(o option) bool { return o.key == key })
}

// keys lists the keys of s.
func (s *section) keys() []string {
	keys := make([]string, len(s.options))
	for i, o := range s.options {
		keys[i] = o.key
	}
	return keys
}

// takes reports whether a block of that name can be in s.
func (s *section) takes(block string) bool {
	return slices.ContainsFunc(s.blocks, func(name string) bool {
		stem, numbered := strings.CutSuffix(name, "N")
		rest, ok := strings.CutPrefix(block, stem)
		return block == name || numbered && ok && rest != "" && strings.Trim(rest, "0123456789") == ""
	})
}

// without returns all options except those of the keys.
func without(options []option, keys ...string) []option {
	return slices.DeleteFunc(slices.Clone(options), func(o option) bool { return slices.Contains(keys, o.key) })
}
