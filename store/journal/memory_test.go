package journal

import (
	"strings"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store/spool"
)

// slowDisk takes a while for everything that is written to the segments of the journal.
type slowDisk struct{}

func (slowDisk) Inject(op faultfs.Op, path string, n int) (int, error) {
	if op == faultfs.OpWrite && strings.HasSuffix(path, ".log") {
		time.Sleep(20 * time.Millisecond)
	}
	return n, nil
}

// With the durability memory, Append returns before the entries are in the journal. A run that is stopped then waits for
// them, and delivers them.
func TestStoppedBeforeTheJournalIsWritten(t *testing.T) {
	s, w := newShelf(), &writer{next: make(map[string]int), acked: make(map[string]int)}
	j, err := Open(Options{StateDir: t.TempDir(), Durability: spool.Memory, Injector: slowDisk{}})
	if err != nil {
		t.Fatal(err)
	}
	l := &life{j: j, shelf: s}
	l.start(noFault)
	w.write(t, l, "a", 10)
	j.Stop(time.Minute)
	if _, entries := j.Backlog(); entries > 0 {
		t.Errorf("%d entries stayed in the journal", entries)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	check(t, s, w)
}
