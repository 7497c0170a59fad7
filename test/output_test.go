package test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"inkwell/test/harness"
)

// TestDurability has what was answered OK come out after a SIGKILL in sync and write, and after a clean stop in all three.
func TestDurability(t *testing.T) {
	t.Parallel()
	for _, durability := range []string{"sync", "write", "memory"} {
		t.Run(durability, func(t *testing.T) {
			t.Parallel()
			dir, n := t.TempDir(), 0
			c := ink.Collect(t, dir, "--durability", durability)
			send := func() {
				s := dialScribe(t, c.Addr)
				for range 50 {
					logLines(t, s, "cat", "src", n, n+100)
					n += 100
				}
			}
			send()
			if durability == "memory" { // a killed process may lose it; a stopped one not
				c.Stop(t)
			} else {
				c.Kill()
			}
			c.Restart(t)
			send()
			c.Stop(t)
			harness.Clean(t, dir)
			harness.Audit(t, dir, "cat").Exactly(t, map[string]int{"src": n})
		})
	}
}

// TestKilledInMemoryMode may lose lines but spoils nothing: what comes out is whole, in order, and once.
func TestKilledInMemoryMode(t *testing.T) {
	t.Parallel()
	dir, n := t.TempDir(), 0
	c := ink.Collect(t, dir, "--durability", "memory")
	for range 4 {
		s := dialScribe(t, c.Addr)
		for range 20 {
			logLines(t, s, "cat", "src", n, n+200)
			n += 200
		}
		c.Kill()
		c.Restart(t)
	}
	logLines(t, dialScribe(t, c.Addr), "cat", "src", n, n+1)
	c.Stop(t)
	harness.Clean(t, dir)
	l := harness.Audit(t, dir, "cat")
	l.Known(t, func(source string) bool { return source == "src" })
	if a := l.Of("src"); a.Twice > 0 || a.Late > 0 || a.Count(n) != 1 {
		t.Errorf("%d lines twice, %d out of order; the last one %d times", a.Twice, a.Late, a.Count(n))
	}
}

// TestRotationByClock begins new files every two seconds, for every codec; each is finished while the collector runs.
func TestRotationByClock(t *testing.T) {
	t.Parallel()
	for codec, suffix := range map[string]string{"gzip": `\.gz`, "zstd": `\.zst`, "none": ""} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			dir, n := t.TempDir(), 0
			c := ink.Collect(t, dir, "--compress", codec, "--rotate", "2s")
			s := dialScribe(t, c.Addr)
			harness.Until(t, "two files are finished", func() bool {
				logLines(t, s, "cat", "src", n, n+10)
				n += 10
				return len(harness.Published(t, dir, "cat")) >= 2
			})
			c.Stop(t)
			harness.Clean(t, dir)
			name := regexp.MustCompile(`^cat-\d{4}-\d\d-\d\dT\d\d_\d{5}` + suffix + `$`)
			for _, path := range harness.Published(t, dir, "cat") {
				if !name.MatchString(filepath.Base(path)) {
					t.Errorf("file %s", path)
				}
			}
			harness.Audit(t, dir, "cat").Exactly(t, map[string]int{"src": n})
		})
	}
}

// TestMaxSize never passes the bound, and cuts no line; a single entry that is larger has a file of its own.
func TestMaxSize(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"gzip", "zstd", "none"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			const bound = 100_000
			dir, n := t.TempDir(), 0
			c := ink.Collect(t, dir, "--compress", codec, "--max-size", "100kB", "--rotate", "never")
			s := dialScribe(t, c.Addr)
			for range 100 {
				logLines(t, s, "cat", "src", n, n+100)
				n += 100
			}
			c.Stop(t)
			harness.Clean(t, dir)
			gapless(t, dir, "cat")
			paths := harness.Published(t, dir, "cat")
			if len(paths) < 5 {
				t.Errorf("%d files only", len(paths))
			}
			for _, path := range paths {
				st, err := os.Stat(path)
				if err != nil || st.Size() > bound {
					t.Errorf("%s: %v, %v", path, st.Size(), err)
				}
				data, err := harness.Read(path)
				if err != nil || len(data) == 0 || data[len(data)-1] != '\n' {
					t.Errorf("%s: %d bytes that end inside a line, %v", path, len(data), err)
				}
			}
			harness.Audit(t, dir, "cat").Exactly(t, map[string]int{"src": n})
		})
	}
}

func TestAddNewlines(t *testing.T) {
	t.Parallel()
	messages := []string{"none", "one\n", "", "\n", "two\n\n"}
	for mode, want := range map[string]string{
		"never":      "noneone\n\ntwo\n\n",
		"always":     "none\none\n\n\n\n\ntwo\n\n\n",
		"if-missing": "none\none\n\n\ntwo\n\n",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c := ink.Collect(t, dir, "--add-newlines", mode)
			var entries []harness.Entry
			for _, m := range messages {
				entries = append(entries, harness.Entry{Category: "cat", Message: m})
			}
			mustLog(t, dialScribe(t, c.Addr), entries...)
			c.Stop(t)
			if got := string(harness.Contents(t, dir, "cat")); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// TestKeepOpen leaves the file open at a clean stop, and the next start goes on with it.
func TestKeepOpen(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"gzip", "zstd"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			dir, n := t.TempDir(), 0
			flags := []string{"--compress", codec, "--rotate", "never"}
			c := ink.Collect(t, dir, append(flags, "--keep-open")...)
			for range 3 {
				logLines(t, dialScribe(t, c.Addr), "cat", "src", n, n+100)
				n += 100
				c.Stop(t)
				if open, done := harness.Unfinished(t, dir), harness.Published(t, dir, "cat"); len(open) != 1 || len(done) != 0 {
					t.Errorf("open %q, finished %q; want one open file", open, done)
				}
				c.Restart(t)
			}
			c.Stop(t)
			ink.Collect(t, dir, flags...).Stop(t)
			harness.Clean(t, dir)
			if files := harness.Published(t, dir, "cat"); len(files) != 1 {
				t.Errorf("files %q, want one", files)
			}
			harness.Audit(t, dir, "cat").Exactly(t, map[string]int{"src": n})
		})
	}
}

// TestRetention removes the oldest finished files while all take more than --keep-bytes, and nothing else.
func TestRetention(t *testing.T) {
	t.Parallel()
	dir, n := t.TempDir(), 0
	flags := []string{"--compress", "none", "--max-size", "50kB", "--rotate", "never"}
	c := ink.Collect(t, dir, flags...)
	s := dialScribe(t, c.Addr)
	for range 20 {
		logLines(t, s, "cat", "src", n, n+100)
		n += 100
	}
	c.Stop(t)
	before := harness.Published(t, dir, "cat")
	c = ink.Collect(t, dir, append(flags, "--keep-bytes", "120kB")...)
	s = dialScribe(t, c.Addr)
	harness.Until(t, "old files are removed", func() bool {
		logLines(t, s, "cat", "src", n, n+1)
		n++
		time.Sleep(100 * time.Millisecond)
		return len(harness.Published(t, dir, "cat")) < len(before)
	})
	c.Stop(t)
	harness.Clean(t, dir)
	a := harness.Audit(t, dir, "cat").Of("src")
	first := 0
	for first < n && a.Count(first) == 0 {
		first++
	}
	if first == 0 || first == n {
		t.Errorf("the first line left is %d of %d", first, n)
	}
	for seq := first; seq < n; seq++ {
		if a.Count(seq) != 1 {
			t.Fatalf("line %d, behind the first that is left (%d), is there %d times", seq, first, a.Count(seq))
		}
	}
}
