package forwarder

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestPowerCutTakesTheEndOfAFile plays a power cut: the positions are of before the last lines, which were sent, and
// the end of the file is not on the disk. What is written after the start stands where those stood, and must not be
// taken for them.
func TestPowerCutTakesTheEndOfAFile(t *testing.T) {
	t.Parallel()
	g := newWireRig(t)
	g.peer.store.knowNumbers(t)
	g.peer.start()
	sent := func(n int) func() bool { return func() bool { return g.peer.store.count("c") == n } }
	lines := numbered("a", 0, 100)
	path := filepath.Join(g.dir, "a.log")

	g.write("a.log", lines[:50])
	g.start()
	g.until("the first lines", sent(50))
	if err := g.end(true); err != nil {
		t.Fatal(err)
	}
	synced := t.TempDir()
	if err := os.CopyFS(synced, os.DirFS(g.o.StateDir)); err != nil {
		t.Fatal(err)
	}
	g.write("a.log", lines[50:])
	g.start()
	g.until("the others", sent(100))
	if err := g.end(true); err != nil {
		t.Fatal(err)
	}

	g.o.StateDir = synced
	if err := os.WriteFile(filepath.Join(synced, bootName), []byte("another start\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(len(joined(lines[:70])))); err != nil {
		t.Fatal(err)
	}
	after := numbered("b", 0, 100)
	g.write("a.log", after)
	g.start()
	g.until("what was written after the start", func() bool {
		got := g.peer.store.get("c")
		return len(got) >= 100 && slices.Equal(got[max(0, len(got)-100):], after)
	})
	got := g.peer.store.get("c")
	if !slices.Equal(got[:100], lines) || !slices.Equal(got[100:len(got)-100], lines[50:70]) {
		t.Errorf("%d lines came, want those that were sent, the 20 that are read again, and the new ones", len(got))
	}
	if err := g.end(true); err != nil {
		t.Fatal(err)
	}
}
