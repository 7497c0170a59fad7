// Package audit adds up what collectors have, from the books that they keep beside their files, and finds entries that
// are missing or stored twice.
//
//	DIR/.manifest    content of finished files in a directory  ─┐
//	STATE/books      content of open files                      ├─► numbers by stream, entries by hour ─► Report
//	STATE/journal    entries that are in no file yet            │
//	STATE/streams    numbers taken: without files, handed on    │
//	ROOT/.counts     entries that were left out, and why       ─┘
//	positions and spools of a forwarder: numbers that must be somewhere, and entries that still wait
//
// The numbers of a stream begin at 0 and have no gaps. So every number up to the highest known one must be somewhere:
// in a file, in a journal, in a spool, handed on, or refused; otherwise it is missing. The audit merges sets of numbers
// instead of adding counts, so that an entry found in two sources is counted once. A category whose entries must be in
// several places is audited for each place, under the name "CATEGORY → PLACE".
//
// What is audited may be in use. So that every entry is seen at least once, the sources must be read in the order in
// which entries move: positions, spools, journal, books, streams, manifests. Call Acknowledged, Waiting and Aside
// first, then Collector.
//
// Limitations: entries without numbers are only counted, so none of them can be found missing. Entries handed on to a
// next hop that is not audited count as arrived. A collector keeps the numbers of refused entries only up to a limit.
// Of those beyond it, and of those counted by older versions, only the stream and their count are known: as many
// missing numbers of the stream count as refused, and a note says so.
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

// Options configure an Audit.
type Options struct {
	Since time.Time // earlier hours are left out of the report; zero: none are
	// Destinations returns the places where the entries of a category must be. If it is nil or returns none, there is
	// one place without a name.
	Destinations func(category string) []Destination
	// Progress is called with how much of a source was read; may be nil.
	Progress func(what string, done, total int64)
}

// Destination is one of the places where the entries of a category must be.
type Destination struct {
	Name    string
	Roots   []string // the directories that contain its files, at any depth
	HandsOn bool     // it is a next hop
}

// Audit gathers what collectors and senders have. Not safe for concurrent use.
type Audit struct {
	o            Options
	dirs         []string
	streamsByKey map[key]*categoryStream
	byID         map[stream.ID][]key // keys of streamsByKey
	// number of refused entries by stream, where the collectors did not keep their numbers
	refused map[stream.ID]int64
	files   map[string][]File // by category
	sources books.Sources     // the sources of streams
	writes  map[string]bool   // categories that are written to files
	why     map[cause]int64
	notes   []Finding
}

// key identifies a stream in a category; the zero stream stands for entries without numbers.
type key struct {
	category string
	id       stream.ID
}

// cause is a reason for which entries of a category were refused in an hour.
type cause struct {
	category, why string
	hour          int64
}

// categoryStream is everything that is known about a stream in a category.
type categoryStream struct {
	path        string        // of the input, according to the state of a forwarder
	acked       int64         // numbers below are acknowledged
	byCollector []holdings    // in the order of Audit.dirs
	waiting     stream.Ranges // in spools
	aside       stream.Ranges // in spools of refused entries
	refused     stream.Ranges // answered with OK and discarded by a collector
	hours       map[int64]*hour
	// Counts of entries without numbers.
	plainWaiting, plainJournal, plainAside int64
}

// holdings are the numbers of a stream that a collector has.
type holdings struct {
	written stream.Ranges // in files
	journal stream.Ranges
	taken   stream.Ranges // all numbers that it has taken, if it hands the category on
	twice   stream.Ranges // more than once in files
	// Without a configuration it is unknown which directories belong together. Then files of several directories may
	// contain the same entries, because a multi store writes all entries to each of its directories.
	byDir  map[string]*stream.Ranges // written, by directory
	copied stream.Ranges             // in files of several directories
}

// inDir returns the numbers written in one directory.
func (p *holdings) inDir(dir string) *stream.Ranges {
	if p.byDir == nil {
		p.byDir = make(map[string]*stream.Ranges)
	}
	if p.byDir[dir] == nil {
		p.byDir[dir] = new(stream.Ranges)
	}
	return p.byDir[dir]
}

