package pipelog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// rig is a Run in a synctest bubble: its clock begins at 2000-01-01 00:00:00 UTC and moves only when everybody waits.
type rig struct {
	t    *testing.T
	dir  string
	w    *io.PipeWriter
	stop context.CancelFunc
	done chan error
	said bytes.Buffer // not before the end, or after synctest.Wait
}

// start begins a log in dir; o.Name is taken below it.
func start(t *testing.T, o Options) *rig {
	t.Helper()
	g := &rig{t: t, dir: t.TempDir(), done: make(chan error, 1)}
	return g.start(o)
}

func (g *rig) start(o Options) *rig {
	o.Name = filepath.Join(g.dir, o.Name)
	if o.Link != "" {
		o.Link = filepath.Join(g.dir, o.Link)
	}
	o.Logger = slog.New(slog.NewTextHandler(&g.said, nil))
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	g.w, g.stop = w, cancel
	go func() { g.done <- Run(ctx, r, o) }()
	g.t.Cleanup(func() {
		cancel()
		w.Close()
	})
	synctest.Wait()
	return g
}

func (g *rig) write(data string) {
	g.t.Helper()
	if _, err := io.WriteString(g.w, data); err != nil {
		g.t.Fatal(err)
	}
	synctest.Wait()
}

// end closes the input and waits for the end.
func (g *rig) end() error {
	g.t.Helper()
	if err := g.w.Close(); err != nil {
		g.t.Fatal(err)
	}
	return <-g.done
}

func (g *rig) mustEnd() {
	g.t.Helper()
	if err := g.end(); err != nil {
		g.t.Errorf("ended with %v", err)
	}
}

// files is what is in the directory: names and contents.
func (g *rig) files() map[string]string {
	g.t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(g.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		found[strings.TrimPrefix(path, g.dir+"/")] = string(data)
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return found
}

func (g *rig) want(want map[string]string) {
	g.t.Helper()
	if got := g.files(); !maps.Equal(got, want) {
		g.t.Errorf("files %q\nwant  %q", got, want)
	}
}

// epoch is the clock of a bubble at its begin.
const epoch = 946684800

func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, Options{Name: "log", Every: time.Minute})
		time.Sleep(90 * time.Second)
		g.want(map[string]string{}) // nothing before there is a line
		g.write("one\ntwo\nth")
		time.Sleep(20 * time.Second)
		g.write("ree\n") // still the same interval
		time.Sleep(20 * time.Second)
		g.write("four\nfi") // the next one
		time.Sleep(time.Minute)
		g.write("ve\nsix") // the line goes where its end is
		g.mustEnd()
		g.want(map[string]string{"log.0946684860": "one\ntwo\nthree\n", "log.0946684920": "four\n", "log.0946684980": "five\nsix"})
	})
}

func TestSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, Options{Name: "log", MaxSize: 10})
		g.write("1234\n5678\n") // full to the byte
		g.write("a\nb\n")
		time.Sleep(time.Second)
		g.write("a line that is longer\n123456789\n0\n")
		g.write("x")
		g.mustEnd()
		g.want(map[string]string{
			"log.0946684800": "1234\n5678\n", "log.0946684800.1": "a\nb\n", "log.0946684801": "a line that is longer\n",
			"log.0946684801.1": "123456789\n", "log.0946684801.2": "0\nx",
		})
	})
}

// TestSizeOfFilesThatAreThere goes on with a file as far as it has room, also one of a run before.
func TestSizeOfFilesThatAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &rig{t: t, dir: t.TempDir(), done: make(chan error, 1)}
		for name, data := range map[string]string{"log.2000": "12345678\n", "log.2000.1": "1234567890\n", "log.2000.2": "123\n"} {
			if err := os.WriteFile(filepath.Join(g.dir, name), []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		g.start(Options{Name: "log.%Y", MaxSize: 10, Every: time.Hour})
		g.write("abc\n")
		g.write("defghi\n")
		g.mustEnd()
		g.want(map[string]string{"log.2000": "12345678\n", "log.2000.1": "1234567890\n", "log.2000.2": "123\nabc\n", "log.2000.3": "defghi\n"})
	})
}

func TestTimeAndSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, Options{Name: "log", MaxSize: 10, Every: time.Minute})
		time.Sleep(30 * time.Second)
		g.write("1234\n")
		time.Sleep(10 * time.Second)
		g.write("567890\n")
		time.Sleep(30 * time.Second)
		g.write("next\n")
		g.mustEnd()
		g.want(map[string]string{"log.0946684800": "1234\n", "log.0946684840": "567890\n", "log.0946684860": "next\n"})
	})
}

