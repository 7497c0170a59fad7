package store

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
	"inkwell/internal/stats"
	"inkwell/rotate"
	"inkwell/store/manifest"
	"inkwell/store/stream"
)

// MarkerPrefix begins the name of a done marker: _SUCCESS.2026-11-25T04 in the directory of a category says that the files of that
// hour are all there. What reads directories of files passes over names that begin with an underscore.
const MarkerPrefix = "_SUCCESS."

// markersBack is how far back periods without a marker are looked for at the start.
const markersBack = 8 * 24 * time.Hour

// Marker is what a done marker holds, as JSON.
type Marker struct {
	Category string          `json:"category"`
	Period   string          `json:"period"` // its beginning, by the collector's local clock
	Version  int             `json:"version"`
	Made     time.Time       `json:"made"`
	Entries  int64           `json:"entries"`
	Bytes    int64           `json:"bytes"`
	Files    []manifest.File `json:"files"`
}

// markers makes the done markers of the periods of files. A period is done when it is over, its files have their names, and every
// stream that wrote in it has written later, or was silent for the lateness. It belongs to the ledger.
type markers struct {
	root     *faultfs.Dir
	log      *slog.Logger
	period   rotate.Period
	at       rotate.Clock
	lateness time.Duration
	seen     map[string]map[stream.ID]int64 // by category: when a stream wrote last, Unix seconds
	due      map[periodOf]*unmarked
}

// periodOf is a period of a category.
type periodOf struct{ category, label string }

// unmarked is what a marker is to say.
type unmarked struct {
	end     time.Time
	streams map[stream.ID]bool
	files   []manifest.File
}

func newMarkers(root *faultfs.Dir, o *FilesOptions) *markers {
	return &markers{root: root, log: o.Logger, period: o.Period, at: o.At, lateness: o.Lateness, seen: make(map[string]map[stream.ID]int64), due: make(map[periodOf]*unmarked)}
}

// recover finds the finished files of the last days that no marker lists. A category in which something else stands where its manifest
// belongs is passed over; where a marker belongs, writing it will tell.
func (k *markers) recover(now time.Time) error {
	list, err := k.root.ReadDir()
	if err != nil {
		return err
	}
	for _, e := range list {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		dir, err := k.root.Sub(e.Name())
		if err != nil {
			return err
		}
		err = k.recoverIn(dir, e.Name(), now)
		if faultfs.IsMisplaced(err) {
			k.log.Error("no done markers are made of what the manifest lists", "category", e.Name(), "error", err)
			err = nil
		}
		if err := errors.Join(err, dir.Close()); err != nil {
			return fmt.Errorf("%s: %w", e.Name(), err)
		}
	}
	return nil
}

func (k *markers) recoverIn(dir *faultfs.Dir, category string, now time.Time) error {
	files, _, err := manifest.ReadFiles(dir)
	if err != nil {
		return err
	}
	listed := make(map[string]Marker)
	for _, f := range files {
		label := k.period.Label(f.First.Local(), k.at)
		if now.Sub(f.Last) > markersBack {
			continue
		}
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
		k.wrote(category, f.Spans, f.Last.Unix())
		if !slices.ContainsFunc(m.Files, func(l manifest.File) bool { return l.Name == f.Name }) {
			k.finished(category, f)
		}
	}
	return nil
}

// setAside hides a damaged marker, which is then made anew of the files in the manifest.
func (k *markers) setAside(dir *faultfs.Dir, label string) error {
	aside, err := dir.FreeName("."+MarkerPrefix+label, damagedSuffix)
	if err != nil {
		return err
	}
	k.log.Warn("a done marker is damaged: it is made anew, as version 1", "file", filepath.Join(dir.Path(), MarkerPrefix+label), "set aside", aside)
	return errors.Join(dir.Rename(MarkerPrefix+label, aside), dir.Sync())
}

// wrote notes which streams wrote to a category at a time.
func (k *markers) wrote(category string, spans []manifest.Span, at int64) {
	seen := k.seen[category]
	if seen == nil {
		seen = make(map[stream.ID]int64)
		k.seen[category] = seen
	}
	for i := range spans {
		seen[spans[i].Stream] = max(seen[spans[i].Stream], at)
	}
}

// finished notes a file that got its line in the manifest.
func (k *markers) finished(category string, f manifest.File) {
	begun := f.First.Local()
	key := periodOf{category, k.period.Label(begun, k.at)}
	u := k.due[key]
	if u == nil {
		u = &unmarked{end: k.period.Next(begun, k.at), streams: make(map[stream.ID]bool)}
		k.due[key] = u
	}
	for i := range f.Spans {
		u.streams[f.Spans[i].Stream] = true
	}
	f.Spans = nil
	u.files = append(u.files, f)
}

// write makes the markers that are due. open are the contents of files that are not finished.
func (k *markers) write(now time.Time, open map[string][]manifest.Contents, health *stats.Health) {
	for key, u := range k.due {
		if !k.done(key, u, now) || slices.ContainsFunc(open[key.category], func(c manifest.Contents) bool {
			return c.File != "" && k.period.Label(time.Unix(c.First, 0), k.at) == key.label
		}) {
			continue
		}
		err := k.mark(key, u, now)
		health.Set(fmt.Sprintf("%s%s of %s", MarkerPrefix, key.label, key.category), err)
		if err == nil {
			delete(k.due, key)
		}
	}
	for _, seen := range k.seen {
		maps.DeleteFunc(seen, func(_ stream.ID, at int64) bool { return now.Unix()-at > int64(markersBack/time.Second) })
	}
}

// done says whether nothing more is to be expected in the period.
func (k *markers) done(key periodOf, u *unmarked, now time.Time) bool {
	if now.Before(u.end) {
		return false
	}
	for id := range u.streams {
		last := time.Unix(k.seen[key.category][id], 0)
		if last.Before(u.end) && now.Sub(last) < k.lateness {
			return false
		}
	}
	return true
}

// mark writes a marker, or its next version.
func (k *markers) mark(key periodOf, u *unmarked, now time.Time) (err error) {
	dir, err := k.root.Sub(key.category)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	m, err := readMarker(dir, key.label)
	if err != nil {
		return err
	}
	m.Category, m.Period, m.Version, m.Made = key.category, key.label, m.Version+1, now.UTC().Truncate(time.Second)
	for _, f := range u.files {
		if !slices.ContainsFunc(m.Files, func(l manifest.File) bool { return l.Name == f.Name }) {
			m.Files = append(m.Files, f)
			m.Entries += f.Entries
			m.Bytes += f.Bytes
		}
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return dir.WriteFile(MarkerPrefix+key.label, append(data, '\n'))
}

// readMarker reads the marker of a period; there need not be one.
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
