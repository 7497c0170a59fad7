// Package audit adds up what collectors have, from what stands beside their files, and finds what is missing or twice.
//
//	DIR/.manifest    what finished files in a directory hold  ─┐
//	STATE/books      what open files hold                      ├─► numbers of each stream, entries of each hour ─► Report
//	STATE/journal    what is in no file yet                    │
//	STATE/streams    what was taken: without files, it was handed on
//	ROOT/.counts     what was left out, and why               ─┘
//	a forwarder's positions and spools: up to where a stream has to be there, and what still waits
//
// The numbers of a stream begin at 0 and are dense, so that every number up to the highest one known has to be
// somewhere: in a file, in a journal, in a spool, handed on, or refused. What is nowhere is missing. Sets of numbers
// are added up, not counts, so that what two sources know of is counted once. A category whose entries have to be in
// several places is looked at for each of them: its name is then "CATEGORY → PLACE".
//
// What is audited may be in use. Sources are read in the order in which entries move (positions, spools, journal,
// books, streams, manifests), so that an entry is seen at least once; give them in that order: Acknowledged, Waiting,
// Aside, then Collector.
//
// Limitations: entries without numbers are counted, and nothing can be missing of them. What was handed on to a next
// hop that is not audited counts as arrived. Of refused entries a collector keeps the numbers within bounds. Those
// beyond, and those that older versions counted, are known by stream only: as many numbers that are nowhere count as
// refused, not as missing, and a note says so.
package audit

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"time"

	"inkwell/store"
	"inkwell/store/books"
	"inkwell/store/stream"
)

// Options are the choices of an Audit.
type Options struct {
	Since time.Time // hours before it are left out of the report; zero: none are
	// Destinations are the places in which the entries of a category have to be. nil, or none: in one, which has no
	// name.
	Destinations func(category string) []Destination
	// Progress is told how far a source is; nil = nobody is.
	Progress func(what string, done, total int64)
}

// Destination is one of the places where the entries of a category have to be.
type Destination struct {
	Name    string
	Roots   []string // the directories beneath which its files are
	HandsOn bool     // to a next hop
}

// Audit gathers what is known. Not safe for concurrent use.
type Audit struct {
	o       Options
	dirs    []string
	tallies map[key]*tally
	byID    map[stream.ID][]key // of tallies
	refused map[stream.ID]int64 // the entries of a stream that collectors refused, and of which the numbers are not known
	files   map[string][]File   // by category
	sources books.Sources       // where streams come from
	writes  map[string]bool     // categories that somebody writes to files
	why     map[cause]int64
	notes   []Finding
}

// key is a stream in a category; the zero stream is of what has no numbers.
type key struct {
	category string
	id       stream.ID
}

// cause is why entries of a category were refused in an hour.
type cause struct {
	category, why string
	hour          int64
}

// tally is what is known of a stream in a category.
type tally struct {
	path    string // of its input, where a forwarder's state tells it
	acked   int64  // numbers below are acknowledged
	places  []place
	waiting stream.Ranges // in spools
	aside   stream.Ranges // in spools of what was refused
	refused stream.Ranges // answered OK and thrown away by a collector
	hours   map[int64]*hour
	// Entries without numbers, which are in no set.
	plainWaiting, plainJournal, plainAside int64
}

// place is what a collector has of a stream.
type place struct {
	written stream.Ranges // in files
	journal stream.Ranges
	taken   stream.Ranges // all that it knows to have taken, if it hands it on
	twice   stream.Ranges // in files more than once
	// Where no configuration says which directories belong together, the files of several can have the same entries: a
	// multi store writes all of them to each.
	in     map[string]*stream.Ranges // written, by directory
	copied stream.Ranges             // in several of them
}

// inDir is what was written in one directory.
func (p *place) inDir(dir string) *stream.Ranges {
	if p.in == nil {
		p.in = make(map[string]*stream.Ranges)
	}
	if p.in[dir] == nil {
		p.in[dir] = new(stream.Ranges)
	}
	return p.in[dir]
}

// wrote adds what stands in a file of a directory. together says that all directories of the collector have an entry
// once.
func (p *place) wrote(dir string, first, end int64, together bool) {
	own := &p.written
	if !together {
		own = p.inDir(dir)
		if own.Overlap(first, end) == 0 {
			merge(&p.copied, overlap(p.written, first, end))
		}
	}
	merge(&p.twice, overlap(*own, first, end))
	own.Add(first, end)
	p.written.Add(first, end)
}

type hour struct {
	sums    Sums
	numbers stream.Ranges // of what was written
}

// noHour is that of entries of which it is not known: they are in no file.
const noHour = math.MaxInt64

