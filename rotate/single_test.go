package rotate

import (
	"os"
	"path/filepath"
	"testing"

	"inkwell/internal/faultfs"
)

// TestFileWithoutABlock is a gzip file of its own, as what is left of a file that is damaged from its beginning on.
func TestFileWithoutABlock(t *testing.T) {
	at := t.TempDir()
	dir, err := faultfs.OpenDir(at, nil)
	must(t, err)
	defer dir.Close()
	s, err := Create(dir, "a.gz", Gzip)
	must(t, err)
	must(t, s.Finish())
	must(t, s.Close())
	data, err := os.ReadFile(filepath.Join(at, "a.gz"))
	must(t, err)
	if out, err := read(t, data, Gzip, false); err != nil || len(out) > 0 {
		t.Errorf("%d bytes of %x: %v", len(out), data, err)
	}
}
