package forwarder

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestRestartsWithALossyStore stops and starts the follower at random moments, while files grow and are rotated and the
// store refuses calls or takes them and loses its answer. What was in such a call is sent again and has the same
// numbers.
func TestRestartsWithALossyStore(t *testing.T) {
	t.Parallel()
	r := newRig(t, "*.log")
	var lost atomic.Int64
	r.store.fail = func(int) (before, after error) {
		switch rand.IntN(10) {
		case 0:
			return errFault, nil
		case 1:
			lost.Add(1)
			return nil, errFault
		}
		return nil, nil
	}
	writers := []*writer{{r: r, name: "a.log"}, {r: r, name: "b.log"}}
	for _, w := range writers {
		w.open()
		w.emit(10)
	}
	r.start()
	r.until("the files", func() bool { return r.store.count("c") >= 20 })
	for round := 0; round < 25 || lost.Load() == 0; round++ {
		for _, w := range writers {
			w.emit(1 + rand.IntN(3000))
			if rand.IntN(3) == 0 {
				w.rotate(time.Duration(rand.IntN(5)) * time.Millisecond)
			}
		}
		if rand.IntN(2) == 0 {
			r.stop()
			for _, w := range writers {
				w.emit(1 + rand.IntN(300))
				if rand.IntN(2) == 0 {
					time.Sleep(10 * time.Millisecond)
					w.rotate(0)
				}
			}
			r.start()
		}
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	}
	want := make(map[string]bool)
	for _, w := range writers {
		w.emit(1)
		for _, l := range w.lines {
			want[l] = true
		}
		if err := w.file.Close(); err != nil {
			t.Error(err)
		}
	}
	seen := make(map[string]int)
	from := 0
	r.until(fmt.Sprintf("all %d lines", len(want)), func() bool {
		got := r.store.get("c")
		for _, l := range got[from:] {
			seen[l]++
		}
		from = len(got)
		return len(seen) >= len(want)
	})
	twice := 0
	for l, n := range seen {
		if !want[l] {
			t.Errorf("%q was not written", l)
		}
		twice += n - 1
	}
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	if twice > 0 {
		t.Errorf("%d lines came twice", twice)
	}
	t.Logf("%d lines, %d answers lost", len(seen), lost.Load())
}

func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	r := newRig(t, "*.log")
	r.opt.Once = true
	r.limit = 5
	var want []string
	for i := range 20 {
		lines := numbered(fmt.Sprintf("f%02d", i), 0, 10)
		want = append(want, lines...)
		r.write(fmt.Sprintf("%02d.log", i), joined(lines))
	}
	r.start()
	r.finish()
	checkStreams(t, r.store.get("c"), want)
	if n := strings.Count(r.logs.String(), "no descriptors are left"); n > 1 {
		t.Errorf("logged %d times", n)
	}
}

func TestDeletedFilesAreForgotten(t *testing.T) {
	t.Parallel()
	r := newRig(t, "*.log")
	r.timing.forget, r.timing.keepGone = 100*time.Millisecond, 100*time.Millisecond
	r.write("a.log", "1\n")
	r.write("b.log", "2\n")
	r.start()
	r.until("2 lines", func() bool { return r.store.count("c") == 2 })
	r.remove("a.log")
	for i := 0; strings.Count(readAll(t, r.state), " r ") == 0; i++ {
		if i > 1000 {
			t.Fatal("it is not forgotten")
		}
		time.Sleep(10 * time.Millisecond)
		r.write("b.log", "x\n")
		r.write("new.txt", "")
		r.remove("new.txt")
	}
}

func TestPartialParcelsWaitForTheStore(t *testing.T) {
	t.Parallel()
	r := newRig(t, "*.log")
	r.store.block = make(chan struct{})
	r.write("a.log", "1\n")
	r.start()
	r.until("a call", func() bool { r.store.mu.Lock(); defer r.store.mu.Unlock(); return r.store.inside == 1 })
	for i := range 20 {
		r.write("a.log", fmt.Sprintf("%d\n", i))
		time.Sleep(5 * time.Millisecond)
	}
	// Rotations are noticed although nothing can be handed on.
	r.rename("a.log", "a.log.1")
	r.write("a.log", "new\n")
	r.settle()
	r.remove("a.log.1")
	close(r.store.block)
	r.until("all", func() bool { return r.store.count("c") == 22 })
	r.settle()
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	if r.store.calls > 10 {
		t.Errorf("%d calls: batches do not form while a call is under way", r.store.calls)
	}
}

// TestLinesThatAreSplitElsewhere restarts with another limit of lines when the answer to a call was lost: what is cut
// elsewhere must not be taken for what the store has.
func TestLinesThatAreSplitElsewhere(t *testing.T) {
	t.Parallel()
	r := newRig(t, "*.log")
	r.opt.MaxLine = 20
	var lost atomic.Bool
	r.store.fail = func(int) (before, after error) {
		if lost.Swap(true) {
			return errFault, nil
		}
		return nil, errFault
	}
	long := strings.Repeat("x", 69) + "\n"
	r.write("a.log", long+"one\ntwo\n")
	r.start()
	r.until("the call whose answer is lost", func() bool { return r.store.count("c") == 6 })
	r.stop()
	r.opt.MaxLine = 0
	r.store.fail = nil
	r.write("a.log", "three\nfour\n")
	r.start()
	r.until("all lines, whole", func() bool {
		got := r.store.get("c")
		return slices.Equal(got[6:], []string{long, "one\n", "two\n", "three\n", "four\n"})
	})
}

// TestKilledInTheFirstCallBehindARotation kills the follower in the call that brings the first lines of a file: the
// number of that file is durable then, and so must be what became of the files beside it, or they are read as if they
// had been missed.
func TestKilledInTheFirstCallBehindARotation(t *testing.T) {
	old, fresh := numbered("old", 0, 10), numbered("new", 0, 10)
	for _, c := range []struct {
		name   string
		before func(r *rig) // at rest
		rotate func(r *rig) // while no call ends
		want   []string
	}{
		{"a rotated file stands there at the first start", func(r *rig) {
			r.write("a.log.1", joined(old))
		}, func(r *rig) {
			r.write("a.log", joined(fresh))
			r.start()
		}, fresh},
		{"copytruncate", func(r *rig) {
			r.write("a.log", joined(old))
			r.start()
			r.wantLines(old...)
		}, func(r *rig) {
			r.copy("a.log", "a.log.1")
			r.truncate("a.log")
			r.write("a.log", joined(fresh))
		}, append(slices.Clone(old), fresh...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, "a.log")
			c.before(r)
			r.store.mu.Lock()
			r.store.block = make(chan struct{})
			before := r.store.inside
			r.store.mu.Unlock()
			c.rotate(r)
			r.until("a call", func() bool {
				r.store.mu.Lock()
				defer r.store.mu.Unlock()
				return r.store.inside > before
			})
			r.stop()
			r.store.mu.Lock()
			r.store.block = nil
			r.store.mu.Unlock()
			r.start()
			r.wantLines(c.want...)
		})
	}
}
