package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	lookupTime = 20 * time.Second // for one lookup, at most
	// Pauses after a lookup that failed: each is twice as long as the one before, ± a quarter.
	firstPause = time.Second
	lastPause  = time.Minute
)

// Directory looks sources up, each list of sources once, however many senders watch it. Safe for concurrent use.
type Directory struct {
	log *slog.Logger

	mu      sync.Mutex
	watched map[string]*watched
}

// NewDirectory returns a Directory that looks nothing up yet. log may be nil.
func NewDirectory(log *slog.Logger) *Directory {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Directory{log: log, watched: make(map[string]*watched)}
}

// watched is a list of sources and addresses that is looked up.
type watched struct {
	end     context.CancelFunc
	running sync.WaitGroup
	users   int // guarded by the Directory's mutex

	mu      sync.Mutex
	parts   []part        // one for each source or address, in their order
	version int           // of the merged list; 0 = none was found yet
	list    []Address     // merged
	changed chan struct{} // closed, and replaced, when version changes or a first lookup failed
	waiting int           // sources whose first lookup has not ended
}

// part is what one source contributes.
type part struct {
	text    string
	list    []Address
	trouble string // why the last lookup failed, "" = it did not
}

// Watch is a user's view of a list of sources.
type Watch struct {
	*watched
	d    *Directory
	key  string
	once sync.Once
}

// Watch begins to look up the sources among texts, which may be mixed with addresses; former are addresses to begin
// with until something was found, for example those of an earlier process. The Watch must be closed.
func (d *Directory) Watch(texts []string, former []Address) (*Watch, error) {
	key := strings.Join(texts, " ")
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.watched[key]
	if w == nil {
		var err error
		if w, err = d.begin(texts, former); err != nil {
			return nil, err
		}
		d.watched[key] = w
	}
	w.users++
	return &Watch{watched: w, d: d, key: key}, nil
}

// begin starts to look up.
func (d *Directory) begin(texts []string, former []Address) (*watched, error) {
	w := &watched{changed: make(chan struct{}), list: slices.Clone(former)}
	var sources []*Source
	var errs []error
	for _, text := range texts {
		p := part{text: text}
		if !IsSource(text) {
			p.list = []Address{{Name: text}}
			sources = append(sources, nil)
		} else {
			s, err := Parse(text)
			errs = append(errs, err)
			sources = append(sources, s)
			w.waiting++
		}
		w.parts = append(w.parts, p)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(former) == 0 { // else the addresses among texts are known to that process, too
		w.merge()
	}
	var ctx context.Context
	ctx, w.end = context.WithCancel(context.Background())
	for i, s := range sources {
		if s != nil {
			w.running.Go(func() { w.follow(ctx, i, s, d.log) })
		}
	}
	return w, nil
}

// Close ends the view, and the lookups if it was the last one.
func (w *Watch) Close() {
	w.once.Do(func() {
		w.d.mu.Lock()
		w.users--
		last := w.users == 0
		if last {
			delete(w.d.watched, w.key)
		}
		w.d.mu.Unlock()
		if last {
			w.end()
			w.running.Wait()
		}
	})
}

// List returns the addresses that are known, and a number that is another one after each change. The list must not be
// changed.
func (w *watched) List() (list []Address, version int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.list, w.version
}

// Wait waits until an address is known, every source was looked up once, or ctx ends.
func (w *watched) Wait(ctx context.Context) {
	for {
		w.mu.Lock()
		done, changed := len(w.list) > 0 || w.waiting == 0, w.changed
		w.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// Trouble says why a source cannot be looked up, "" if all can.
func (w *watched) Trouble() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.parts {
		if p.trouble != "" {
			return fmt.Sprintf("%s cannot be looked up: %s", p.text, p.trouble)
		}
	}
	return ""
}

// follow looks a source up until ctx ends.
func (w *watched) follow(ctx context.Context, i int, s *Source, log *slog.Logger) {
	pause, skipped, first := firstPause, "", true
	for ctx.Err() == nil {
		limit, cancel := context.WithTimeout(ctx, lookupTime)
		a, err := s.lookup(limit)
		cancel()
		if ctx.Err() != nil {
			return
		}
		wait := a.again
		if err != nil {
			wait = pause*3/4 + rand.N(pause/2)
			pause = min(2*pause, lastPause)
		} else {
			pause = firstPause
			if len(a.list) > maxAddresses {
				a.skipped = fmt.Sprintf("it has %d addresses, %d are used", len(a.list), maxAddresses)
				a.list = a.list[:maxAddresses]
			}
			if a.skipped != skipped && a.skipped != "" {
				log.Warn("not all collectors can be used", "source", s.text, "reason", a.skipped)
			}
			skipped = a.skipped
		}
		w.found(i, a.list, err, log)
		if first {
			first = false
			w.looked()
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// found records the outcome of a lookup, and logs what is new about it.
func (w *watched) found(i int, list []Address, err error, log *slog.Logger) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := &w.parts[i]
	if err != nil {
		if text := err.Error(); text != p.trouble {
			p.trouble = text
			log.Warn("collectors cannot be looked up: the last list stays", "source", p.text,
				"collectors", len(w.list), "error", err)
		}
		return
	}
	if p.trouble != "" {
		log.Info("collectors can be looked up again", "source", p.text, "collectors", len(list))
		p.trouble = ""
	}
	if slices.Equal(p.list, list) {
		return
	}
	log.Info("collectors", "source", p.text, "known", len(list), "new", few(without(list, p.list)),
		"gone", few(without(p.list, list)))
	p.list = list
	w.merge()
}

// looked records that a source was looked up for the first time.
func (w *watched) looked() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting--
	w.tell()
}

// merge makes the list anew: the addresses of all parts in their order, each once. The caller holds mu.
func (w *watched) merge() {
	var list []Address
	seen := make(map[string]bool)
	for _, p := range w.parts {
		for _, a := range p.list {
			if !seen[a.Name] {
				seen[a.Name] = true
				list = append(list, a)
			}
		}
	}
	w.list = list
	w.version++
	w.tell()
}

// tell wakes those who wait. The caller holds mu.
func (w *watched) tell() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// without returns the names in list that are not in other.
func without(list, other []Address) (names []string) {
	has := make(map[string]bool)
	for _, a := range other {
		has[a.Name] = true
	}
	for _, a := range list {
		if !has[a.Name] {
			names = append(names, a.Name)
		}
	}
	return names
}

// few returns names as text for the log, ten at most.
func few(names []string) string {
	const most = 10
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], " "), len(names)-most)
	}
	return strings.Join(names, " ")
}