func TestIdleLogIsClosedAtTheEndOfItsInterval(t *testing.T) {
	for _, empty := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			var events []string
			o := Options{Name: "log", Every: time.Minute, Empty: empty, Open: func(name string, flag int) (File, error) {
				f, err := os.OpenFile(name, flag, 0o666)
				mu.Lock()
				defer mu.Unlock()
				events = append(events, fmt.Sprintf("open %d", time.Now().Unix()-epoch))
				return &spy{File: f, closed: func() {
					mu.Lock()
					defer mu.Unlock()
					events = append(events, fmt.Sprintf("close %d", time.Now().Unix()-epoch))
				}}, err
			}}
			g := start(t, o)
			time.Sleep(10 * time.Second)
			g.write("one\n")
			time.Sleep(125 * time.Second)
			g.write("two\n")
			g.mustEnd()
			want := []string{"open 10", "close 60", "open 135", "close 135"}
			if empty {
				want = []string{"open 0", "open 60", "close 60", "open 120", "close 120", "close 135"}
			}
			if !slices.Equal(events, want) {
				t.Errorf("empty %v: %q, want %q", empty, events, want)
			}
			if empty {
				g.want(map[string]string{"log.0946684800": "one\n", "log.0946684860": "", "log.0946684920": "two\n"})
			}
		})
	}
}

// spy is a file that tells of its end and can refuse to be written.
type spy struct {
	File
	closed func()
	write  func(p []byte) (allow int, err error)
}

func (s *spy) Write(p []byte) (int, error) {
	if s.write == nil {
		return s.File.Write(p)
	}
	allow, err := s.write(p)
	n, werr := s.File.Write(p[:allow])
	return n, errors.Join(err, werr)
}

func (s *spy) Close() error {
	if s.closed != nil {
		s.closed()
	}
	return s.File.Close()
}

func TestOpenNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, Options{Name: "a/b/log.%M", Every: time.Minute, OpenNow: true, MakeDirs: true})
		g.want(map[string]string{"a/b/log.00": ""})
		g.mustEnd()
	})
}

func TestTheFirstFileCannotBeOpened(t *testing.T) {
	for _, now := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			g := start(t, Options{Name: "missing/log", Every: time.Minute, OpenNow: now})
			if !now {
				g.write("line\n")
			}
			if err := <-g.done; !errors.Is(err, ErrOpen) || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "missing/log.0946684800") {
				t.Errorf("open now %v: %v", now, err)
			}
		})
	}
}

func TestTruncate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &rig{t: t, dir: t.TempDir(), done: make(chan error, 1)}
		if err := os.WriteFile(filepath.Join(g.dir, "log"), []byte("before\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		g.start(Options{Name: "log", Every: time.Minute, MaxSize: 8, Truncate: true})
		g.write("one\n")
		g.want(map[string]string{"log": "one\n"})
		g.write("two\n")
		g.want(map[string]string{"log": "one\ntwo\n"})
		g.write("three\n")
		g.want(map[string]string{"log": "three\n"})
		time.Sleep(time.Minute)
		g.write("4\n")
		g.mustEnd()
		g.want(map[string]string{"log": "4\n"})
	})
}

// TestTruncateLater empties what is left of the last time round, but neither the first file nor what it has just written.
func TestTruncateLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &rig{t: t, dir: t.TempDir(), done: make(chan error, 1)}
		for _, name := range []string{"log.00", "log.01", "log.01.1"} {
			if err := os.WriteFile(filepath.Join(g.dir, name), []byte("old\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		g.start(Options{Name: "log.%M", Every: 30 * time.Second, MaxSize: 9, TruncateLater: true})
		g.write("0\n")
		time.Sleep(time.Minute)
		g.write("one\n")
		time.Sleep(30 * time.Second) // another interval, the same name
		g.write("two\n")
		g.write("three\n")
		g.mustEnd()
		g.want(map[string]string{"log.00": "old\n0\n", "log.01": "one\ntwo\n", "log.01.1": "three\n"})
	})
}

func TestCircle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &rig{t: t, dir: t.TempDir(), done: make(chan error, 1)}
		for _, name := range []string{"log", "log.1", "log.2", "log.3"} {
			if err := os.WriteFile(filepath.Join(g.dir, name), []byte("old\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		g.start(Options{Name: "log", MaxSize: 8, Count: 3})
		g.write("1\n2\n3\n")
		g.want(map[string]string{"log": "old\n1\n2\n", "log.1": "3\n", "log.2": "old\n", "log.3": "old\n"})
		g.write("444444\n555555\n666666\n777777\n")
		g.mustEnd()
		g.want(map[string]string{"log": "555555\n", "log.1": "666666\n", "log.2": "777777\n", "log.3": "old\n"})
	})
}

