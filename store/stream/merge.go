package stream

import (
	"fmt"

	"inkwell/internal/faultfs"
)

// Merge adds the numbers of another table, given the content of its file. They count as drained: the next Save includes
// them.
func (t *Table) Merge(file []byte) error {
	other := &Table{streams: make(map[ID]*streamState)}
	damaged, err := faultfs.ParseLines(FileName, fileHeader, file, other.read)
	if err == nil && damaged > 0 {
		err = fmt.Errorf("%d lines of a table of streams are damaged", damaged)
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, of := range other.streams {
		e := t.state(id)
		e.seen = max(e.seen, of.seen)
		for _, p := range of.categories {
			pl := t.category(e, []byte(p.category))
			for _, r := range p.present {
				t.add(pl, &piece{first: r.First, count: r.End - r.First})
				pl.drained.addBounded(r.First, r.End)
			}
			if !pl.changed {
				pl.changed = true
				t.changed = append(t.changed, pl)
			}
		}
	}
	return nil
}
