package test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"inkwell/test/harness"
)

// asRotatelogs is the program by the name of rotatelogs.
func asRotatelogs(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rotatelogs")
	if err := os.Chmod(filepath.Dir(filepath.Dir(path)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(ink.Path, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// logFiles reads the files of a log in the order of their names. Each must end with a whole line, and hold no more than max bytes.
func logFiles(t *testing.T, pattern string, max int) (names []string, lines [][]byte) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) == 0 || data[len(data)-1] != '\n' {
			t.Errorf("%s has %d bytes and does not end with a line", name, len(data))
		}
		if len(data) > max {
			t.Errorf("%s has %d bytes, more than %d", name, len(data), max)
		}
		lines = append(lines, slices.Collect(bytes.Lines(data))...)
	}
	return names, lines
}

// written waits until the files of a log hold n lines: a logger goes on behind its parent.
func written(t *testing.T, pattern string, n int) {
	t.Helper()
	harness.Until(t, "the lines are in the files", func() bool {
		names, err := filepath.Glob(pattern)
		lines := 0
		for _, name := range names {
			data, rerr := os.ReadFile(name)
			err = errors.Join(err, rerr)
			lines += bytes.Count(data, []byte("\n"))
		}
		return err == nil && lines >= n
	})
}

func TestApacheLogsThroughRotatelogs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, args, pattern string
		max                 int
	}{
		{"time", "-l %s/access.%%Y-%%m-%%d-%%H_%%M_%%S 1", "access.*", 1 << 30},
		{"size", "-f %s/access.log 64K", "access.log.*", 64 << 10},
		{"both", "-v -L %s/current %[1]s/access.%%H%%M 60 100K", "access.*", 100 << 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			logs := filepath.Join(root, "logs")
			if err := os.MkdirAll(logs, 0o777); err != nil {
				t.Fatal(err)
			}
			h := startHTTPD(t, root, "|"+asRotatelogs(t)+" "+fmt.Sprintf(c.args, logs))
			asked := 0
			for range 3 {
				n, err := h.drive(t.Context(), amount(10_000))
				if err != nil {
					t.Fatal(err)
				}
				asked += n
				h.drained(t)
			}
			h.Stop(t)
			truth := h.truth(t)
			if len(truth) < asked {
				t.Errorf("ab counts %d requests, Apache %d", asked, len(truth))
			}
			pattern := filepath.Join(logs, c.pattern)
			written(t, pattern, len(truth))
			names, lines := logFiles(t, pattern, c.max)
			sameLines(t, lines, truth)
			if len(names) < 2 {
				t.Errorf("only %q", names)
			}
			for _, name := range names[:len(names)-1] {
				if st, err := os.Stat(name); c.name == "size" && (err != nil || st.Size() < 32<<10) {
					t.Errorf("%s is changed too early: %v, %v", name, st.Size(), err)
				}
			}
		})
	}
}

// TestRotatelogsIsToldToEnd gives SIGTERM to one after the other, while a writer is at work that does not care: each ends with a whole
// line, and the next goes on with what is left in the pipe.
func TestRotatelogsIsToldToEnd(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stop, sent := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for end := false; !end; n += 100 {
			feed(t, w, "rl", n, n+100)
			select {
			case <-stop:
				end = true
			case <-time.After(time.Millisecond):
			}
		}
		w.Close()
		sent <- n
	}()
	var p *harness.Process
	for round := range 3 {
		size := sizeOf(log)
		p = ink.Start(t, harness.Command{Args: []string{"rotatelogs", "-n", "1", log, "1G"}, Stdin: r})
		harness.Until(t, "lines are written", func() bool { return sizeOf(log) > size+1000 }) // so it handles signals
		if round < 2 {
			p.Signal(syscall.SIGTERM)
			p.Expect(t, 0)
			if data, err := os.ReadFile(log); err != nil || !bytes.HasSuffix(data, []byte("\n")) {
				t.Errorf("the file does not end with a line: %v", err)
			}
		}
	}
	close(stop)
	n := <-sent
	p.Expect(t, 0)
	got, err := os.ReadFile(log)
	if want := harness.Lines("rl", 0, n); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v; want %d, equal up to %d", len(got), err, len(want), common(got, want))
	}
}

