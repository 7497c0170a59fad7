package books

import (
	"path/filepath"
	"slices"

	"inkwell/internal/faultfs"
	"inkwell/store"
	"inkwell/store/stream"
)

// Held is the content of the books in a state directory: what is known of files that no manifest lists yet, or not with
// their whole content.
type Held struct {
	// one for each file; without a Dir (older versions), it is in the directory of its category
	Files   []store.Added
	Through map[string]uint64 // category → journal offset up to which an outlet has written the category to files
	Bad     map[string]int    // number of damaged lines, by the name of the file that contains them
	Sources Sources           // where streams come from, as far as the collector knows
}

// ReadHeld reads the books in a state directory, which may be in use; they may be missing.
func ReadHeld(state *faultfs.Dir) (*Held, error) {
	h := &Held{Through: make(map[string]uint64), Bad: make(map[string]int)}
	before := &Books{o: Options{State: state, Before: func(category string) Takeover {
		return Takeover{Outlet: category, Through: ^uint64(0)}
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
	h.Sources, h.Bad[stream.NamesFile], err = stream.ReadNames(state)
	return h, err
}

// add adds the files of accounts.
func (h *Held) add(accounts map[string]*account) {
	none := newMarkers(&Options{})
	for _, a := range accounts {
		a.settle(^uint64(0), none)
		for _, c := range a.settled {
			for _, s := range c.spans.List() {
				h.Through[s.Category] = max(h.Through[s.Category], a.through)
			}
			h.Files = append(h.Files, *c.asAdded())
		}
	}
	slices.SortFunc(h.Files, func(a, b store.Added) int {
		if a.First != b.First {
			return int(a.First - b.First)
		}
		return slices.Compare([]string{a.Dir, a.File}, []string{b.Dir, b.File})
	})
}

// DirOf returns the directory of a file of h. The files of an older version are below root.
func (h *Held) DirOf(f *store.Added, root string) string {
	if f.Dir == "" && len(f.Spans) > 0 {
		return filepath.Join(root, f.Spans[0].Category)
	}
	return f.Dir
}

// Believe decides which of two descriptions of a file is valid, or whether both are: the one in the manifest, f, or the
// one in the books, held, which may be nil. Both are valid if held begins where f ends. Otherwise one of them is
// outdated: that of the manifest, if the file was cut back after a crash or is being continued, or that of the books,
// if the file has just been finished. hidden says that the file does not have its final name.
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
