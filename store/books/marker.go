package books

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/rotate"
	"inkwell/store"
)

// MarkerPrefix begins the name of a done marker: _SUCCESS.2026-11-25T04 in a directory says that its files of that hour
// are complete. Programs that read all files of a directory ignore names that begin with an underscore.
const MarkerPrefix = "_SUCCESS."

// PartitionMarker is the name of a done marker in a partition, in the layout of Hive.
const PartitionMarker = "_SUCCESS"

// markersBack is the age up to which periods without a marker are looked for at the start.
const markersBack = 8 * 24 * time.Hour

// Marker is the content of a done marker, as JSON.
type Marker struct {
	Category string    `json:"category,omitempty"` // of the entries; "" = they are of several categories
	Period   string    `json:"period"`             // its beginning, by the collector's local clock
	Version  int       `json:"version"`
	Made     time.Time `json:"made"`
	Entries  int64     `json:"entries"`
	Bytes    int64     `json:"bytes"`
	Files    []File    `json:"files"`
}

// markers writes the done markers. A period is done in a directory when it is over, the files that were begun in it are
// finished, and each stream in them has written something after the period, or nothing for the lateness.
type markers struct {
	o    *Options
	log  *slog.Logger
	seen map[string]map[[16]byte]int64 // by directory: when a stream wrote last, Unix seconds
	due  map[periodOf]*unmarked
}

// periodOf is a period of a directory.
type periodOf struct{ dir, label string }

// unmarked is a period whose marker is still to be written.
type unmarked struct {
	done    *Done
	end     time.Time
	streams map[[16]byte]bool
	files   []File
}

func newMarkers(o *Options) *markers {
	return &markers{o: o, log: o.Logger, seen: make(map[string]map[[16]byte]int64), due: make(map[periodOf]*unmarked)}
}

// of returns how the periods of a file are marked, nil if they are not.
func (k *markers) of(dir, file string) *Done {
	base, ok := rotate.BaseOf(file)
	if !ok {
		return nil
	}
	if d := k.o.destination(dir, base); d != nil {
		return d.Done
	}
	return nil
}

// wrote records which streams wrote to a file.
func (k *markers) wrote(a *store.Added) {
	if len(a.Spans) > 0 && k.of(a.Dir, a.File) != nil {
		k.saw(a.Dir, a.Spans, a.Last)
	}
}

func (k *markers) saw(dir string, spans []store.Span, at int64) {
	seen := k.seen[dir]
	if seen == nil {
		seen = make(map[[16]byte]int64)
		k.seen[dir] = seen
	}
	for i := range spans {
		seen[spans[i].Stream] = max(seen[spans[i].Stream], at)
	}
}

// finished records a file that the manifest of a directory lists as finished, with its whole content.
func (k *markers) finished(dir string, f File) {
	done := k.of(dir, f.Name)
	if done == nil {
		return
	}
	begun := f.First.Local()
	key := periodOf{dir, done.Period.Label(begun, done.At)}
	u := k.due[key]
	if u == nil {
		u = &unmarked{done: done, end: done.Period.Next(begun, done.At), streams: make(map[[16]byte]bool)}
		k.due[key] = u
	}
	for i := range f.Spans {
		u.streams[f.Spans[i].Stream] = true
	}
	u.files = append(u.files, f)
}

// write writes the markers of the periods that are done.
func (k *markers) write(now time.Time, accounts map[string]*account) {
	if len(k.due) == 0 {
		return
	}
	open := make(map[periodOf]bool)
	for _, a := range accounts {
		for _, c := range a.settled {
			if done := k.of(c.Dir, c.File); done != nil {
				open[periodOf{c.Dir, done.Period.Label(time.Unix(c.First, 0), done.At)}] = true
			}
		}
	}
	for key, u := range k.due {
		if open[key] || !k.done(key, u, now) {
			continue
		}
		err := k.mark(key, u, now)
		if errors.Is(err, errUnpublished) { // it gets its name with the next checkpoint
			continue
		}
		k.o.Health.Set(fmt.Sprintf("%s%s in %s", MarkerPrefix, key.label, key.dir), err)
		if err == nil {
			delete(k.due, key)
		}
	}
	for _, seen := range k.seen {
		maps.DeleteFunc(seen, func(_ [16]byte, at int64) bool { return now.Unix()-at > int64(markersBack/time.Second) })
	}
}

// done reports whether nothing more is to be expected in the period.
func (k *markers) done(key periodOf, u *unmarked, now time.Time) bool {
	if now.Before(u.end) {
		return false
	}
	for id := range u.streams {
		last := time.Unix(k.seen[key.dir][id], 0)
		if last.Before(u.end) && now.Sub(last) < u.done.Lateness {
			return false
		}
	}
	return true
}

