package plain

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tree returns the content of a directory, "name=content" or "name->target", in byte order.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if e.Type() == os.ModeSymlink {
			target, err := os.Readlink(path)
			all = append(all, name+"->"+target)
			return err
		}
		data, err := os.ReadFile(path)
		all = append(all, name+"="+string(data))
		return err
	}))
	slices.Sort(all)
	return strings.Join(all, " ")
}
