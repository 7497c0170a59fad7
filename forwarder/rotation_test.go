package forwarder

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRotation(t *testing.T) {
	tests := []struct {
		name string
		run  func(r *rig) []string
	}{
		{"rename", func(r *rig) []string {
			r.write("a.log", "1\n2\n")
			r.start()
			r.until("2", func() bool { return r.store.count("c") == 2 })
			r.rename("a.log", "a.log.1")
			r.write("a.log", "5\n")
			r.write("a.log.1", "3\n")
			time.Sleep(20 * time.Millisecond)
			r.write("a.log.1", "4\n")
			return []string{"1\n", "2\n", "3\n", "4\n", "5\n"}
		}},
		{"dates before the extension", func(r *rig) []string {
			r.write("a.log", "1\n")
			r.start()
			r.until("1", func() bool { return r.store.count("c") == 1 })
			r.stop()
			r.write("a.log", "2\n")
			r.rename("a.log", "a-2026-11-22.log")
			r.write("a-2026-11-23T10-00-00.000.log", "3\n")
			r.write("a-error.log", "not mine\n")
			time.Sleep(20 * time.Millisecond)
			r.write("a.log", "4\n")
			r.start()
			return []string{"1\n", "2\n", "3\n", "4\n"}
		}},
		{"while down, several times", func(r *rig) []string {
			r.write("a.log.1", "old, not to be read\n")
			r.write("a.log.2.gz", "old, not to be read\n")
			r.write("a.log", "1\n")
			r.start()
			r.until("1", func() bool { return r.store.count("c") == 1 })
			r.stop()
			r.write("a.log", "2\n")
			r.rename("a.log.1", "a.log.2")
			r.rename("a.log", "a.log.1")
			for i := 3; i < 8; i++ {
				time.Sleep(10 * time.Millisecond)
				r.write("a.log", fmt.Sprintf("%d\n", i))
				for k := 9; k > 0; k-- {
					if _, err := os.Stat(r.path(fmt.Sprintf("a.log.%d", k))); err == nil {
						r.rename(fmt.Sprintf("a.log.%d", k), fmt.Sprintf("a.log.%d", k+1))
					}
				}
				r.rename("a.log", "a.log.1")
			}
			r.write("a.log", "8\n")
			r.start()
			return []string{"1\n", "2\n", "3\n", "4\n", "5\n", "6\n", "7\n", "8\n"}
		}},
		{"while down, nothing at the path yet", func(r *rig) []string {
			r.write("a.log", "1\n")
			r.start()
			r.until("1", func() bool { return r.store.count("c") == 1 })
			r.stop()
			r.write("a.log", "2\n")
			r.rename("a.log", "a.log.2")
			r.write("a.log.1", "3\n")
			r.start()
			r.until("3", func() bool { return r.store.count("c") == 3 })
			r.write("a.log", "4\n")
			return []string{"1\n", "2\n", "3\n", "4\n"}
		}},
		{"glob that matches the rotated files", func(r *rig) []string {
			r.inputs[0].Glob = r.path("a.log*")
			r.write("a.log", "1\n")
			r.start()
			r.until("1", func() bool { return r.store.count("c") == 1 })
			r.rename("a.log", "a.log.1")
			r.write("a.log", "2\n")
			r.until("2", func() bool { return r.store.count("c") == 2 })
			r.rename("a.log.1", "a.log.2")
			r.rename("a.log", "a.log.1")
			r.write("a.log", "3\n")
			r.until("3", func() bool { return r.store.count("c") == 3 })
			r.stop()
			r.rename("a.log.2", "a.log.3")
			r.rename("a.log.1", "a.log.2")
			r.rename("a.log", "a.log.1")
			r.write("a.log", "4\n")
			r.start()
			return []string{"1\n", "2\n", "3\n", "4\n"}
		}},
		{"delete and create", func(r *rig) []string {
			r.write("a.log", "1\n2 without end")
			r.start()
			r.until("1", func() bool { return r.store.count("c") == 1 })
			r.remove("a.log")
			r.until("2", func() bool { return r.store.count("c") == 2 })
			r.write("a.log", "3\n")
			return []string{"1\n", "2 without end\n", "3\n"}
		}},
		{"another file with the same inode", func(r *rig) []string {
			r.write("a.log", "the first file\n")
			r.start()
			r.until("1", func() bool { return r.store.count("c") == 1 })
			r.stop()
			r.truncate("a.log") // the same inode and other content is what counts
			r.write("a.log", "the second one, which is longer\nand more\n")
			r.start()
			return []string{"the first file\n", "the second one, which is longer\n", "and more\n"}
		}},
		{"copytruncate at rest", func(r *rig) []string {
			r.write("a.log", "1\n2\n")
			r.start()
			r.until("2", func() bool { return r.store.count("c") == 2 })
			r.copy("a.log", "a.log.1")
			r.truncate("a.log")
			r.settle()
			r.write("a.log", "3\n")
			return []string{"1\n", "2\n", "3\n"}
		}},
		{"copytruncate, rewritten past the offset", func(r *rig) []string {
			r.write("a.log", "1\n2\n")
			r.start()
			r.until("2", func() bool { return r.store.count("c") == 2 })
			r.truncate("a.log")
			r.write("a.log", "3\n4\n5\n6\n")
			return []string{"1\n", "2\n", "3\n", "4\n", "5\n", "6\n"}
		}},
		{"written anew with as many bytes, again and again", func(r *rig) []string {
			want := []string{"10:00 fine\n"}
			r.write("a.log", want[0])
			r.start()
			r.until("1", func() bool { return r.store.count("c") == 1 })
			for i := 1; i < 5; i++ {
				time.Sleep(2 * clockTick) // the time of the file is all that changes
				line := fmt.Sprintf("10:%02d fine\n", i)
				if err := os.WriteFile(r.path("a.log"), []byte(line), 0o644); err != nil {
					r.t.Fatal(err)
				}
				want = append(want, line)
				r.until("the next", func() bool { return r.store.count("c") == len(want) })
			}
			return want
		}},
		{"copytruncate, rewritten up to the offset before the copy is seen", func(r *rig) []string {
			r.write("a.log", "1\n2\n")
			r.start()
			r.until("2", func() bool { return r.store.count("c") == 2 })
			r.copy("a.log", "a.log.1")
			r.truncate("a.log")
			r.write("a.log", "3\n4\n")
			return []string{"1\n", "2\n", "3\n", "4\n"}
		}},
		{"copytruncate while down", func(r *rig) []string {
			r.write("a.log", "1\n2\n")
			r.start()
			r.until("2", func() bool { return r.store.count("c") == 2 })
			r.stop()
			r.write("a.log", "3\n")
			r.copy("a.log", "a.log.1")
			r.truncate("a.log")
			r.write("a.log", "4\n")
			r.rename("a.log.1", "a.log.2")
			r.copy("a.log", "a.log.1")
			r.truncate("a.log")
			r.write("a.log", "5\n")
			r.start()
			return []string{"1\n", "2\n", "3\n", "4\n", "5\n"}
		}},
		{"copytruncate with a glob that matches the copy", func(r *rig) []string {
			r.inputs[0].Glob = r.path("a.log*")
			r.write("a.log", "1\n2\n")
			r.start()
			r.until("2", func() bool { return r.store.count("c") == 2 })
			r.copy("a.log", "a.log.1")
			r.settle()
			r.truncate("a.log")
			r.settle()
			r.write("a.log", "3\n")
			r.until("3", func() bool { return r.store.count("c") == 3 })
			r.stop()
			r.start()
			return []string{"1\n", "2\n", "3\n"}
		}},
		{"renamed back", func(r *rig) []string {
			r.write("a.log", "1\n")
			r.start()
			r.until("1", func() bool { return r.store.count("c") == 1 })
			r.rename("a.log", "b")
			r.settle()
			r.settle()
			r.write("b", "2\n")
			r.rename("b", "a.log")
			r.until("2", func() bool { return r.store.count("c") == 2 })
			r.write("a.log", "3\n")
			return []string{"1\n", "2\n", "3\n"}
		}},
		{"late bytes of a finished generation after a restart", func(r *rig) []string {
			r.write("a.log", "1\n")
			r.start()
			r.until("1", func() bool { return r.store.count("c") == 1 })
			r.rename("a.log", "a.log.1")
			r.write("a.log", "2\n")
			r.until("2", func() bool { return r.store.count("c") == 2 })
			r.stop()
			r.write("a.log.1", "late\n")
			r.start()
			return []string{"1\n", "2\n", "late\n"}
		}},
		{"partial line finished after the rename", func(r *rig) []string {
			r.write("a.log", "1\nhal")
			r.start()
			r.until("1", func() bool { return r.store.count("c") == 1 })
			r.rename("a.log", "a.log.1")
			r.settle()
			r.write("a.log.1", "f\n")
			r.until("2", func() bool { return r.store.count("c") == 2 })
			r.write("a.log", "3\n")
			return []string{"1\n", "half\n", "3\n"}
		}},
		{"generations that all look the same", func(r *rig) []string {
			r.write("a.log", "x\nx\nx\n")
			r.start()
			r.until("3", func() bool { return r.store.count("c") == 3 })
			r.stop()
			r.write("a.log", "x\n")
			r.rename("a.log", "a.log.2")
			time.Sleep(20 * time.Millisecond)
			r.write("a.log.1", "x\nx\n")
			time.Sleep(20 * time.Millisecond)
			r.write("a.log", "x\nx\nx\n")
			r.start()
			return strings.SplitAfter(strings.Repeat("x\n", 9), "\n")[:9]
		}},
		{"a copy someone makes is not a generation", func(r *rig) []string {
			r.timing.window = 200 * time.Millisecond
			r.write("a.log", "1\n")
			r.start()
			r.until("1", func() bool { return r.store.count("c") == 1 })
			time.Sleep(300 * time.Millisecond)
			r.copy("a.log", "a.log.bak")
			r.write("a.log.edited", "something else\n")
			r.until("a decision", func() bool { return strings.Count(readAll(r.t, r.state), " i ") >= 2 })
			r.rename("a.log", "a.log.1")
			r.write("a.log", "2\n")
			return []string{"1\n", "2\n"}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "a.log")
			want := tt.run(r)
			r.wantLines(want...)
			r.stop()
			r.start() // and nothing comes again
			r.wantLines(want...)
		})
	}
}

