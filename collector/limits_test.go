package collector

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"inkwell/proto"
	"inkwell/store"
)

// descriptorsBelow counts the open files of this process that are below a directory, but for those of its state.
func descriptorsBelow(t *testing.T, dir string) (n int) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if path, err := os.Readlink(link); err == nil && strings.HasPrefix(path, dir+"/") && !strings.Contains(path, "/.inkwell") {
			n++
		}
	}
	return n
}

// The categories that a limit of open files leaves room for can all be written, with every connection open.
func TestDescriptorsAreEnough(t *testing.T) {
	const connections, want = 200, 100
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	})
	const room = 140 // open files for categories
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: connections + otherDescriptors + room, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c, stop := launch(t, Options{Files: store.FilesOptions{Dir: dir, MaxCategories: want}, Limits: Limits{MaxConnections: connections}})
	var pairs []string
	for i := range want {
		pairs = append(pairs, fmt.Sprintf("c%d", i), "x\n")
	}
	if code, err := dial(t, c).Log(context.Background(), []*proto.Batch{batch(pairs...)}); code != proto.OK || err != nil {
		t.Fatal(code, err)
	}
	for deadline := time.Now().Add(30 * time.Second); c.stats.Get("scribe_overall:written") < want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d entries are written", c.stats.Get("scribe_overall:written"))
		}
	}
	if n := descriptorsBelow(t, dir); n < room/2 || n > room {
		t.Errorf("%d open files of categories, there is room for %d", n, room)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(contents(t, dir, "_overflow"), "\n"); got == 0 {
		t.Error("nothing is in _overflow")
	}
}
