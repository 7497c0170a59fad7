package forwarder

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMappedFile: a log that is preallocated and filled in place, as log4j2's MemoryMappedFile does it, and what an
// application that was killed leaves: NULs up to the end of the file, behind which its next run goes on.
func TestMappedFile(t *testing.T) {
	for _, how := range []string{"truncate", "fallocate", "written"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "a.log")
			r.start()
			const size = 1 << 20
			f, err := os.OpenFile(r.path("a.log"), os.O_RDWR|os.O_CREATE, 0o644)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			switch how {
			case "truncate":
				err = f.Truncate(size)
			case "fallocate":
				err = unix.Fallocate(int(f.Fd()), 0, 0, size)
			case "written":
				_, err = f.Write(make([]byte, size))
			}
			if err != nil {
				t.Fatal(err)
			}
			mapped, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_WRITE|unix.PROT_READ, unix.MAP_SHARED)
			if err != nil {
				t.Fatal(err)
			}
			lines := numbered("mapped "+strings.Repeat("x", 60), 0, 200)
			at := 0
			for i, l := range lines {
				at += copy(mapped[at:], l)
				if i%50 == 49 {
					r.until("the lines so far", func() bool { return r.store.count("c") == i+1 })
				}
			}
			at += copy(mapped[at:], "half a li")
			if err := unix.Munmap(mapped); err != nil {
				t.Fatal(err)
			}
			r.settle()
			r.stop()
			r.start()
			more := numbered("next run", 0, 10)
			r.write("a.log", joined(more))
			r.wantLines(append(append(lines, "half a li\n"), more...)...)
			r.rename("a.log", "a.log.1")
			r.write("a.log", "new\n")
			r.wantLines(append(append(append(lines, "half a li\n"), more...), "new\n")...)
			if n := r.counter("bytes of holes"); n < size/2 {
				t.Errorf("bytes of holes = %d", n)
			}
		})
	}
}

// TestHoles: a writer that does not append goes on at its old offset after a truncation. The hole is passed over.
func TestHoles(t *testing.T) {
	t.Parallel()
	r := newRig(t, "*.log")
	f, err := os.Create(r.path("a.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(r.path("a.log"), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.path("last.log"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(r.path("last.log"), 3<<30); err != nil { // nothing but a hole
		t.Fatal(err)
	}
	r.start()
	var want []string
	for i := range 4 {
		lines := numbered(fmt.Sprintf("%d", i), 0, 30_000)
		want = append(want, lines...)
		if _, err := f.WriteString(joined(lines)); err != nil {
			t.Fatal(err)
		}
		r.until("these lines", func() bool { return r.store.count("c") == len(want) })
		if i == 2 {
			r.stop()
		}
		r.copy("a.log", fmt.Sprintf("a.log.%d", 9-i))
		r.truncate("a.log")
		if i == 2 {
			r.start()
		}
	}
	r.wantLines(want...)
	if n := r.counter("bytes of holes"); n < int64(len(joined(want)))/2 {
		t.Errorf("bytes of holes = %d", n)
	}
}

// TestContentAndPadding: NULs within lines are bytes like any other.
func TestContentAndPadding(t *testing.T) {
	pad := strings.Repeat("\x00", 3*blockSize)
	for _, c := range []struct {
		data       string
		off        int64
		from, want int
		atEnd      bool
	}{
		{"abc\n", 0, 0, 4, true},
		{"a\x00\x00b\n", 0, 0, 5, true},
		{"abc\n" + pad, 0, 0, 4, true},
		{"abc\n" + pad[:8], 0, 4, 4, true},
		{"abc" + pad[:8], 0, 0, 11, true},
		{"abc\n\x00more\n", blockSize - 5, 4, 10, true}, // a NUL that happens to end a block
		{"abc" + pad[:20], 0, 0, 3, true},
		{"abc" + pad[:20], 0, 0, 23, false},
		{"abc" + pad[:20] + "x", 0, 0, 24, true},
		{"abc" + pad + "x\n", 0, 0, 3, true},
		{"abc" + pad[:20] + "x", blockSize - 23, 0, 3, true},
		{pad[:20] + "abc\n" + pad, 0, 20, 24, false},
		{pad + "abc\n", 0, 0, 0, true},
		{"", 0, 0, 0, true},
	} {
		if got := content([]byte(c.data), c.off, c.from, c.atEnd); got != c.want {
			t.Errorf("%.30q at %d from %d: %d, want %d", c.data, c.off, c.from, got, c.want)
		}
	}
}