// writer writes numbered lines to a path as a daemon does that is told some time after the rename to open its log anew.
type writer struct {
	r     *rig
	file  *os.File
	name  string
	next  int
	moved int // generations
	lines []string
}

func (w *writer) open() {
	f, err := os.OpenFile(w.r.path(w.name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		w.r.t.Error(err)
		return
	}
	w.file = f
}

func (w *writer) emit(n int) {
	lines := numbered(w.name, w.next, w.next+n)
	w.next += n
	w.lines = append(w.lines, lines...)
	data := joined(lines)
	cut := rand.IntN(len(data)) // a buffer that is written in the middle of a line
	for _, part := range []string{data[:cut], data[cut:]} {
		if _, err := w.file.WriteString(part); err != nil {
			w.r.t.Error(err)
		}
	}
}

// rotate renames the numbered files up and starts a new one; the old descriptor is written to for keep after that.
func (w *writer) rotate(keep time.Duration) {
	w.moved++
	if err := os.Rename(w.r.path(w.name), w.r.path(fmt.Sprintf("%s.%d", w.name, 1000+w.moved))); err != nil {
		w.r.t.Error(err)
	}
	for end := time.Now().Add(keep); time.Now().Before(end); {
		w.emit(20)
		time.Sleep(2 * time.Millisecond)
	}
	if err := w.file.Close(); err != nil {
		w.r.t.Error(err)
	}
	w.open()
}

func TestRotationUnderLoad(t *testing.T) {
	for _, keep := range []time.Duration{0, 300 * time.Millisecond} {
		t.Run(keep.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "*.log")
			r.timing.linger = 500 * time.Millisecond
			writers := []*writer{{r: r, name: "a.log"}, {r: r, name: "b.log"}}
			var wg sync.WaitGroup
			r.start()
			for _, w := range writers {
				w.open()
				w.emit(1)
			}
			r.until("both files", func() bool { return r.store.count("c") == 2 })
			for _, w := range writers {
				wg.Go(func() {
					for range 6 {
						for range 50 {
							w.emit(50)
						}
						w.rotate(keep)
					}
					w.emit(100)
					if err := w.file.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			want := append(slices.Clone(writers[0].lines), writers[1].lines...)
			r.until("all lines", func() bool { return r.store.count("c") >= len(want) })
			r.settle()
			checkStreams(t, r.store.get("c"), want)
		})
	}
}

func TestRotationsWithinASecondWithRestarts(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a.log")
	w := &writer{r: r, name: "a.log"}
	w.open()
	w.emit(10)
	r.start()
	r.until("10 lines", func() bool { return r.store.count("c") == 10 })
	for g := range 30 {
		w.emit(200)
		w.rotate(0)
		time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
		if g%7 == 3 {
			r.stop()
			w.emit(50)
			w.rotate(0)
			w.emit(50)
			r.start()
		}
	}
	w.emit(5)
	if err := w.file.Close(); err != nil {
		t.Error(err)
	}
	r.until("all lines", func() bool { return r.store.count("c") >= len(w.lines) })
	r.settle()
	checkStreams(t, r.store.get("c"), w.lines)
}

func TestCopyTruncateWhileBehind(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a.log")
	first := numbered("a", 0, 400_000)
	r.write("a.log", joined(first))
	r.store.block = make(chan struct{})
	r.start()
	r.until("a call", func() bool { r.store.mu.Lock(); defer r.store.mu.Unlock(); return r.store.inside > 0 })
	r.copy("a.log", "a.log.1")
	r.truncate("a.log")
	second := numbered("a", 400_000, 400_100)
	r.write("a.log", joined(second))
	close(r.store.block)
	want := append(first, second...)
	r.wantLines(want...)
	if r.counter("files truncated") == 0 || r.counter("generations recovered") == 0 {
		t.Error("not counted")
	}
}

func TestDeletedFileIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t, "*.log")
	lines := numbered("a", 0, 200_000)
	r.write("a.log", joined(lines))
	r.store.block = make(chan struct{})
	r.start()
	r.until("a call", func() bool { r.store.mu.Lock(); defer r.store.mu.Unlock(); return r.store.inside > 0 })
	r.remove("a.log")
	r.settle()
	close(r.store.block)
	r.wantLines(lines...)
}

