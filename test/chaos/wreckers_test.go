package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/test/harness"
)

// wreckers are all that breaks something, and how often each did.
type wreckers struct {
	f   *fleet
	rng *rand.Rand // of the one goroutine that casts the dice
	out sync.WaitGroup

	rounds, kills, stops, networks, cuts, fulls, clocks atomic.Int64

	busy [10]sync.Mutex // of proxies
}

func newWreckers(f *fleet, rng *rand.Rand) *wreckers { return &wreckers{f: f, rng: rng} }

// run breaks something every now and then until the time is over, and waits until everything stands again.
func (w *wreckers) run(until time.Time, progress func() string) {
	tell := time.Now()
	for time.Now().Before(until) && !w.f.t.Failed() {
		if now := time.Now(); now.Sub(tell) >= 10*time.Second {
			tell = now
			w.f.t.Logf("%v left: %s; %s", time.Until(until).Round(time.Second), progress(), w)
		}
		w.rounds.Add(1)
		w.one()
		time.Sleep(w.span(150, 700))
		w.f.supervise()
	}
	w.out.Wait()
	for _, p := range w.f.proxies {
		p.Set(harness.Pass)
	}
}

// span is a random time in milliseconds.
func (w *wreckers) span(from, to int) time.Duration {
	return time.Duration(from+w.rng.IntN(to-from)) * time.Millisecond
}

// one breaks one thing. All dice are cast here, so that a seed says what happens.
func (w *wreckers) one() {
	dice, hold := w.rng.IntN(100), w.span(100, 2500)
	if w.rng.IntN(25) == 0 {
		hold = 7 * time.Second // longer than a caller of the original's kind waits
	}
	which := w.rng.IntN(1000)
	switch {
	case dice < 30:
		frail := w.f.frail()
		m := frail[which%len(frail)]
		hold /= 2
		w.out.Go(func() { m.kill(hold); w.kills.Add(1) })
	case dice < 45:
		m := w.f.members[which%len(w.f.members)]
		w.out.Go(func() { m.freeze(hold); w.stops.Add(1) })
	case dice < 80:
		i := which % len(w.f.proxies)
		faults := []harness.Fault{harness.Refuse, harness.Swallow, harness.Pause, harness.LoseAnswers, harness.LoseAnswers, harness.Slow, harness.Delay}
		fault := faults[w.rng.IntN(len(faults))]
		w.out.Go(func() { w.network(i, fault, hold) })
	case dice < 90:
		w.f.proxies[which%len(w.f.proxies)].Cut()
		w.cuts.Add(1)
	case dice < 95:
		d := w.f.disks[which%len(w.f.disks)]
		w.out.Go(func() {
			if d.Fill(w.f.t, hold) {
				w.fulls.Add(1)
			}
		})
	default:
		jumps := []string{"0s", "0s", "90s", "-45s", "1h", "-1h", "26h", "-30h"}
		if err := os.WriteFile(w.f.clock, []byte(jumps[which%len(jumps)]), 0o644); err != nil {
			w.f.t.Error(err)
		}
		w.clocks.Add(1)
	}
}

// network puts a fault on a proxy for a while.
func (w *wreckers) network(i int, fault harness.Fault, hold time.Duration) {
	w.busy[i].Lock()
	defer w.busy[i].Unlock()
	w.f.proxies[i].Set(fault)
	time.Sleep(hold)
	w.f.proxies[i].Set(harness.Pass)
	w.networks.Add(1)
}

// String is what was done so far.
func (w *wreckers) String() string {
	return fmt.Sprintf("%d rounds, %d kills, %d stops, %d network faults, %d full disks, %d clock jumps", w.rounds.Load(), w.kills.Load(), w.stops.Load(),
		w.networks.Load()+w.cuts.Load(), w.fulls.Load(), w.clocks.Load())
}

// broken adds up what the proxies did.
func (w *wreckers) broken() (cuts, lost int64) {
	for _, p := range w.f.proxies {
		cuts += p.Cuts.Load()
		lost += p.Lost.Load()
	}
	return cuts, lost
}

// bounded adds up what the next hops with bounds did.
func (w *wreckers) bounded() (passed, later int64) {
	for _, b := range w.f.bounds {
		passed += b.Passed.Load()
		later += b.Later.Load()
	}
	return passed, later
}

// table is the outcome.
func (w *wreckers) table(s *sources) string {
	cuts, lost := w.broken()
	starts := int64(0)
	for _, m := range w.f.members {
		starts += m.refused.Load()
	}
	var text strings.Builder
	row := func(name string, n int64) { fmt.Fprintf(&text, "  %-44s %10d\n", name, n) }
	text.WriteString("what was seen\n")
	row("rounds", w.rounds.Load())
	row("kills", w.kills.Load())
	row("stops (SIGSTOP)", w.stops.Load())
	row("network faults", w.networks.Load()+w.cuts.Load())
	row("connections cut", cuts)
	row("answers lost", lost)
	passed, later := w.bounded()
	row("calls within the bounds of a next hop", passed)
	row("calls above them, answered TRY_LATER", later)
	row("full disks", w.fulls.Load())
	row("starts that failed for want of room", starts)
	row("clock jumps", w.clocks.Load())
	row("rotations of the followed log", int64(s.tailed.Rotations()))
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range s.found {
			if !yield(name) {
				return
			}
		}
	}) {
		row(name, s.found[name])
	}
	return text.String()
}

// enough fails the test if too little happened to mean anything.
func (w *wreckers) enough(long time.Duration) {
	_, lost := w.broken()
	_, later := w.bounded()
	least := int64(long / (20 * time.Second))
	for name, n := range map[string]int64{"kills": w.kills.Load(), "stops": w.stops.Load(), "network faults": w.networks.Load(), "lost answers": lost, "calls above the bounds of a next hop": later} {
		if n < least {
			w.f.t.Errorf("%d %s in %v: too few to mean much", n, name, long)
		}
	}
}
