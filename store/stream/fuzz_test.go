package stream

import (
	"testing"

	"inkwell/internal/faultfs"
)

// FuzzLine: a line of the table that is accepted can be used, and is written back unchanged.
func FuzzLine(f *testing.F) {
	const id = "000102030405060708090a0b0c0d0e0f"
	for _, seed := range []string{id + ` 1795996800 0-99,200-299 "web"`, id + ` 0  ""`, id + ` -1 5 "a b\""`, id +
		` 9223372036854775807 0-9223372036854775806 "x"`, id + ` 1 1,2 "touch"`, `x`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		dir, err := faultfs.OpenDir(t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		tab, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer tab.Close()
		if tab.read(body) != nil {
			if len(tab.streams) > 0 || tab.ranges > 0 {
				t.Fatalf("%q is refused, and leaves something", body)
			}
			return
		}
		for _, e := range tab.streams {
			p := e.categories[0]
			if p.presentCount != p.present.Count() || p.presentCount < 0 || p.holes() < 0 || tab.ranges != p.cost() ||
				tab.categories != 1 {
				t.Errorf("%q: %d numbers, %d holes, size %d", body, p.presentCount, p.holes(), tab.ranges)
			}
			line := p.appendTo(nil)
			if err := tab.read(line); err != nil || tab.categories != 1 || string(p.appendTo(nil)) != string(line) {
				t.Errorf("%q is written as %q, and read as %q, %v", body, line, p.appendTo(nil), err)
			}
		}
		tab.forget(1 << 62)
		if len(tab.streams) == 0 && (tab.ranges != 0 || tab.categories != 0) {
			t.Errorf("%q: size %d is left of nothing", body, tab.ranges)
		}
	})
}
