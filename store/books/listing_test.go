package books

import (
	"os"
	"path/filepath"
	"testing"
)

// TestManifestsDoNotGrowWithStarts: the books' own file tells of files that have their lines until it is written anew;
// a start does not list them again.
func TestManifestsDoNotGrowWithStarts(t *testing.T) {
	m := newModel(t, 1)
	w := m.now["c0 → out"]
	m.write(w)
	w.finish()
	m.checkpoint(0, func() bool { return true })
	path := filepath.Join(m.out, "c0", Manifest)
	before, err := os.ReadFile(path)
	must(t, err)
	if len(before) == 0 {
		t.Fatal("nothing is listed")
	}
	for range 3 {
		must(t, m.books.Close())
		m.open()
		if len(m.books.accounts) == 0 {
			t.Fatal("the books' own file tells of nothing any more")
		}
		m.checkpoint(0, func() bool { return true })
	}
	after, err := os.ReadFile(path)
	must(t, err)
	if string(after) != string(before) {
		t.Errorf("the manifest was\n%s\nand is\n%s", before, after)
	}
}