// New returns an Audit of nothing.
func New(o Options) *Audit {
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	return &Audit{o: o, tallies: make(map[key]*tally), byID: make(map[stream.ID][]key), refused: make(map[stream.ID]int64),
		sources: make(books.Sources), files: make(map[string][]File), writes: make(map[string]bool), why: make(map[cause]int64)}
}

func (a *Audit) tally(category string, id stream.ID) *tally {
	k := key{category, id}
	t := a.tallies[k]
	if t == nil {
		t = &tally{hours: make(map[int64]*hour)}
		a.tallies[k] = t
	}
	return t
}

// named says where streams come from, as far as somebody knows.
func (a *Audit) named(s books.Sources) {
	for id, of := range s {
		if _, known := a.sources[id]; !known {
			a.sources[id] = of
		}
	}
}

// source is where a stream comes from, as its sender tells; else the path of an input whose state was given.
func (a *Audit) source(k key) (host, path string) {
	s := a.sources[k.id]
	return s.Host, cmp.Or(s.Path, a.tallies[k].path)
}

// place is that of the collector that is read.
func (a *Audit) place(t *tally) *place {
	for len(t.places) < len(a.dirs) {
		t.places = append(t.places, place{})
	}
	return &t.places[len(a.dirs)-1]
}

func (t *tally) hour(at int64) *hour {
	h := t.hours[at]
	if h == nil {
		h = new(hour)
		t.hours[at] = h
	}
	return h
}

// Acknowledged says that the numbers 0 … number-1 of a stream were acknowledged to the input at path: they have to be
// somewhere.
func (a *Audit) Acknowledged(id stream.ID, category, path string, number int64) {
	for _, name := range a.names(category) {
		t := a.tally(name, id)
		t.path = path
		t.acked = max(t.acked, number)
	}
}

// destinations are those of a category if there are several.
func (a *Audit) destinations(category string) []Destination {
	if a.o.Destinations == nil {
		return nil
	}
	if all := a.o.Destinations(category); len(all) > 1 {
		return all
	}
	return nil
}

// names are what a category is called here: once for each destination.
func (a *Audit) names(category string) (names []string) {
	for _, d := range a.destinations(category) {
		names = append(names, nameAt(category, d))
	}
	if names == nil {
		names = []string{category}
	}
	return names
}

func nameAt(category string, d Destination) string { return category + " → " + d.Name }

// nameIn is what a category is called in the files of a directory. In one that is of no destination they are of the
// first next hop.
func (a *Audit) nameIn(category, dir string) string {
	all := a.destinations(category)
	for _, d := range all {
		if slices.ContainsFunc(d.Roots, func(root string) bool { return beneath(root, dir) }) {
			return nameAt(category, d)
		}
	}
	for _, d := range all {
		if d.HandsOn {
			return nameAt(category, d)
		}
	}
	if len(all) > 0 {
		return nameAt(category, all[0])
	}
	return category
}

// beneath says whether a directory is root or lies beneath it.
func beneath(root, dir string) bool {
	rel, err := filepath.Rel(absolute(root), absolute(dir))
	return err == nil && filepath.IsLocal(rel)
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// written adds what stands in a file of a directory.
func (a *Audit) written(dir string, spans []store.Span) {
	for _, s := range spans {
		if s.Count == 0 {
			continue
		}
		name := a.nameIn(s.Category, dir)
		a.writes[name] = true
		t := a.tally(name, s.Stream)
		h := t.hour(s.Hour)
		h.sums.Written += s.Count
		if !s.Numbered() {
			continue
		}
		configured := a.o.Destinations != nil && len(a.o.Destinations(s.Category)) > 0
		a.place(t).wrote(dir, s.First, s.End(), configured)
		h.numbers.Add(s.First, s.End())
	}
}

// Notef adds a note to the report: what could not be read, as a rule.
func (a *Audit) Notef(format string, args ...any) { a.note(fmt.Sprintf(format, args...)) }

// note is something that whoever reads the report should know, and that is no fault.
func (a *Audit) note(text string) {
	a.notes = append(a.notes, Finding{Kind: Note, Text: text})
}

// overlap is the part of first … end-1 that is in r.
func overlap(r stream.Ranges, first, end int64) stream.Ranges {
	return r.Missing(first, end).Missing(first, end)
}

// intersect is what is in both.
func intersect(a, b stream.Ranges) (both stream.Ranges) {
	for _, r := range b {
		both = append(both, overlap(a, r.First, r.End)...)
	}
	return both
}

// merge adds the numbers of b to a.
func merge(a *stream.Ranges, b stream.Ranges) {
	for _, r := range b {
		a.Add(r.First, r.End)
	}
}

// top is behind the highest number.
func top(r stream.Ranges) int64 {
	if len(r) == 0 {
		return 0
	}
	return r[len(r)-1].End
}