// addWritten adds numbers that are in a file of a directory. together says that an entry must be only once in all
// directories of the collector.
func (p *holdings) addWritten(dir string, first, end int64, together bool) {
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

// noHour is the hour of entries whose hour is unknown because they are in no file.
const noHour = math.MaxInt64

// New returns an empty Audit.
func New(o Options) *Audit {
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	return &Audit{o: o, streamsByKey: make(map[key]*categoryStream), byID: make(map[stream.ID][]key),
		refused: make(map[stream.ID]int64),
		sources: make(books.Sources), files: make(map[string][]File), writes: make(map[string]bool),
		why: make(map[cause]int64)}
}

func (a *Audit) categoryStream(category string, id stream.ID) *categoryStream {
	k := key{category, id}
	t := a.streamsByKey[k]
	if t == nil {
		t = &categoryStream{hours: make(map[int64]*hour)}
		a.streamsByKey[k] = t
	}
	return t
}

// addSources adds the sources of streams; those that are known already are kept.
func (a *Audit) addSources(s books.Sources) {
	for id, of := range s {
		if _, known := a.sources[id]; !known {
			a.sources[id] = of
		}
	}
}

// source returns the source of a stream according to its sender, else the path of the input whose state was given.
func (a *Audit) source(k key) (host, path string) {
	s := a.sources[k.id]
	return s.Host, cmp.Or(s.Path, a.streamsByKey[k].path)
}

// holdings returns the holdings of the current collector.
func (a *Audit) holdings(t *categoryStream) *holdings {
	for len(t.byCollector) < len(a.dirs) {
		t.byCollector = append(t.byCollector, holdings{})
	}
	return &t.byCollector[len(a.dirs)-1]
}

func (t *categoryStream) hour(at int64) *hour {
	h := t.hours[at]
	if h == nil {
		h = new(hour)
		t.hours[at] = h
	}
	return h
}

// Acknowledged says that the numbers 0 … number-1 of a stream were acknowledged to the input at path, so that they must
// be somewhere.
func (a *Audit) Acknowledged(id stream.ID, category, path string, number int64) {
	for _, name := range a.names(category) {
		t := a.categoryStream(name, id)
		t.path = path
		t.acked = max(t.acked, number)
	}
}

// destinations returns the destinations of a category if there are several.
func (a *Audit) destinations(category string) []Destination {
	if a.o.Destinations == nil {
		return nil
	}
	if all := a.o.Destinations(category); len(all) > 1 {
		return all
	}
	return nil
}

// names returns the names of a category in the report, one for each destination.
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

// nameIn returns the name, in the report, of a category in files of a directory. Files in a directory of no destination
// count for the first next hop.
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

// beneath reports whether dir is root or below it.
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

// written adds the spans of a file in a directory.
func (a *Audit) written(dir string, spans []store.Span) {
	for _, s := range spans {
		if s.Count == 0 {
			continue
		}
		name := a.nameIn(s.Category, dir)
		a.writes[name] = true
		t := a.categoryStream(name, s.Stream)
		h := t.hour(s.Hour)
		h.sums.Written += s.Count
		if !s.Numbered() {
			continue
		}
		configured := a.o.Destinations != nil && len(a.o.Destinations(s.Category)) > 0
		a.holdings(t).addWritten(dir, s.First, s.End(), configured)
		h.numbers.Add(s.First, s.End())
	}
}

// Notef adds a note to the report: a finding that is no fault, usually on something that could not be read.
func (a *Audit) Notef(format string, args ...any) {
	a.notes = append(a.notes, Finding{Kind: Note, Text: fmt.Sprintf(format, args...)})
}

// overlap returns the numbers first … end-1 that are in r.
func overlap(r stream.Ranges, first, end int64) stream.Ranges {
	return r.Missing(first, end).Missing(first, end)
}

// intersect returns the numbers that are in both sets.
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

// endOf returns the number behind the highest one.
func endOf(r stream.Ranges) int64 {
	if len(r) == 0 {
		return 0
	}
	return r[len(r)-1].End
}
