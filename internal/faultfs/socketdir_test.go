package faultfs

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestMakeSocketDir: what is missing is made so that everybody can pass, whatever the umask; what is there stays as it
// is.
func TestMakeSocketDir(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	top := t.TempDir()
	dir := filepath.Join(top, "inkwell")
	for _, want := range []bool{true, false} {
		if made, err := MakeSocketDir(filepath.Join(dir, "sock")); err != nil || made != want {
			t.Errorf("made %v, %v, want %v", made, err, want)
		}
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%v, %v", info, err)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if made, err := MakeSocketDir(filepath.Join(dir, "sock")); err != nil || made {
		t.Errorf("made %v, %v", made, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the mode of a directory that was there became %v, %v", info, err)
	}
	file := filepath.Join(top, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := MakeSocketDir(filepath.Join(file, "below", "sock")); err == nil {
		t.Error("a directory below a file was made")
	}
}
