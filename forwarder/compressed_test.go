package forwarder

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pack compresses a file as logrotate does it: with a real program, and the time of the file.
func (r *rig) pack(name, tool string) {
	r.t.Helper()
	args := map[string][]string{
		"gz": {"gzip", name}, "zst": {"zstd", "-q", "--rm", name}, "bz2": {"bzip2", name}, "xz": {"xz", name},
		"zip": {"sh", "-c", fmt.Sprintf("zip -q %s.zip %s && rm %s", name, name, name)},
	}[tool]
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = r.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// TestCompressed: what was rotated and compressed while the forwarder was down or behind is read from the compressed file.
func TestCompressed(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  func(r *rig) []string
	}{
		{"the file that was being read", func(r *rig) []string {
			r.write("a.log", "1\n2\n")
			r.start()
			r.wantLines("1\n", "2\n")
			r.stop()
			r.write("a.log", "3\n")
			r.rename("a.log", "a.log.1")
			r.pack("a.log.1", "gz")
			r.write("a.log", "4\n")
			r.start()
			return []string{"1\n", "2\n", "3\n", "4\n"}
		}},
		{"several in a row, in all formats, above old archives", func(r *rig) []string {
			r.write("a.log.9", "old, not to be read\n")
			r.pack("a.log.9", "gz")
			r.write("a.log", "1\n")
			r.start()
			r.wantLines("1\n")
			r.stop()
			want := []string{"1\n"}
			for i, tool := range []string{"gz", "zst", "bz2", "xz", "zip"} {
				lines := numbered("line", i*1000, i*1000+1000)
				want = append(want, lines...)
				r.write("a.log", joined(lines))
				time.Sleep(10 * time.Millisecond)
				r.rename("a.log", fmt.Sprintf("a.log.%d", 8-i))
				r.pack(fmt.Sprintf("a.log.%d", 8-i), tool)
			}
			r.write("a.log", "last\n")
			r.start()
			return append(want, "last\n")
		}},
		{"the next one of a log that was read to its end", func(r *rig) []string {
			r.write("a.log", "1\n")
			r.start()
			r.wantLines("1\n")
			r.rename("a.log", "a.log.1")
			r.write("a.log", "2\n")
			r.until("2", func() bool { return r.store.count("c") == 2 })
			r.pack("a.log.1", "gz")
			r.stop()
			r.rename("a.log.1.gz", "a.log.2.gz")
			r.rename("a.log", "a.log.1")
			r.pack("a.log.1", "gz")
			r.write("a.log", "3\n")
			r.rename("a.log.2.gz", "a.log.3.gz")
			r.rename("a.log.1.gz", "a.log.2.gz")
			time.Sleep(10 * time.Millisecond)
			r.rename("a.log", "a.log.1")
			r.pack("a.log.1", "gz")
			r.write("a.log", "4\n")
			r.start()
			return []string{"1\n", "2\n", "3\n", "4\n"}
		}},
		{"copytruncate", func(r *rig) []string {
			r.write("a.log", "1\n")
			r.start()
			r.wantLines("1\n")
			r.stop()
			for i := 2; i < 5; i++ {
				r.write("a.log", fmt.Sprintf("%d\n", i))
				time.Sleep(10 * time.Millisecond)
				name := fmt.Sprintf("a.log-2026112%d", i)
				r.copy("a.log", name)
				r.truncate("a.log")
				r.pack(name, "gz")
			}
			r.write("a.log", "5\n")
			r.start()
			return []string{"1\n", "2\n", "3\n", "4\n", "5\n"}
		}},
		{"a date before the extension, and a last line without an end", func(r *rig) []string {
			r.write("a.log", "1\n")
			r.start()
			r.wantLines("1\n")
			r.stop()
			r.write("a.log", "2")
			r.rename("a.log", "a-2026-11-28.log")
			r.pack("a-2026-11-28.log", "gz")
			r.write("a.log", "3\n")
			r.start()
			return []string{"1\n", "2\n", "3\n"}
		}},
		{"a pattern that matches the rotated and the compressed files", func(r *rig) []string {
			r.inputs[0].Glob = r.path("a.log*")
			r.write("a.log", "1\n")
			r.start()
			r.wantLines("1\n")
			r.stop()
			for i := 2; i < 4; i++ {
				r.write("a.log", fmt.Sprintf("%d\n", i))
				time.Sleep(10 * time.Millisecond)
				r.rename("a.log", fmt.Sprintf("a.log.%d", 9-i))
				r.pack(fmt.Sprintf("a.log.%d", 9-i), "gz")
			}
			r.write("a.log", "4\n")
			r.start()
			return []string{"1\n", "2\n", "3\n", "4\n"}
		}},
		{"a pattern that matches a new name for each day", func(r *rig) []string {
			r.inputs[0].Glob = r.path("a-*.log")
			r.write("a-28.log", "1\n")
			r.start()
			r.wantLines("1\n")
			r.stop()
			r.write("a-28.log", "2\n")
			r.pack("a-28.log", "gz")
			r.write("a-29.log", "3\n")
			r.start()
			r.until("3", func() bool { return r.store.count("c") == 3 })
			return nil
		}},
		{"names that count up and are compressed, as winston-daily-rotate-file has them", func(r *rig) []string {
			r.inputs[0].Glob = r.path("a-*.log")
			var want []string
			grow := func(i int) {
				name := "a-28.log"
				if i > 0 {
					name = fmt.Sprintf("a-28.%d.log", i)
				}
				lines := numbered("line", i*10, i*10+10)
				want = append(want, lines...)
				r.write(name, joined(lines))
			}
			grow(0)
			r.start()
			for i := 1; i < 6; i++ {
				r.until("all", func() bool { return r.store.count("c") == len(want) })
				if i == 4 {
					r.stop()
				}
				name := "a-28.log"
				if i > 1 {
					name = fmt.Sprintf("a-28.%d.log", i-1)
				}
				grow(i)
				r.pack(name, "gz")
				if i == 4 {
					r.start()
				}
			}
			return want
		}},
		{"while it runs, and nothing comes twice", func(r *rig) []string {
			var want []string
			want = append(want, "first\n")
			r.write("a.log", want[0])
			r.start()
			r.wantLines(want...)
			for i := range 5 {
				lines := numbered("line", i*100, i*100+100)
				want = append(want, lines...)
				r.write("a.log", joined(lines))
				r.rename("a.log", fmt.Sprintf("a.log.%d", 9-i))
				if i > 0 {
					r.pack(fmt.Sprintf("a.log.%d", 9-i+1), "gz") // delaycompress
				}
				if i%2 == 0 {
					r.until("all", func() bool { return r.store.count("c") == len(want) })
				}
			}
			return want
		}},
		{"while it is behind, at once", func(r *rig) []string {
			r.write("a.log", "1\n")
			r.start()
			r.wantLines("1\n")
			r.store.mu.Lock()
			block := make(chan struct{})
			r.store.block = block
			r.store.mu.Unlock()
			for i := 2; i < 6; i++ {
				r.write("a.log", fmt.Sprintf("%d\n", i))
				r.rename("a.log", fmt.Sprintf("a.log.%d", 9-i))
				r.pack(fmt.Sprintf("a.log.%d", 9-i), "gz")
				time.Sleep(10 * time.Millisecond)
			}
			r.settle()
			r.store.mu.Lock()
			r.store.block = nil
			r.store.mu.Unlock()
			close(block)
			return []string{"1\n", "2\n", "3\n", "4\n", "5\n"}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "a.log")
			want := tt.run(r)
			if want == nil {
				return
			}
			r.wantLines(want...)
			for range 2 {
				r.stop()
				r.start() // and nothing comes again
				r.wantLines(want...)
			}
			if n := r.counter("files lost"); n > 0 {
				t.Errorf("%d files are counted as lost", n)
			}
		})
	}
}

