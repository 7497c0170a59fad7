package forwarder

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// TestWhatIsGoneIsForgotten has 3,000 directories with a log come and go: memory is what it was with the first few hundred.
func TestWhatIsGoneIsForgotten(t *testing.T) {
	r := newRig(t)
	r.store.once = nil // which remembers each stream
	r.inputs = []Input{{Category: "c", Glob: r.path("{ns}_*/{c}/*.log")}}
	r.timing.forget, r.timing.keepGone, r.timing.linger = 100*time.Millisecond, 100*time.Millisecond, 50*time.Millisecond
	r.start()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	lines, base := 0, uint64(0)
	for round := range 6 {
		for i := range 500 {
			name := fmt.Sprintf("ns_%d-%d/main", round, i)
			if err := os.MkdirAll(r.path(name), 0o755); err != nil {
				t.Fatal(err)
			}
			r.write(name+"/0.log", "x\n")
			lines++
		}
		r.until("the lines", func() bool { return r.store.count("c") >= lines })
		if round == 0 {
			base = heap() // with 500 of them
		}
		for i := range 500 {
			if err := os.RemoveAll(r.path(fmt.Sprintf("ns_%d-%d", round, i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.until("memory is what it was", func() bool { return heap() < base+1<<20 })
}