// TestFullDisk lets the disk take some bytes, then none for a while, then all.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var allow, refusals atomic.Int64
		allow.Store(6)
		o := Options{Name: "log", Every: time.Minute, MaxSize: 1000, Memory: 1 << 10, Open: func(name string, flag int) (File, error) {
			f, err := os.OpenFile(name, flag, 0o666)
			return &spy{File: f, write: func(p []byte) (int, error) {
				n := min(int(allow.Load()), len(p))
				allow.Add(int64(-n))
				if n < len(p) {
					refusals.Add(1)
					return n, syscall.ENOSPC
				}
				return n, nil
			}}, err
		}}
		g := start(t, o)
		g.write("one\ntwo\nthree\n")
		g.want(map[string]string{"log.0946684800": "one\ntw"})
		time.Sleep(70 * time.Second) // the interval is over, the line is not
		g.write("four\n")
		allow.Store(1)
		time.Sleep(5 * time.Second)
		g.want(map[string]string{"log.0946684800": "one\ntwo"})
		allow.Store(1 << 20)
		time.Sleep(2 * time.Second)
		g.mustEnd()
		g.want(map[string]string{"log.0946684800": "one\ntwo\n", "log.0946684860": "three\nfour\n"})
		if n := strings.Count(g.said.String(), "cannot write"); n != 1 || refusals.Load() < 60 {
			t.Errorf("%d refusals were told %d times:\n%s", refusals.Load(), n, &g.said)
		}
		if !strings.Contains(g.said.String(), "writing again") {
			t.Errorf("does not say that it is over:\n%s", &g.said)
		}
	})
}

// TestFullMemory makes the writer of the pipe wait, and loses nothing.
func TestFullMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		full.Store(true)
		o := Options{Name: "log", Every: 24 * time.Hour, Memory: 1 << 10, Open: func(name string, flag int) (File, error) {
			f, err := os.OpenFile(name, flag, 0o666)
			return &spy{File: f, write: func(p []byte) (int, error) {
				if full.Load() {
					return 0, syscall.ENOSPC
				}
				return len(p), nil
			}}, err
		}}
		g := start(t, o)
		var want strings.Builder
		var written atomic.Int64
		go func() {
			for i := range 1000 {
				line := fmt.Sprintf("line %d\n", i)
				want.WriteString(line)
				if _, err := io.WriteString(g.w, line); err != nil {
					t.Error(err)
				}
				written.Add(1)
			}
			g.w.Close()
		}()
		time.Sleep(time.Hour)
		if n := written.Load(); n > 200 {
			t.Errorf("%d lines were taken into %d bytes of memory", n, o.Memory)
		}
		full.Store(false)
		if err := <-g.done; err != nil {
			t.Error(err)
		}
		g.want(map[string]string{"log.0946684800": want.String()})
		if n := strings.Count(g.said.String(), "memory is full"); n != 1 {
			t.Errorf("said %d times that memory is full:\n%s", n, &g.said)
		}
	})
}

// TestTheDiskStaysFull ends some time after it was told to, and says what is lost.
func TestTheDiskStaysFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Name: "log", Every: time.Hour, Open: func(name string, flag int) (File, error) {
			f, err := os.OpenFile(name, flag, 0o666)
			return &spy{File: f, write: func([]byte) (int, error) { return 0, syscall.ENOSPC }}, err
		}}
		g := start(t, o)
		g.write("lost\n")
		if err := g.w.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // it does not give up by itself
		select {
		case err := <-g.done:
			t.Fatalf("ended by itself: %v", err)
		default:
		}
		g.stop()
		if err := <-g.done; !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "5 bytes") {
			t.Errorf("%v", err)
		}
	})
}

// TestTheNextFileCannotBeOpened goes on with the one before, and changes as soon as it can.
func TestTheNextFileCannotBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		broken := false
		set := func(b bool) {
			mu.Lock()
			defer mu.Unlock()
			broken = b
		}
		o := Options{Name: "log", Every: time.Minute, Open: func(name string, flag int) (File, error) {
			mu.Lock()
			defer mu.Unlock()
			if broken && flag&os.O_CREATE != 0 {
				return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EACCES}
			}
			return os.OpenFile(name, flag, 0o666)
		}}
		g := start(t, o)
		g.write("one\n")
		set(true)
		time.Sleep(50 * time.Second)
		g.write("tw")
		time.Sleep(20 * time.Second)
		g.write("o\n") // after an idle end: the file before is opened once more
		time.Sleep(time.Minute)
		g.write("three\n")
		g.want(map[string]string{"log.0946684800": "one\ntwo\nthree\n"})
		set(false)
		time.Sleep(2 * time.Second)
		g.write("four\n")
		g.mustEnd()
		g.want(map[string]string{"log.0946684800": "one\ntwo\nthree\n", "log.0946684920": "four\n"})
		if n := strings.Count(g.said.String(), "cannot open the next file"); n != 1 {
			t.Errorf("said %d times:\n%s", n, &g.said)
		}
	})
}