// TestApacheRestartsGracefully ends its logger while its old children still answer: what they log is there as well.
func TestApacheRestartsGracefully(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	logs := filepath.Join(root, "logs")
	if err := os.MkdirAll(logs, 0o777); err != nil {
		t.Fatal(err)
	}
	h := startHTTPD(t, root, fmt.Sprintf("|%s %s/access.log 86400", asRotatelogs(t), logs))
	pattern := filepath.Join(logs, "access.log.*")
	var load sync.WaitGroup
	const rounds = 3
	load.Go(func() {
		for range rounds {
			if _, err := h.drive(t.Context(), amount(10_000)); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range rounds {
		harness.Until(t, "requests come in", func() bool { return len(h.truth(t)) > i*amount(10_000)+amount(10_000)/4 || t.Failed() })
		// A logger that is only being started does not handle signals yet, and SIGTERM ends it with what is in its pipe.
		written(t, pattern, len(h.truth(t)))
		h.graceful(t)
	}
	load.Wait()
	h.drained(t)
	truth := h.truth(t)
	h.Stop(t)
	written(t, pattern, len(truth))
	_, lines := logFiles(t, pattern, 1<<30)
	sameLines(t, lines, truth)
}

// sizeOf is the size of a file, 0 if there is none.
func sizeOf(path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return st.Size()
}

// TestRotatelogsOnAFullDisk loses nothing of what it has read, and truncates nothing.
func TestRotatelogsOnAFullDisk(t *testing.T) {
	t.Parallel()
	d := newDisk(t, 1)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := ink.Start(t, harness.Command{Args: []string{"rotatelogs", d.at("log.%Y"), "400K"}, Stdin: r})
	n := 20_000 // some 4 MB
	feed(t, w, "rl", 0, n)
	harness.Until(t, "it says that the disk is full", func() bool { return strings.Contains(p.Stderr(), "no space left") })
	before := contents(t, d)
	want := harness.Lines("rl", 0, n)
	if len(before) < 900<<10 || !bytes.HasPrefix(want, before) {
		t.Errorf("%d bytes are on the full disk, the same up to %d", len(before), common(before, want))
	}
	d.grow(t, 10)
	if err := errors.Join(w.Close(), r.Close()); err != nil {
		t.Fatal(err)
	}
	p.Expect(t, 0)
	if got := contents(t, d); !bytes.Equal(got, want) {
		t.Errorf("%d bytes, want %d, equal up to %d", len(got), len(want), common(got, want))
	}
	if lines := strings.Count(p.Stderr(), "\n"); lines > 4 {
		t.Errorf("says %d lines:\n%s", lines, p.Stderr())
	}
}

// contents is what the files of the disk hold, in the order in which they were written.
func contents(t *testing.T, d disk) (all []byte) {
	t.Helper()
	names, err := filepath.Glob(d.at("log.*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 400<<10 {
			t.Errorf("%s has %d bytes", name, len(data))
		}
		all = append(all, data...)
	}
	return all
}

// TestRotatelogsLeavesNoZombies runs a program behind each of many changes.
func TestRotatelogsLeavesNoZombies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := ink.Start(t, harness.Command{Args: []string{"rotatelogs", "-n", "3", "-p", "/bin/true", filepath.Join(dir, "log"), "10B"}, Stdin: r})
	for i := range 50 {
		if _, err := fmt.Fprintf(w, "line %04d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	harness.Until(t, "no child is left", func() bool {
		data, err := os.ReadFile(filepath.Join(dir, "log.1"))
		if err != nil || !strings.Contains(string(data), "0049") {
			return false
		}
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", p.PID()))
		return err == nil && len(bytes.TrimSpace(children)) == 0
	})
	if err := errors.Join(w.Close(), r.Close()); err != nil {
		t.Fatal(err)
	}
	p.Expect(t, 0)
}
