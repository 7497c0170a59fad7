package cluster

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/test/harness"
)

// wreckers are all that breaks something.
type wreckers struct {
	f     *fleet
	rng   *rand.Rand // of the one goroutine that casts the dice
	out   sync.WaitGroup
	count [len(rows)]atomic.Int64

	outage sync.Mutex // held while a broker is down, so that there are two most of the time
	links  sync.Map   // *harness.Proxy that has a fault
}

// What is counted.
const (
	rounds = iota
	collectorKills
	forwarderKills
	brokerKills
	depotKills
	collectorStops
	longStops
	brokerStops
	partitionsOfAll
	partitionsOfOne
	partitionsOfBrokers
	senderFaults
	depotFaults
	guests
	leaves
	fullDisks
)

var rows = [...]string{rounds: "rounds", collectorKills: "kills of collectors", forwarderKills: "kills of forwarders",
	brokerKills: "kills of brokers", depotKills: "kills of servers of the depot", collectorStops: "stops of collectors",
	longStops: "… beyond their session", brokerStops: "stops of brokers", partitionsOfAll: "a collector without brokers",
	partitionsOfOne: "a collector without one broker", partitionsOfBrokers: "a broker without the others",
	senderFaults: "faults between sender and collector", depotFaults: "faults between collectors and depot",
	guests: "guests of the group", leaves: "orderly restarts of collectors", fullDisks: "full disks of collectors"}

// run breaks something every now and then until the time is over or enough says so, which is asked every 20 seconds, and
// waits until everything is whole again.
func (w *wreckers) run(until time.Time, enough func() bool) {
	tell := time.Now()
	for time.Now().Before(until) && !w.f.t.Failed() {
		if now := time.Now(); now.Sub(tell) >= 20*time.Second {
			tell = now
			w.f.t.Logf("%v left: %s", time.Until(until).Round(time.Second), w.f.sources.progress())
			if enough() {
				break
			}
		}
		w.count[rounds].Add(1)
		w.one()
		time.Sleep(w.span(500, 3000))
		w.f.supervise()
	}
	w.out.Wait()
}

// span is a random time in milliseconds.
func (w *wreckers) span(from, to int) time.Duration {
	return time.Duration(from+w.rng.IntN(to-from)) * time.Millisecond
}

// do breaks something in a goroutine of its own, and counts it when it is whole again.
func (w *wreckers) do(row int, fault func()) {
	w.out.Go(func() {
		fault()
		w.count[row].Add(1)
	})
}

// one breaks one thing. All dice are cast here, so that a seed says what happens.
func (w *wreckers) one() {
	dice, hold, long := w.rng.IntN(100), w.span(100, 5000), w.span(1000, 6000)+session
	which := w.rng.IntN(1000)
	collector := w.f.collectors[which%len(names)]
	switch {
	case dice < 14:
		if which%3 == 0 { // others take its partitions
			hold = long
		}
		w.do(collectorKills, func() { collector.die(hold) })
	case dice < 24:
		w.do(forwarderKills, func() { w.f.forwarders[which%len(w.f.forwarders)].die(hold / 2) })
	case dice < 30:
		w.broker(which, hold)
	case dice < 36:
		s := w.f.depot.servers[which%len(w.f.depot.servers)]
		w.do(depotKills, func() { s.die(hold) })
	case dice < 42:
		w.do(collectorStops, func() { collector.freeze(hold) })
	case dice < 50:
		w.do(longStops, func() { collector.freeze(long) })
	case dice < 82:
		w.network(dice-50, which, hold, long)
	case dice < 88:
		w.visit(long)
	case dice < 94:
		w.do(leaves, func() { w.leave(collector, hold) })
	default:
		d := w.f.disks[which%len(names)]
		w.out.Go(func() {
			if d.Fill(w.f.t, hold) {
				w.count[fullDisks].Add(1)
			}
		})
	}
}

// broker kills a broker, or stops it, or kills all three; others have to wait until they are back.
func (w *wreckers) broker(which int, hold time.Duration) {
	if !w.outage.TryLock() {
		return
	}
	w.out.Go(func() {
		defer w.outage.Unlock()
		one := w.f.brokers[which%len(w.f.brokers)]
		switch which / 3 % 6 {
		case 0:
			var all sync.WaitGroup
			for _, b := range w.f.brokers {
				all.Go(func() { b.die(hold / 5); w.count[brokerKills].Add(1) })
			}
			all.Wait()
		case 1, 2:
			one.freeze(hold + session) // until it is fenced
			w.count[brokerStops].Add(1)
		default:
			one.die(hold)
			w.count[brokerKills].Add(1)
		}
		for end := time.Now().Add(time.Minute); !w.f.kafka.Whole(w.f.t) && time.Now().Before(end); {
			time.Sleep(time.Second)
		}
		time.Sleep(session) // to catch up
	})
}

