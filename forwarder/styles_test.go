package forwarder

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var stylesSeed = flag.Uint64("styles.seed", 0, "seed of TestStylesAtRandom; 0 = another one each time")

// TestStylesAtRandom rotates a log in every style, in any order, while the forwarder runs, is behind, or is down and
// killed: every line comes once, and in order.
func TestStylesAtRandom(t *testing.T) {
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			seed := *stylesSeed
			if seed == 0 {
				seed = rand.Uint64()
			}
			t.Logf("-styles.seed=%d", seed)
			s := &styles{rig: newRig(t, "a.log"), rng: rand.New(rand.NewPCG(seed, 0))}
			s.open()
			s.write(3)
			s.start()
			s.until("the first lines", func() bool { return s.store.count("c") == 3 })
			for range 40 {
				s.disturb()
				s.turn()
			}
			s.calm()
			s.write(3)
			if err := s.file.Close(); err != nil {
				t.Error(err)
			}
			for end := time.Now().Add(waitMax); s.store.count("c") < len(s.lines) && time.Now().Before(end); {
				time.Sleep(10 * time.Millisecond)
			}
			s.settle()
			s.judge()
		})
	}
}

// styles is a log and its writer.
type styles struct {
	*rig
	rng      *rand.Rand
	file     *os.File
	n        int // rotations
	lines    []string
	happened []string
	blocked  bool
}

func (s *styles) note(format string, args ...any) {
	s.happened = append(s.happened, fmt.Sprintf("%s line %d: ", time.Now().Format("05.000"), len(s.lines))+fmt.Sprintf(format, args...))
}

func (s *styles) open() {
	s.t.Helper()
	var err error
	if s.file, err = os.OpenFile(s.path("a.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *styles) reopen() {
	if err := s.file.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.open()
}

// write appends lines; the bytes of no two of them are the same.
func (s *styles) write(n int) {
	s.t.Helper()
	var text bytes.Buffer
	for range n {
		line := fmt.Sprintf("a %06d %x\n", len(s.lines), s.rng.Uint64()>>s.rng.IntN(60))
		s.lines = append(s.lines, line)
		text.WriteString(line)
	}
	if _, err := s.file.Write(text.Bytes()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *styles) pause(most int) {
	time.Sleep(time.Duration(s.rng.IntN(most)) * time.Millisecond)
}

// disturb kills the forwarder, starts it again, or lets nothing through for a while.
func (s *styles) disturb() {
	switch s.rng.IntN(8) {
	case 0, 1:
		if s.cancel == nil {
			s.note("start")
			s.start()
		} else {
			s.note("kill")
			s.stop()
		}
	case 2:
		s.block(!s.blocked)
	}
}

func (s *styles) block(on bool) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	switch {
	case on && s.store.block == nil:
		s.store.block = make(chan struct{})
	case !on && s.store.block != nil:
		close(s.store.block)
		s.store.block = nil
	}
	s.blocked = on
	s.note("blocked %v", on)
}

// calm has the forwarder run.
func (s *styles) calm() {
	s.block(false)
	if s.cancel == nil {
		s.note("start")
		s.start()
	}
}

// turn writes, and rotates.
func (s *styles) turn() {
	for range 1 + s.rng.IntN(4) {
		s.write(1 + s.rng.IntN(200))
		s.pause(60)
	}
	s.n++
	name := fmt.Sprintf("a.log.%d", s.n)
	style := s.rng.IntN(10)
	s.note("style %d to %s", style, name)
	switch style {
	case 0: // rename; the writer goes on with the old file for a while
		s.rename("a.log", name)
		s.lag()
	case 1: // rename, create; likewise
		s.rename("a.log", name)
		s.rig.write("a.log", "")
		s.lag()
	case 2: // three renames at once
		for _, suffix := range []string{".a", ".b", ".c"} {
			s.rename("a.log", name+suffix)
			s.reopen()
			s.write(5)
			time.Sleep(20 * time.Millisecond) // so that their times tell which is older
		}
	case 3: // copytruncate
		s.copy("a.log", name)
		s.truncate("a.log")
	case 4: // another file in its place, as by rsync and sed -i
		s.copy("a.log", "a.log.tmp")
		s.rename("a.log.tmp", "a.log")
		s.reopen()
	case 5: // into a directory below
		if err := os.MkdirAll(s.path("old"), 0o755); err != nil {
			s.t.Fatal(err)
		}
		s.rename("a.log", filepath.Join("old", name))
		s.reopen()
	case 6: // nothing
	case 7: // rename and compress; the writer is told in between
		s.rename("a.log", name)
		s.reopen()
		s.write(3)
		s.pack(name)
	case 8: // copytruncate and compress
		s.copy("a.log", name)
		s.truncate("a.log")
		s.pack(name)
	case 9: // delaycompress: everything that was rotated before
		s.rename("a.log", name)
		s.lag()
		names, err := filepath.Glob(s.path("a.log.*"))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, old := range names {
			if old := filepath.Base(old); old != name && filepath.Ext(old) != ".gz" {
				s.pack(old)
			}
		}
	}
	s.pause(120)
}

// pack compresses a rotated file as gzip does.
func (s *styles) pack(name string) {
	s.t.Helper()
	data, err := os.ReadFile(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	l, err := os.Stat(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	f, err := os.Create(s.path(name + ".gz"))
	if err != nil {
		s.t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	for len(data) > 0 && err == nil { // slowly
		n := min(len(data), 4000)
		_, err = z.Write(data[:n])
		data = data[n:]
		err = errors.Join(err, z.Flush())
		s.pause(5)
	}
	err = errors.Join(err, z.Close(), f.Close(), os.Chtimes(f.Name(), time.Time{}, l.ModTime()), os.Remove(s.path(name)))
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *styles) lag() {
	for range 3 {
		s.write(3)
		s.pause(30)
	}
	s.reopen()
}

func (s *styles) judge() {
	s.t.Helper()
	got := s.store.get("c")
	times, top, late := make(map[string]int), "", 0
	for _, line := range got {
		if line < top && times[line] == 0 {
			if late++; late == 1 {
				s.t.Errorf("%q comes after %q", line, top)
			}
		}
		times[line]++
		top = max(top, line)
	}
	var missing, twice []string
	for _, line := range s.lines {
		switch n := times[line]; {
		case n == 0:
			missing = append(missing, line)
		case n > 1:
			twice = append(twice, line)
		}
	}
	if len(missing)+len(twice)+late > 0 || len(got) != len(s.lines) {
		s.t.Errorf("%d lines of %d: %d missing %.60q…, %d twice %.60q…, %d late", len(got), len(s.lines),
			len(missing), missing, len(twice), twice, late)
		for _, h := range s.happened {
			s.t.Log(h)
		}
	}
}
