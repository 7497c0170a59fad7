package forwarder

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/internal/stats"
)

// cutRig is a file that was followed while it grew, and what was there when the power failed.
type cutRig struct {
	*wireRig
	path   string
	data   []byte // of the file
	synced string // the state
	past   history
}

const cutLine = 100 // bytes of its lines

func newCutRig(t *testing.T) *cutRig {
	g := &cutRig{wireRig: newWireRig(t)}
	g.path = filepath.Join(g.dir, "a.log")
	g.peer.start()
	g.start()
	n := 0
	for range 25 {
		lines := numbered("a "+strings.Repeat("x", cutLine-10), n, n+1+rand.IntN(600))
		n += len(lines)
		g.write("a.log", lines)
		g.until("the lines", func() bool { return g.peer.store.count("c") == n })
	}
	g.snapshot()
	if len(g.past) < 4 {
		t.Fatalf("%d older positions of a file of %d bytes", len(g.past), len(g.data))
	}
	return g
}

// snapshot stops the forwarder and keeps what is there.
func (g *cutRig) snapshot() {
	g.t.Helper()
	if err := g.end(true); err != nil {
		g.t.Fatal(err)
	}
	var err error
	if g.data, err = os.ReadFile(g.path); err != nil {
		g.t.Fatal(err)
	}
	g.synced = g.o.StateDir
	g.copyState()
	p, err := openTestPositions(g.t, g.o.StateDir, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	l, err := statPath(g.path)
	if err != nil {
		g.t.Fatal(err)
	}
	g.past = p.past[key{l.id, strings.TrimSuffix(g.path, ".1")}]
	if err := p.close(); err != nil {
		g.t.Fatal(err)
	}
}

// copyState has the next run begin with the state that was kept.
func (g *cutRig) copyState() {
	g.t.Helper()
	g.o.StateDir = g.t.TempDir()
	if err := os.CopyFS(g.o.StateDir, os.DirFS(g.synced)); err != nil {
		g.t.Fatal(err)
	}
}

// cut plays the power cut: now is what the file holds after it.
func (g *cutRig) cut(now []byte) {
	g.t.Helper()
	g.copyState()
	g.otherBoot()
	g.put(now)
}

func (g *cutRig) otherBoot() {
	g.t.Helper()
	if err := os.WriteFile(filepath.Join(g.o.StateDir, bootName), []byte("another start\n"), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// put changes what the file holds; it stays the same file.
func (g *cutRig) put(now []byte) {
	g.t.Helper()
	if err := os.WriteFile(g.path, now, 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// readOnce returns what the peer gets of everything there is.
func (g *cutRig) readOnce() string {
	g.t.Helper()
	g.peer.store.mu.Lock()
	clear(g.peer.store.lines)
	g.peer.store.mu.Unlock()
	g.o.Once, g.o.Stats = true, stats.New()
	g.start()
	if err := g.end(false); err != nil {
		g.t.Fatal(err)
	}
	return joined(g.peer.store.get("c"))
}

// from is where reading must go on: the newest place that is in now, which differs from what there was at same.
func (g *cutRig) from(same int) (off int64) {
	if same == len(g.data) {
		return int64(same)
	}
	for _, old := range g.past {
		if old.offset <= int64(same) {
			off = old.offset
		}
	}
	return off
}

// TestPowerCutGoesOnWhereTheFileStillIsWhatItWas cuts the file around each position that is kept, and has nothing, a
// few lines or more than was lost written behind it: everything behind the newest position that the file holds comes,
// and nothing before it.
func TestPowerCutGoesOnWhereTheFileStillIsWhatItWas(t *testing.T) {
	t.Parallel()
	g := newCutRig(t)
	cuts := []int{0, 1, nearby, len(g.data) / 2, len(g.data) - 1, len(g.data)}
	for _, old := range g.past {
		cuts = append(cuts, int(old.offset)-1, int(old.offset), int(old.offset)+1)
	}
	for i, at := range cuts {
		for _, more := range []string{"past the end", []string{"", "few"}[i%2]} {
			now := bytes.Clone(g.data[:at])
			switch more {
			case "few":
				now = append(now, joined(numbered("b", 0, 3))...)
			case "past the end":
				now = append(now, joined(numbered("b", 0, 100+(len(g.data)-at)/9))...)
			}
			g.cut(now)
			from := g.from(at)
			want := string(now[from:])
			if want != "" && !strings.HasSuffix(want, "\n") {
				want += "\n"
			}
			if got := g.readOnce(); got != want {
				t.Errorf("cut at %d of %d, %q written: %d bytes came, want the %d from %d; places %v", at, len(g.data), more, len(got), len(want), from, g.past)
			}
			if more != "few" {
				continue
			}
			if got := g.readOnce(); got != "" {
				t.Errorf("cut at %d, %q written: %d bytes came again at the next start", at, more, len(got))
			}
		}
	}
}

// TestPowerCutOfWhatIsAnotherFile: where the head is another one, and where the machine was not started, a file is read
// from its start.
func TestPowerCutOfWhatIsAnotherFile(t *testing.T) {
	t.Parallel()
	g := newCutRig(t)
	short := g.data[:len(g.data)-5*cutLine]
	other := bytes.Clone(short)
	other[5] ^= 1
	g.cut(other)
	if got := g.readOnce(); got != string(other) {
		t.Errorf("another head: %d bytes came of %d", len(got), len(other))
	}
	g.copyState()
	g.put(short)
	if got := g.readOnce(); got != string(short) {
		t.Errorf("the same start of the machine: %d bytes came of %d", len(got), len(short))
	}
	if n := g.o.Stats.Overall("files truncated").Load(); n != 1 {
		t.Errorf("files truncated = %d", n)
	}
}

// TestPowerCutAndAKillBeforeAnythingWasTaken: the first run after the start of the machine cannot deliver, and notes
// nothing.
func TestPowerCutAndAKillBeforeAnythingWasTaken(t *testing.T) {
	t.Parallel()
	g := newCutRig(t)
	at := len(g.data) - 500
	g.cut(g.data[:at])
	f, err := Open(g.o)
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.Run(over); err != nil {
		t.Fatal(err)
	}
	g.put(append(g.data[:at:at], "new\n"...))
	if got, want := g.readOnce(), string(g.data[g.from(at):at])+"new\n"; got != want {
		t.Errorf("%d bytes came, want %d", len(got), len(want))
	}
}

// TestPowerCutOfARotatedFile: the end of a file that was rotated away is lost, and so is all that was read of the new
// one.
func TestPowerCutOfARotatedFile(t *testing.T) {
	t.Parallel()
	g := newCutRig(t)
	g.start()
	g.path += ".1"
	if err := os.Rename(filepath.Join(g.dir, "a.log"), g.path); err != nil {
		t.Fatal(err)
	}
	g.write("a.log", []string{"new\n"})
	g.until("the new file", func() bool { got := g.peer.store.get("c"); return got[len(got)-1] == "new\n" })
	g.snapshot()
	for _, lost := range []int{cutLine, 5 * cutLine, 1000 * cutLine} {
		for _, glob := range []string{"*.log", "*.log*"} { // by the other one the rotated file's name is wanted too
			at := len(g.data) - lost
			g.cut(g.data[:at])
			if err := os.WriteFile(filepath.Join(g.dir, "a.log"), []byte("newer\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			g.o.Inputs[0].Glob = filepath.Join(g.dir, glob)
			if got, want := g.readOnce(), string(g.data[g.from(at):at])+"newer\n"; got != want {
				t.Errorf("%s, %d lost: %d bytes came, want %d", glob, lost, len(got), len(want))
			}
			for _, v := range g.fwd.follower.volumes {
				for _, known := range v.dirs[g.dir].known {
					if known.trail.path != filepath.Join(g.dir, "a.log") {
						t.Errorf("%s, %d lost: the rotated file is taken for one of its own: %v", glob, lost, known.trail.path)
					}
				}
			}
		}
	}
}

// TestPowerCutAfterCopytruncate: what the position says is in the copy, and the file begins as it did: it is new all
// the same.
func TestPowerCutAfterCopytruncate(t *testing.T) {
	t.Parallel()
	g := newCutRig(t)
	now := bytes.Clone(g.data[:g.past[0].offset])
	now = append(now, "and others\n"...)
	g.cut(now)
	if err := os.WriteFile(g.path+".1", append(bytes.Clone(g.data), "unread\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := g.readOnce(), "unread\n"+string(now); got != want {
		t.Errorf("%d bytes came, want %d: the rest of the copy, and the file", len(got), len(want))
	}
}