// TestKilledInACompressedFile kills the forwarder again and again while it reads large compressed files.
func TestKilledInACompressedFile(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a.log")
	r.write("a.log", "first\n")
	r.start()
	r.wantLines("first\n")
	r.stop()
	want := []string{"first\n"}
	for i := range 3 {
		lines := numbered("line", i*300_000, i*300_000+300_000)
		want = append(want, lines...)
		r.write("a.log", joined(lines))
		r.rename("a.log", fmt.Sprintf("a.log.%d", 3-i))
		r.pack(fmt.Sprintf("a.log.%d", 3-i), []string{"gz", "zst", "gz"}[i])
	}
	r.write("a.log", "last\n")
	want = append(want, "last\n")
	for have := -1; r.store.count("c") < len(want); {
		r.start()
		r.until("more", func() bool { return r.store.count("c") > have })
		have = r.store.count("c") + 200_000
		r.stop()
		have = min(have, len(want)-1)
	}
	r.start()
	r.wantLines(want...)
}

// TestDamagedCompressedFile: what is before the damage is read, and the rest is told and counted.
func TestDamagedCompressedFile(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a.log")
	r.timing.window = 300 * time.Millisecond
	r.write("a.log", "first\n")
	r.start()
	r.wantLines("first\n")
	r.stop()
	lines := numbered("line", 0, 100_000)
	r.write("a.log", joined(lines))
	r.rename("a.log", "a.log.1")
	r.pack("a.log.1", "gz")
	l, err := os.Stat(r.path("a.log.1.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(r.path("a.log.1.gz"), l.Size()/2); err != nil {
		t.Fatal(err)
	}
	r.write("a.log", "last\n")
	r.start()
	r.until("the last line", func() bool {
		got := r.store.get("c")
		return got[len(got)-1] == "last\n"
	})
	got := r.store.get("c")
	for i, line := range got[1 : len(got)-2] { // the line before the last one is cut
		if line != lines[i] {
			t.Fatalf("%q is not %q", line, lines[i])
		}
	}
	if len(got) < 1000 || r.counter("files lost") != 1 || !strings.Contains(r.logs.String(), "compressed file is damaged") {
		t.Errorf("%d lines, %d files lost", len(got), r.counter("files lost"))
	}
}

// TestCompressionThatIsRunning waits for a compressed file that is still being written.
func TestCompressionThatIsRunning(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a.log")
	r.write("a.log", "first\n")
	r.start()
	r.wantLines("first\n")
	r.stop()
	lines := numbered("line", 0, 100_000)
	r.write("a.log", joined(lines))
	r.rename("a.log", "a.log.1")
	r.pack("a.log.1", "gz")
	data, err := os.ReadFile(r.path("a.log.1.gz"))
	if err != nil {
		t.Fatal(err)
	}
	r.remove("a.log.1.gz")
	r.write("a.log", "last\n")
	r.write("a.log.1.gz", string(data[:1000]))
	r.start()
	for at := 1000; at < len(data); at += len(data) / 5 {
		r.settle()
		if n := r.store.count("c"); n > 1 {
			t.Fatalf("%d lines came before the compression had ended", n)
		}
		r.write("a.log.1.gz", string(data[at:min(at+len(data)/5, len(data))]))
	}
	r.wantLines(append(append([]string{"first\n"}, lines...), "last\n")...)
}

// TestOldArchivesAreNotDecompressed: only where something is missing the content of compressed files is looked at.
func TestOldArchivesAreNotDecompressed(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a.log")
	for i := range 20 {
		name := fmt.Sprintf("a.log-202611%02d.gz", i)
		r.write(name, "\x1f\x8b\x08 this is no compressed file\n")
	}
	r.write("a.log", "1\n")
	for range 3 {
		r.start()
		r.wantLines("1\n")
		r.stop()
	}
	if strings.Contains(r.logs.String(), "damaged") {
		t.Error("an old archive was looked into")
	}
	if names, err := filepath.Glob(r.path("*.gz")); err != nil || len(names) != 20 {
		t.Error(names, err)
	}
}

// TestCompressedReplacement replaces a log by another file that is rotated and compressed at once, while nothing, little
// or all of the first one was read: nothing comes twice.
func TestCompressedReplacement(t *testing.T) {
	for _, n := range []int{3, 2000} { // much less and much more than two fingerprints
		for _, blocked := range []bool{true, false} {
			t.Run(fmt.Sprint(n, blocked), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, "a.log")
				lines := numbered("line", 0, n+4)
				r.write("a.log", "")
				r.start()
				r.settle()
				s := styles{rig: r}
				s.block(blocked)
				r.write("a.log", joined(lines[:n]))
				r.settle()
				r.copy("a.log", "b.tmp")
				r.write("b.tmp", joined(lines[n:n+3]))
				r.copy("b.tmp", "a.1.tmp")
				r.pack("a.1.tmp", "gz") // beforehand, so that no look finds what follows half done
				r.rename("a.1.tmp.gz", "c.tmp")
				r.rename("b.tmp", "a.log")
				r.rename("c.tmp", "a.log.1.gz")
				r.remove("a.log")
				r.write("a.log", lines[n+3])
				r.settle()
				s.block(false)
				r.wantLines(lines...)
				r.stop()
				r.start()
				r.wantLines(lines...)
			})
		}
	}
}