// mark writes a marker, or its next version.
func (k *markers) mark(key periodOf, u *unmarked, now time.Time) (err error) {
	dir, err := k.o.openDir(key.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	for _, f := range u.files { // a marker lists only files that have their final names
		if thereAs(dir, rotate.Hidden(f.Name)) {
			return errUnpublished
		}
	}
	m, err := readMarker(dir, key.label)
	if err != nil {
		return err
	}
	m.Period, m.Version, m.Made = key.label, m.Version+1, now.UTC().Truncate(time.Second)
	for _, f := range u.files {
		if m.Version == 1 && len(m.Files) == 0 {
			m.Category = categoryOf(f)
		} else if m.Category != categoryOf(f) {
			m.Category = ""
		}
		f.Spans = nil
		if i := slices.IndexFunc(m.Files, func(l File) bool { return l.Name == f.Name }); i >= 0 { // it was continued
			m.Entries -= m.Files[i].Entries
			m.Bytes -= m.Files[i].Bytes
			m.Files = slices.Delete(m.Files, i, i+1)
		}
		m.Files = append(m.Files, f)
		m.Entries += f.Entries
		m.Bytes += f.Bytes
	}
	if k.o.Depot != nil {
		if err := k.o.Depot.Mark(key.dir, &m); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if u.done.Hive {
		if err := markPartition(dir, key.label, data); err != nil {
			return err
		}
	}
	// last: while it is missing, that of the partition is written again
	return dir.WriteFile(MarkerPrefix+key.label, data)
}

// markPartition writes a marker into the partition of a period, unless nothing was ever published there.
func markPartition(dir *faultfs.Dir, label string, data []byte) error {
	sub, err := dir.Below(rotate.PartitionOf(label))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(sub.WriteFile(PartitionMarker, data), sub.Close())
}

// errUnpublished says that a finished file does not have its name yet.
var errUnpublished = errors.New("a finished file does not have its name yet")

// categoryOf returns the category of the entries of a file, "" if they are of several.
func categoryOf(f File) (name string) {
	for i, s := range f.Spans {
		if i > 0 && s.Category != name {
			return ""
		}
		name = s.Category
	}
	return name
}

// recover finds the finished files of the last days that no marker lists.
func (k *markers) recover(now time.Time) {
	for i := range k.o.Destinations {
		if d := &k.o.Destinations[i]; d.Done != nil {
			walk(d.Root, func(dir *faultfs.Dir, _ []fs.DirEntry) {
				if err := k.recoverIn(dir, now); err != nil {
					k.log.Error("no done markers are made of what a manifest lists", "directory", dir.Path(),
						"error", err)
				}
			})
		}
	}
}

// recoverIn does so in one directory. If a marker cannot be read because its name is not that of a file, writing it
// fails later and is reported then.
func (k *markers) recoverIn(dir *faultfs.Dir, now time.Time) error {
	path := filepath.Clean(dir.Path())
	files, _, err := ReadFiles(dir)
	if err != nil {
		return err
	}
	listed := make(map[string]Marker)
	for _, f := range files {
		done := k.of(path, f.Name)
		if done == nil || f.Open || f.Removed != "" || now.Sub(f.Last) > markersBack {
			continue
		}
		label := done.Period.Label(f.First.Local(), done.At)
		m, known := listed[label]
		if !known {
			m, err = readMarker(dir, label)
			switch {
			case errors.Is(err, errMarkerDamaged):
				m, err = Marker{}, k.setAside(dir, label)
			case faultfs.IsMisplaced(err):
				m, err = Marker{}, nil
			}
			if err != nil {
				return err
			}
			listed[label] = m
		}
		k.saw(path, f.Spans, f.Last.Unix())
		if !slices.ContainsFunc(m.Files, func(l File) bool { return l.Name == f.Name && l.Entries == f.Entries }) {
			k.finished(path, f)
		}
	}
	return nil
}

// setAside renames a damaged marker. It is then written again, from the files in the manifest.
func (k *markers) setAside(dir *faultfs.Dir, label string) error {
	aside, err := dir.FreeName("."+MarkerPrefix+label, ".corrupt")
	if err != nil {
		return err
	}
	k.log.Warn("a done marker is damaged: it is written again, as version 1", "file", filepath.Join(dir.Path(),
		MarkerPrefix+label), "set aside", aside)
	return errors.Join(dir.Rename(MarkerPrefix+label, aside), dir.Sync())
}

// readMarker reads the marker of a period; it may be missing.
func readMarker(dir *faultfs.Dir, label string) (m Marker, err error) {
	data, err := dir.ReadFile(MarkerPrefix + label)
	if errors.Is(err, fs.ErrNotExist) {
		return Marker{}, nil
	}
	if err == nil && json.Unmarshal(data, &m) != nil {
		err = errMarkerDamaged
	}
	if err != nil {
		return Marker{}, fmt.Errorf("read %s: %w", filepath.Join(dir.Path(), MarkerPrefix+label), err)
	}
	return m, nil
}

var errMarkerDamaged = errors.New("it is damaged (the next start of the collector makes it anew)")

// dropMarkers removes the markers of a directory none of whose files exists any more; list is the content of the
// directory.
func dropMarkers(dir *faultfs.Dir, list []fs.DirEntry) error {
	there := make(map[string]bool)
	for _, e := range list {
		there[e.Name()] = true
	}
	var errs []error
	for _, e := range list {
		label, ok := strings.CutPrefix(e.Name(), MarkerPrefix)
		if !ok {
			continue
		}
		m, err := readMarker(dir, label)
		if err != nil || len(m.Files) == 0 || slices.ContainsFunc(m.Files, func(f File) bool {
			return there[f.Name] || there[rotate.Hidden(f.Name)] ||
				thereAs(dir, filepath.Join(rotate.Partition(f.Name), f.Name))
		}) {
			continue // a damaged marker is reported elsewhere
		}
		errs = append(errs, dir.Remove(e.Name()))
	}
	return errors.Join(errs...)
}
