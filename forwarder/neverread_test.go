package forwarder

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestPeriodsThatNobodyFollowed has a writer that begins a new file each day and compresses the old one, as Logback and winston do. While
// the forwarder is not running, whole days pass. It is killed again and again while it catches up.
func TestPeriodsThatNobodyFollowed(t *testing.T) {
	t.Parallel()
	r := newRig(t, "app-*.log", "**/web.{day}.log")
	r.write("app-01.log", "an old archive\n")
	r.pack("app-01.log", "gz")
	r.write("app-02.log", "a\n")
	r.write("web.02.log", "w\n")
	r.start()
	r.until("what is there", func() bool { return r.store.count("c") == 2 })
	r.stop()
	r.write("app-02.log", "b\n")
	r.pack("app-02.log", "gz")
	want := []string{"a\n", "b\n", "w\n"}
	time.Sleep(2 * clockTick)
	for i, tool := range []string{"gz", "zst", "bz2", "xz", "zip"} {
		lines := numbered("line", i*20_000, i*20_000+20_000)
		want = append(want, lines...)
		name := []string{"app-%02d.log", "web.%02d.log"}[i%2]
		name = fmt.Sprintf(name, i+3)
		r.write(name, joined(lines))
		r.pack(name, tool)
	}
	r.write("app-08.log", "last\n")
	want = append(want, "last\n")
	for have := -1; r.store.count("c") < len(want); {
		r.start()
		r.until("more", func() bool { return r.store.count("c") > have })
		have = min(r.store.count("c")+8_000, len(want)-1)
		r.stop()
	}
	slices.Sort(want)
	for range 3 {
		r.start()
		r.settle()
		r.stop()
		if got := slices.Sorted(slices.Values(r.store.get("c"))); !slices.Equal(got, want) { // their order is that within a path
			t.Fatalf("%d lines, want %d", len(got), len(want))
		}
		r.rename("app-03.log.gz", "app-03.log.old.gz") // nothing comes again, whatever is done to the archives
		r.rename("app-03.log.old.gz", "app-03.log.gz")
	}
	if n := r.counter("files lost"); n > 0 {
		t.Errorf("%d files are counted as lost", n)
	}
}
