package forwarder

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestMoreFilesThanDescriptors follows ten times as many files as it may have open, through everything that can happen to
// a file that was closed because it was quiet.
func TestMoreFilesThanDescriptors(t *testing.T) {
	t.Parallel()
	const files = 160
	r := newRig(t, "*.log")
	r.limit = 16
	want := make([][]string, files)
	n := 0
	write := func(i int) {
		lines := numbered(fmt.Sprintf("f%03d-%d", i, n), 0, 3)
		want[i] = append(want[i], lines...)
		r.write(fmt.Sprintf("%03d.log", i), joined(lines))
		n++
	}
	all := func(what string) {
		t.Helper()
		total := 0
		for _, lines := range want {
			total += len(lines)
		}
		for end := time.Now().Add(waitMax); r.store.count("c") < total && time.Now().Before(end); {
			time.Sleep(r.timing.poll)
		}
		r.settle()
		got := r.store.get("c")
		of := make(map[string][]string)
		for _, line := range got {
			of[line[1:4]] = append(of[line[1:4]], line)
		}
		for i, lines := range want {
			if got := joined(of[fmt.Sprintf("%03d", i)]); got != joined(lines) {
				t.Errorf("%s: file %d has %q, want %q", what, i, got, lines)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	for i := range files {
		write(i)
	}
	r.start()
	all("found at the start")
	for range 2 {
		for i := range files {
			write(i)
		}
		all("all grow")
	}
	for i := range files {
		name := fmt.Sprintf("%03d.log", i)
		switch i % 5 {
		case 0: // rename and create, with late lines
			r.rename(name, name+".1")
			lines := numbered(fmt.Sprintf("f%03d-late", i), 0, 2)
			want[i] = append(want[i], lines...)
			r.write(name+".1", joined(lines))
			write(i)
		case 1: // copytruncate
			r.copy(name, name+".1")
			r.truncate(name)
			write(i)
		case 2: // another file in its place
			r.copy(name, "tmp")
			r.rename("tmp", name)
			write(i)
		case 3:
			r.remove(name)
			write(i)
		}
	}
	all("rotated")
	r.stop()
	for i := range files {
		if i%2 == 0 {
			write(i)
		}
	}
	r.start()
	all("started again")
	for i := range files {
		write(i)
	}
	all("all grow again")
	if n := strings.Count(r.logs.String(), "no descriptors are left"); n == 0 || n > 2 {
		t.Errorf("logged %d times", n)
	}
	if n := r.counter("files lost"); n > 0 {
		t.Errorf("%d files are counted as lost", n)
	}
}

// TestNewFilesWithoutDescriptors begins at the ends of files that wait for a descriptor, and reads what comes after that.
func TestNewFilesWithoutDescriptors(t *testing.T) {
	t.Parallel()
	r := newRig(t, "*.log")
	r.limit, r.opt.FromEnd = 4, true
	var want []string
	for i := range 40 {
		r.write(fmt.Sprintf("%02d.log", i), "old\n")
	}
	r.start()
	r.until("all are followed", func() bool { return strings.Count(readAll(t, r.state), " a ") >= 40 })
	for i := range 40 {
		lines := numbered(fmt.Sprintf("f%02d", i), 0, 3)
		want = append(want, lines...)
		r.write(fmt.Sprintf("%02d.log", i), joined(lines))
	}
	r.until("all lines", func() bool { return r.store.count("c") >= len(want) })
	time.Sleep(10 * r.timing.poll)
	checkStreams(t, r.store.get("c"), want)
}
