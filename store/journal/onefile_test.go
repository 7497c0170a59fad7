package journal

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"inkwell/store"
)

// storeBlock is a block of a configuration in which all blocks write one file.
type storeBlock struct {
	name       string
	patterns   []string // nil: it is for the category of its name
	categories []string
}

// useOneFile starts a run in which the outlets of the blocks, created in order, have the same file on the shelf.
func (l *life) useOneFile(away *atomic.Bool, blocks ...storeBlock) {
	route := func(category []byte) (queues []*Outlet) {
		for _, b := range blocks {
			for _, c := range b.categories {
				if c != string(category) {
					continue
				}
				o := OutletOptions{Name: b.name, Category: own(b.name, b.patterns), Patterns: b.patterns,
					Store: "file x", Single: true, Target: 1, Interval: time.Millisecond, Check: time.Hour,
					Open: func(saved store.States) (store.Store, error) {
						return l.shelf.open("x", saved, func(op string) error {
							if op == "append" && away.Load() {
								return errors.New("away")
							}
							return nil
						})
					}}
				queues = append(queues, l.j.NewOutlet(o))
			}
		}
		return queues
	}
	l.j.Start(routes(func() {
		for _, b := range blocks {
			for _, c := range b.categories {
				route([]byte(c))
			}
		}
	}, route, "a", "b", "c"))
}

// Entries that wait for a file are not lost when its block gets another name because a category was added to it.
func TestAFileWhoseBlockIsCalledOtherwise(t *testing.T) {
	two := storeBlock{name: "a b", patterns: []string{"a", "b"}, categories: []string{"a", "b"}}
	three := storeBlock{name: "a b c", patterns: []string{"a", "b", "c"}, categories: []string{"a", "b", "c"}}
	one := storeBlock{name: "a", categories: []string{"a"}}
	for name, blocks := range map[string][]storeBlock{"one more": {two, three}, "a list": {one, two}} {
		t.Run(name, func(t *testing.T) {
			l, w := joined(t)
			var away atomic.Bool
			l.useOneFile(&away, blocks[0])
			w.write(t, l, "a", 2)
			until(t, "a", func() bool { return l.shelf.get("x") == lines("a", 0, 2) })
			away.Store(true)
			w.write(t, l, "a", 3)
			l.j.Stop(10 * time.Second)
			away.Store(false)
			l.useOneFile(&away, blocks[1])
			l.end(t)
			expect(t, l.shelf, "x", lines("a", 0, 5))
		})
	}
}

// Blocks that write one file share its outlet, whichever of them created it. Its pending entries are not lost when
// another block creates it in the next run.
func TestBlocksThatWriteOneFile(t *testing.T) {
	l, w := joined(t)
	var away atomic.Bool
	a, b := storeBlock{name: "a", categories: []string{"a"}}, storeBlock{name: "b", categories: []string{"b"}}
	l.useOneFile(&away, a, b)
	w.write(t, l, "a", 2)
	until(t, "a", func() bool { return l.shelf.get("x") == lines("a", 0, 2) })
	away.Store(true)
	w.write(t, l, "b", 3)
	w.write(t, l, "a", 3)
	l.j.Stop(10 * time.Second)
	away.Store(false)
	l.useOneFile(&away, b, a)
	l.end(t)
	expect(t, l.shelf, "x", lines("a", 0, 2)+lines("b", 0, 3)+lines("a", 2, 5))
}