// network cuts somebody off.
func (w *wreckers) network(dice, which int, hold, long time.Duration) {
	severe := []harness.Fault{harness.Refuse, harness.Swallow, harness.Pause}
	faults := append(severe, harness.LoseAnswers, harness.LoseAnswers, harness.Slow, harness.Delay)
	fault := faults[w.rng.IntN(len(faults))]
	client := append(names, guestName)[which%(len(names)+1)]
	switch {
	case dice < 7:
		if which%3 > 0 {
			hold = long
		}
		fault = severe[which%len(severe)]
		w.do(partitionsOfAll, func() { w.disturb(w.f.kafka.Links(client), fault, hold) })
	case dice < 13:
		link := w.f.kafka.Links(client)[w.rng.IntN(len(w.f.brokers))]
		w.do(partitionsOfOne, func() { w.disturb([]*harness.Proxy{link}, fault, long) })
	case dice < 17:
		link := w.f.kafka.Links("")[which%len(w.f.brokers)]
		fault = severe[which%len(severe)]
		w.do(partitionsOfBrokers, func() { w.disturb([]*harness.Proxy{link}, fault, long) })
	case dice < 26:
		w.do(senderFaults, func() { w.disturb([]*harness.Proxy{w.f.senders[which%len(w.f.senders)]}, fault, hold) })
	default:
		w.do(depotFaults, func() { w.disturb([]*harness.Proxy{w.f.depot.link}, fault, hold) })
	}
}

// disturb puts a fault on proxies for a while. Those that have one already keep it.
func (w *wreckers) disturb(links []*harness.Proxy, fault harness.Fault, hold time.Duration) {
	var mine []*harness.Proxy
	for _, p := range links {
		if _, has := w.links.LoadOrStore(p, true); !has {
			p.Set(fault)
			mine = append(mine, p)
		}
	}
	time.Sleep(hold)
	for _, p := range mine {
		p.Set(harness.Pass)
		w.links.Delete(p)
	}
}

// visit has a guest join the group, and leave it by being killed or in good order.
func (w *wreckers) visit(hold time.Duration) {
	m := w.f.guest
	orderly := w.rng.IntN(2) == 0
	if !m.mu.TryLock() {
		return
	}
	w.do(guests, func() {
		defer m.mu.Unlock()
		m.begin()
		time.Sleep(hold)
		if orderly {
			m.leave(w.f.t)
		} else {
			m.kill()
		}
	})
}

// leave ends a collector in good order and starts it again.
func (w *wreckers) leave(m *member, pause time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leave(w.f.t)
	time.Sleep(pause)
	m.begin()
}

// table is the outcome.
func (w *wreckers) table(v *verdict) string {
	var text strings.Builder
	row := func(name string, n int) { fmt.Fprintf(&text, "  %-48s %10d\n", name, n) }
	text.WriteString("what was seen\n")
	for i, name := range rows {
		row(name, int(w.count[i].Load()))
	}
	failed := 0
	for _, m := range w.f.collectors {
		failed += m.failed
	}
	row("starts of collectors that failed", failed)
	row("partitions taken over", w.f.seen("msg=\"draining a partition\""))
	row("memberships renewed", w.f.seen("the membership in the group is renewed"))
	row("files in the depot", v.files)
	row("lines of which every one is wanted", v.wanted)
	row("lines of clients, answered OK", v.acked)
	row("calls answered TRY_LATER", v.later)
	row("calls not answered", v.nothing)
	row("missing", v.missing)
	row("twice", v.twice)
	row("out of order", v.late)
	return text.String()
}

// enough fails the test if too little happened to mean anything.
func (w *wreckers) enough(long time.Duration) {
	least := int64(long / (5 * time.Minute))
	for i, name := range rows {
		if n := w.count[i].Load(); n < least && i != fullDisks {
			w.f.t.Errorf("%d %s in %v: too few to mean much", n, name, long)
		}
	}
	if w.f.seen("msg=\"draining a partition\"") < partitions*int(long/(2*time.Minute)) {
		w.f.t.Error("partitions hardly moved")
	}
}
