package books

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"inkwell/internal/faultfs"
	"inkwell/store"
)

const beforeHeader = "inkwell contents 1"

// contentsLine is a line of the books of an older version, in the file "contents": what one category added to one file.
// A file was identified by its category.
type contentsLine struct {
	Category string `json:"category"`
	File     string `json:"file"` // "" for entries without bytes; they belong to the next file
	From     uint64 `json:"from"`
	Through  uint64 `json:"through"`
	First    int64  `json:"first"`
	Last     int64  `json:"last"`

	Unordered bool `json:"unordered,omitempty"`
	spanLines
}

// readBefore takes over the books of an older version. They are removed after the first Save has written the new ones.
func (b *Books) readBefore() error {
	if b.o.Before == nil {
		return nil
	}
	if _, err := b.o.State.Lstat(beforeName); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	b.anew = true
	lines, err := b.linesBefore()
	if err != nil {
		return err
	}
	b.damaged(beforeName, faultfs.Damage{Lines: lines.bad})
	for category, list := range lines.byCategory {
		if err := b.takeOver(category, list); err != nil {
			return err
		}
	}
	return nil
}

// Takeover says which outlet a category in the books of an older version belongs to now.
type Takeover struct {
	Outlet  string
	Dir     string // of its files
	Open    string // final name of the file that is open according to the checkpoint; "" = none
	Through uint64 // journal offset up to which the checkpoint covers the category
}

// takeOver turns the lines about a category into posts. The first line of each file is at its beginning.
func (b *Books) takeOver(category string, list []contentsLine) error {
	of := b.o.Before(category)
	for k := len(list); k > 0 && list[k-1].Through > of.Through; k-- {
		list = list[:k-1]
	}
	for i := len(list) - 2; i >= 0; i-- {
		if list[i].File == "" {
			list[i].File, list[i].First = list[i+1].File, list[i+1].First
		}
	}
	start := int64(0)
	for i := range list {
		l := &list[i]
		spans, err := l.decode()
		if err != nil {
			return fmt.Errorf("%s in %s: %w", beforeName, b.o.State.Path(), err)
		}
		if i > 0 && list[i-1].File != l.File {
			start = 0
		}
		add := store.Added{Dir: of.Dir, File: l.File, Start: start, First: l.First, Last: l.Last,
			Unordered: l.Unordered,
			Open:      l.File == of.Open, Spans: spans}
		for k := range spans {
			spans[k].Category = category
			start += spans[k].Bytes
		}
		b.account(of.Outlet).add(post{outlet: of.Outlet, from: l.From, through: l.Through, added: []store.Added{add}})
	}
	return nil
}

// forgetBefore removes the books of the older version, whose content is in the new ones.
func (b *Books) forgetBefore() error {
	if !b.anew {
		return nil
	}
	err := b.o.State.Remove(beforeName)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	b.anew = err != nil
	return err
}

// contentsLines are the lines of the books of an older version.
type contentsLines struct {
	byCategory map[string][]contentsLine
	bad        int
}

// linesBefore reads them. A line that begins before the end of earlier lines of its category replaces these.
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
