package books

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"

	"inkwell/internal/faultfs"
	"inkwell/store"
	"inkwell/store/stream"
)

// Held is what the books in a state directory say of files that are in no manifest yet, or not with all that they hold.
type Held struct {
	Files   []store.Added     // one for each file. Without a Dir: in that of its category, of a collector of before
	Through map[string]uint64 // category → journal offset up to which an outlet is known to have brought it to files
	Bad     map[string]int    // damaged lines, by the name of their file
	Sources Sources           // where streams come from, as far as the collector knows
}

// ReadHeld reads the books in a state directory, which may be in use; there need not be any.
func ReadHeld(state *faultfs.Dir) (*Held, error) {
	h := &Held{Through: make(map[string]uint64), Bad: make(map[string]int)}
	before := &Books{o: Options{State: state, Before: func(category string) Takeover {
		return Takeover{Outlet: category,
			Through: ^uint64(0)}
	}}, accounts: make(map[string]*account)}
	lines, err := before.linesBefore()
	if err != nil {
		return nil, err
	}
	h.Bad[beforeName] = lines.bad
	for category, list := range lines.byCategory {
		if err := before.takeOver(category, list); err != nil {
			return nil, err
		}
	}
	h.add(before.accounts)
	accounts := make(map[string]*account)
	bad, err := faultfs.ReadLines(state, booksName, booksHeader, func(body []byte) error {
		p, err := parsePost(body)
		if err == nil {
			if accounts[p.outlet] == nil {
				accounts[p.outlet] = &account{key: p.outlet}
			}
			accounts[p.outlet].add(p)
		}
		return err
	})
	h.Bad[booksName] = bad
	h.add(accounts)
	if err != nil {
		return h, err
	}
	h.Sources, h.Bad[stream.NamesFile], err = readSources(state)
	return h, err
}

// add adds what accounts say.
func (h *Held) add(accounts map[string]*account) {
	none := newMarkers(&Options{})
	for _, a := range accounts {
		a.settle(^uint64(0), none)
		for _, c := range a.settled {
			for _, s := range c.spans.List() {
				h.Through[s.Category] = max(h.Through[s.Category], a.through)
			}
			h.Files = append(h.Files, *c.said())
		}
	}
	slices.SortFunc(h.Files, func(a, b store.Added) int {
		if a.First != b.First {
			return int(a.First - b.First)
		}
		return slices.Compare([]string{a.Dir, a.File}, []string{b.Dir, b.File})
	})
}

// DirOf is the directory of a file of h, for a collector of before whose files are below root.
func (h *Held) DirOf(f *store.Added, root string) string {
	if f.Dir == "" && len(f.Spans) > 0 {
		return filepath.Join(root, f.Spans[0].Category)
	}
	return f.Dir
}

// contentsLines are the lines of the books of a collector of before.
type contentsLines struct {
	byCategory map[string][]contentsLine
	bad        int
}

// linesBefore reads them. Lines about a category that begin before the end of others take their place.
func (b *Books) linesBefore() (l contentsLines, err error) {
	l.byCategory = make(map[string][]contentsLine)
	l.bad, err = faultfs.ReadLines(b.o.State, beforeName, beforeHeader, func(body []byte) error {
		var line contentsLine
		if err := json.Unmarshal(body, &line); err != nil {
			return err
		}
		if line.Category == "" || line.From > line.Through {
			return errors.New("no line of the books")
		}
		list := l.byCategory[line.Category]
		for len(list) > 0 && list[len(list)-1].Through > line.From {
			list = list[:len(list)-1]
		}
		l.byCategory[line.Category] = append(list, line)
		return nil
	})
	return l, err
}

// Believe says which of the manifest and the books to believe of a file that both know. They tell of its content one
// behind the other, or one is older: the manifest, when the file was cut back by a crash or is gone on with, or the
// books, when it has just been finished.
func Believe(f *File, held *store.Added, hidden bool) (asHeld, asListed bool) {
	if held == nil {
		return false, true
	}
	end, heldEnd := f.Start+f.Raw, held.Start
	for _, s := range held.Spans {
		heldEnd += s.Bytes
	}
	if held.Start >= end && f.Raw > 0 {
		return true, true
	}
	asHeld = hidden || heldEnd > end
	return asHeld, !asHeld
}
