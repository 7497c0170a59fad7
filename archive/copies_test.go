package archive

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// What a file has that is removed between Once and the reading is left out of others: that is an error, not a gap.
func TestOnceOfARemovedFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "web")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "web-2026-11-29_00000")
	if err := os.WriteFile(path, []byte("a\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	q := new(Query)
	if err := q.Prepare(); err != nil {
		t.Fatal(err)
	}
	file := File{Path: path, Size: 4}
	if doubt, err := q.Once(t.Context(), []*File{&file}); err != nil || doubt != 0 {
		t.Fatal(doubt, err)
	}
	var text string
	read := func() error {
		return q.Series(t.Context(), []File{file}, func(c *Chunk) error { text += string(c.Data); return nil })
	}
	if err := read(); err != nil || text != "a\nb\n" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := read(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a removed file: %v", err)
	}
}
