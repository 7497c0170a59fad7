package store

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"inkwell/internal/faultfs"
)

// halfSaved is a disk that takes a checkpoint and not its copy, whose next sync of an output file fails, and that is gone for good once
// the file was cut back for that.
type halfSaved struct {
	mu                   sync.Mutex
	noCopy, noSync, last bool
	dead                 bool
	attempts             int // to save a checkpoint
}

func (h *halfSaved) Inject(op faultfs.Op, name string, n int) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	output := strings.HasPrefix(name, ".c-")
	switch {
	case op == faultfs.OpRead || op == faultfs.OpOpen:
		if name == "."+checkpointName+".tmp" {
			h.attempts++
		}
	case h.dead:
		return 0, syscall.EIO
	case h.noCopy && op == faultfs.OpWrite && strings.Contains(name, checkpointName+copySuffix):
		return 0, syscall.ENOSPC
	case h.noSync && op == faultfs.OpSync && output:
		h.noSync, h.last = false, true
		return 0, syscall.EIO
	case h.last && op == faultfs.OpTruncate && output:
		h.dead = true
	}
	return n, nil
}

func (h *halfSaved) do(f func()) { h.mu.Lock(); defer h.mu.Unlock(); f() }

func (h *halfSaved) is(f func() bool) bool { h.mu.Lock(); defer h.mu.Unlock(); return f() }

// TestFilesStandByACheckpointThatFailed brings a category back while it is not known whether the last checkpoint was saved, and kills the
// process then: the next one may find that it was.
func TestFilesStandByACheckpointThatFailed(t *testing.T) {
	dir := t.TempDir()
	disk := &halfSaved{}
	f := open(t, FilesOptions{Dir: dir, Injector: disk, KeepOpen: true, maxAge: time.Millisecond,
		cutEvery: 2 * time.Millisecond, idleWait: time.Millisecond, retryMin: time.Millisecond})
	mustAppend(t, f, numbered("c", 0, "one\n"))
	eventually(t, "a checkpoint", func() bool { bytes, _ := f.Backlog(); return bytes == 0 })

	disk.do(func() { disk.noCopy = true })
	before, err := os.ReadFile(filepath.Join(dir, ".inkwell", checkpointName))
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, f, numbered("c", 1, "two\n"))
	eventually(t, "half a checkpoint", func() bool {
		now, err := os.ReadFile(filepath.Join(dir, ".inkwell", checkpointName))
		return err == nil && string(now) != string(before) && f.Status() != ""
	})
	var then int
	disk.do(func() { disk.noSync, then = true, disk.attempts })
	mustAppend(t, f, numbered("c", 2, "three\n"))
	eventually(t, "a failed sync", func() bool { return disk.is(func() bool { return disk.last }) })
	eventually(t, "more attempts to save a checkpoint", func() bool { return disk.is(func() bool { return disk.attempts > then+5 || disk.dead }) })
	disk.do(func() { disk.noCopy = false })
	eventually(t, "the end", func() bool { return disk.is(func() bool { return disk.dead }) })
	if err := f.Close(); err == nil {
		t.Error("Close reported no error")
	}

	closeFiles(t, open(t, FilesOptions{Dir: dir}))
	if got, want := published(t, dir, "c"), "one\ntwo\nthree\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