// TestNoDescriptors waits for what is short for a while, even for the first file.
func TestNoDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		o := Options{Name: "log", Every: time.Minute, Open: func(name string, flag int) (File, error) {
			if tries++; tries < 5 {
				return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EMFILE}
			}
			return os.OpenFile(name, flag, 0o666)
		}}
		g := start(t, o)
		g.write("one\n")
		time.Sleep(10 * time.Second)
		g.want(map[string]string{"log.0946684800": "one\n"})
		g.mustEnd()
	})
}

func TestLineThatIsLongerThanMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, Options{Name: "log", Every: time.Minute, MaxSize: 100, Memory: 1000})
		g.write("short\n")
		long := strings.Repeat("x", 5000)
		for i := range 5 {
			g.write(long[i*1000 : i*1000+1000])
			time.Sleep(time.Minute)
		}
		g.write("\nshort\n")
		g.mustEnd()
		g.want(map[string]string{"log.0946684800": "short\n", "log.0946684800.1": long + "\n", "log.0946685100": "short\n"})
	})
}

func TestLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := start(t, Options{Name: "log", Every: time.Minute, Link: "current"})
		g.write("one\n")
		g.want(map[string]string{"log.0946684800": "one\n", "current": "one\n"})
		time.Sleep(time.Minute)
		g.write("two\n")
		g.mustEnd()
		g.want(map[string]string{"log.0946684800": "one\n", "log.0946684860": "two\n", "current": "two\n"})

		g = start(t, Options{Name: "log", Every: time.Minute, Truncate: true, Link: "current"}) // always the same file
		g.write("one\n")
		time.Sleep(time.Minute)
		g.write("two\n")
		g.mustEnd()
		g.want(map[string]string{"log": "two\n", "current": "two\n"})

		g = start(t, Options{Name: "log", Every: time.Minute, Link: "missing/current"})
		g.write("one\n")
		g.mustEnd()
		g.want(map[string]string{"log.0946684920": "one\n"}) // two minutes have gone by
		if n := strings.Count(g.said.String(), "cannot link"); n != 1 {
			t.Errorf("said %d times:\n%s", n, &g.said)
		}
	})
}

func TestProgram(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "told")
	out := filepath.Join(dir, "out")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$# $*\" >> "+out+"\ncat >> "+out+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	in := strings.NewReader("1\n22\n333\n")
	name := filepath.Join(dir, "log")
	if err := Run(t.Context(), in, Options{Name: name, MaxSize: 4, Count: 9, Program: script}); err != nil {
		t.Fatal(err)
	}
	want := []string{"1 " + name, "2 " + name + ".1 " + name, "2 " + name + ".2 " + name + ".1"}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		data, err := os.ReadFile(out)
		got := slices.Sorted(strings.SplitSeq(strings.TrimSpace(string(data)), "\n"))
		if slices.Equal(got, slices.Sorted(slices.Values(want))) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
	}
}

func TestReadAndEchoErrors(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "log")
	in := io.MultiReader(strings.NewReader("one\ntw"), broken{})
	if err := Run(t.Context(), in, Options{Name: name, MaxSize: 100, Count: 1}); !errors.Is(err, ErrRead) || !errors.Is(err, syscall.EIO) {
		t.Errorf("%v", err)
	}
	var echo bytes.Buffer
	if err := Run(t.Context(), strings.NewReader("o\nthree\n"), Options{Name: name, MaxSize: 100, Count: 1, Echo: &echo}); err != nil || echo.String() != "o\nthree\n" {
		t.Errorf("%v, echoed %q", err, &echo)
	}
	if err := Run(t.Context(), strings.NewReader("four\n"), Options{Name: name, MaxSize: 100, Count: 1, Echo: broken{}}); !errors.Is(err, ErrEcho) {
		t.Errorf("%v", err)
	}
	if data, err := os.ReadFile(name); err != nil || string(data) != "one\ntwo\nthree\nfour\n" {
		t.Errorf("%q, %v", data, err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error)  { return 0, syscall.EIO }
func (broken) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestValidate(t *testing.T) {
	for want, o := range map[string]Options{
		"name":        {MaxSize: 1},
		"never":       {Name: "a"},
		"whole":       {Name: "a", Every: time.Millisecond},
		"in a circle": {Name: "a%Y", MaxSize: 1, Count: 2},
	} {
		if err := Run(t.Context(), strings.NewReader(""), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}
