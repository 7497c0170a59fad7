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
)

// descriptorsBelow counts the open files of this process that are below a directory.
func descriptorsBelow(t *testing.T, dir string) (n int) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if path, err := os.Readlink(link); err == nil && strings.HasPrefix(path, dir+"/") {
			n++
		}
	}
	return n
}

// The categories that a limit of open files leaves room for can all be written; the others are kept as those that are
// too many.
func TestDescriptorsAreEnough(t *testing.T) {
	const limit, want = 400, 100
	const room = (limit/2 - otherDescriptors) / descriptorsOfFiles // categories
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	})
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: limit, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o := Options{Load: filesIn(dir, fmt.Sprint("max_categories=", want)), Limits: Limits{MaxConnections: 1 << 40}}
	if err := fitDescriptors(&o); err != nil || o.Limits.MaxConnections != limit/2 {
		t.Errorf("%d connections, %v", o.Limits.MaxConnections, err)
	}
	c, stop := launch(t, o)
	var pairs []string
	for i := range want {
		pairs = append(pairs, fmt.Sprintf("c%d", i), "x\n")
	}
	if code, err := dial(t, c).Log(context.Background(), []*proto.Batch{batch(pairs...)}); code != proto.OK || err != nil {
		t.Fatal(code, err)
	}
	for deadline := time.Now().Add(30 * time.Second); c.Status().Backlog > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are not written: %s", c.Status().Backlog, c.intake.trouble())
		}
	}
	if n := descriptorsBelow(t, dir); n < room || n > limit/2 {
		t.Errorf("%d open files of %d categories, there is room for %d", n, room, limit/2)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(contents(t, dir, "_overflow"), "\n"); got != want-room {
		t.Errorf("%d are in _overflow, want %d", got, want-room)
	}
}