// TestGenerationsBesideTheTargetOfALink: what a link points to is rotated twice while the forwarder is down, as
// /var/log/containers has it.
func TestGenerationsBesideTheTargetOfALink(t *testing.T) {
	t.Parallel()
	r := newRig(t, "containers/*.log")
	for _, dir := range []string{"containers", "pods"} {
		if err := os.Mkdir(r.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.write("pods/0.log", "1\n")
	for link, target := range map[string]string{"containers/web.log": "pods/middle", "pods/middle": "pods/0.log"} {
		if err := os.Symlink(r.path(target), r.path(link)); err != nil {
			t.Fatal(err)
		}
	}
	r.start()
	r.wantLines("1\n")
	for i, down := range []bool{false, true} {
		if down {
			r.stop()
		}
		for k := range 3 {
			r.write("pods/0.log", fmt.Sprintf("%d\n", i*3+k+2))
			r.rename("pods/0.log", fmt.Sprintf("pods/0.log.20261129-%02d%02d00", i, k))
			time.Sleep(10 * time.Millisecond)
		}
		r.write("pods/0.log", "")
		if down {
			r.start()
		}
		r.until("all", func() bool { return r.store.count("c") == 4+i*3 })
	}
	r.write("pods/0.log", "8\n")
	r.wantLines("1\n", "2\n", "3\n", "4\n", "5\n", "6\n", "7\n", "8\n")
}

// TestReplacedFileHasOnePosition: of a file that takes the place of another there is one position, also after a
// restart.
func TestReplacedFileHasOnePosition(t *testing.T) {
	t.Parallel()
	r := newRig(t, "a.log")
	lines := numbered("a", 0, 500)
	r.write("a.log", joined(lines))
	for i := range 3 {
		r.start()
		r.wantLines(lines...)
		r.copy("a.log", "tmp")
		more := numbered("more", i, i+1)
		lines = append(lines, more...)
		r.write("tmp", joined(more))
		r.rename("tmp", "a.log")
		r.wantLines(lines...)
		r.stop()
	}
	p, err := openTestPositions(t, r.state, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := statPath(r.path("a.log"))
	if err != nil {
		t.Fatal(err)
	}
	for k := range p.live {
		if k.identity != l.id {
			t.Errorf("there is a position of a file that is no more: %v", k)
		}
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
}

// TestCopyThatTakesThePlaceOfALog: rsync and others write a file beside the log, which is passed over as a copy, and give
// it the name of the log. It is read on from where the log was read to, also if it is rotated before it is seen.
func TestCopyThatTakesThePlaceOfALog(t *testing.T) {
	t.Parallel()
	for _, down := range []bool{false, true} {
		t.Run(fmt.Sprintf("down=%v", down), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "a.log")
			lines := numbered("a", 0, 500)
			r.write("a.log", joined(lines))
			if err := os.Mkdir(r.path("old"), 0o755); err != nil {
				t.Fatal(err)
			}
			r.start()
			r.wantLines(lines...)
			r.copy("a.log", "a.log.tmp")
			r.until("the copy is passed over", func() bool {
				data, err := os.ReadFile(filepath.Join(r.state, "positions"))
				return err == nil && bytes.Contains(data, []byte(" i "))
			})
			if down {
				r.stop()
			}
			r.rename("a.log.tmp", "a.log")
			for i, old := range []string{"old/a.log.1", "a.log.2"} {
				more := numbered("more", 100*i, 100*i+100)
				lines = append(lines, more...)
				r.write("a.log", joined(more))
				r.rename("a.log", old)
			}
			r.write("a.log", "last\n")
			if down {
				r.start()
			}
			r.wantLines(append(lines, "last\n")...)
		})
	}
}
