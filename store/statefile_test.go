package store

import (
	"log/slog"
	"path/filepath"
	"testing"

	"inkwell/internal/faultfs"
	"inkwell/internal/faultfs/crashfs"
)

// noNames fails every sync of a directory.
type noNames struct{}

func (noNames) Inject(op faultfs.Op, _ string, n int) (int, error) {
	if op == faultfs.OpSyncDir {
		return 0, crashfs.ErrKilled
	}
	return n, nil
}

// TestStateFileStandsByWhatWasRead kills a process between the rename and the sync of a checkpoint, has the next
// process read it, and cuts the power. What was read and acted upon must be read again.
func TestStateFileStandsByWhatWasRead(t *testing.T) {
	path := t.TempDir()
	disk, err := crashfs.New(path)
	if err != nil {
		t.Fatal(err)
	}
	in := func(path string, inj faultfs.Injector) StateFile {
		dir, err := faultfs.OpenDir(path, inj)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { dir.Close() })
		return StateFile{Dir: dir, Name: "checkpoint", Log: slog.New(slog.DiscardHandler)}
	}
	read := func(s StateFile) (v string) {
		if found, err := s.Load(&v); err != nil || !found {
			t.Fatal(found, err)
		}
		return v
	}
	if err := in(path, disk.Process(nil)).Save("before"); err != nil {
		t.Fatal(err)
	}
	if err := in(path, disk.Process(noNames{})).Save("after"); err == nil {
		t.Fatal("a killed process has saved")
	}
	if got := read(in(path, disk.Process(nil))); got != "after" {
		t.Fatalf("read %q", got)
	}
	left := filepath.Join(t.TempDir(), "left")
	if err := disk.Image(left, crashfs.Cut{Names: crashfs.NoNames, Bytes: crashfs.NoBytes}); err != nil {
		t.Fatal(err)
	}
	if got := read(in(left, nil)); got != "after" {
		t.Errorf("after the power cut %q is read", got)
	}
}
