package hop

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestChoose(t *testing.T) {
	for name, c := range map[string]struct {
		senders []int
		own     int
		want    int
	}{
		"stay with few":                {[]int{100, 100, 104}, 2, 2},
		"stay though another is first": {[]int{90, 100}, 1, 1},
		"leave what has too many":      {[]int{110, 60, 130}, 2, 1},
		"the first in the order":       {[]int{50, 40, 130}, 2, 0},
		"pass over a full one":         {[]int{130, 100, 100}, -1, 1},
		"no other is better":           {[]int{1, 1, 2}, 2, 2},
		"two at one of two":            {[]int{0, 2}, 1, 0},
		"the only one":                 {[]int{3}, 0, 0},
		"have to leave, all the same":  {[]int{5, 5, 5}, -1, 0},
		"have to leave, empty":         {[]int{0}, -1, 0},
	} {
		if got := choose(c.senders, c.own); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestRankIsTheSameForEver(t *testing.T) {
	if r := rankOf("web1 /var/lib/inkwell", "c1.example.com:1463"); r != 0xe907bc0ac1eeed97 {
		t.Errorf("%#x: senders of this version would all move away from those of the version before", r)
	}
}

// simulation is a discrete simulation of senders that spread over collectors, with the rules of choose, targets and review:
// what a sender does at a time depends only on what it can know then.
type simulation struct {
	seed       uint64
	r          *rand.Rand
	now        time.Duration
	collectors []*simCollector
	senders    []*simSender
	moves      int // of senders from one collector to another, since the last report
}

type simCollector struct {
	name          string
	senders       int
	dead, leaving bool
}

type simSender struct {
	order []*simCollector // its own
	at    *simCollector
	due   time.Duration // of its next review
}

func newSimulation(seed uint64, senders, collectors int) *simulation {
	s := &simulation{seed: seed, r: rand.New(rand.NewPCG(seed, 1))}
	for i := range collectors {
		s.collectors = append(s.collectors, &simCollector{name: fmt.Sprintf("c%d.example.com:1463", i)})
	}
	for i := range senders {
		f := &simSender{}
		s.senders = append(s.senders, f)
		s.arrange(f, i)
		s.connect(f, f.order[0])
	}
	return s
}

// arrange puts the collectors into the order of sender i.
func (s *simulation) arrange(f *simSender, i int) {
	name := fmt.Sprintf("web%d.site%d /var/lib/inkwell", i, s.seed)
	f.order = slices.Clone(s.collectors)
	slices.SortFunc(f.order, func(a, b *simCollector) int {
		if rankOf(name, a.name) < rankOf(name, b.name) {
			return -1
		}
		return 1
	})
}

func (s *simulation) soon() time.Duration {
	return s.now + time.Duration(s.r.Int64N(int64(reviewSoon)))
}

func (s *simulation) connect(f *simSender, to *simCollector) {
	if f.at != nil {
		f.at.senders--
		s.moves++
	}
	f.at = to
	to.senders++
	f.due = s.soon()
}

// review is what link.consider, ask and pick do.
func (s *simulation) review(f *simSender) {
	f.due = s.now + reviewOften/2 + time.Duration(s.r.Int64N(int64(reviewOften)))
	var list []*simCollector
	for _, c := range f.order {
		if c != f.at && !c.dead && !c.leaving && len(list) < asked { // those that do not answer rest, and others are asked
			list = append(list, c)
		}
	}
	own := -1
	if !f.at.leaving {
		own = len(list)
		list = append(list, f.at)
	}
	var counts []int
	for _, c := range list {
		counts = append(counts, c.senders)
	}
	if i := choose(counts, own); i != own {
		s.connect(f, list[i])
	}
}

// run lets time pass.
func (s *simulation) run(d time.Duration) {
	for end := s.now + d; ; {
		next := slices.MinFunc(s.senders, func(a, b *simSender) int { return int(a.due - b.due) })
		if next.due > end {
			s.now = end
			return
		}
		s.now = next.due
		s.review(next)
	}
}

// join adds a collector to the list of all senders.
func (s *simulation) join() {
	s.collectors = append(s.collectors, &simCollector{name: fmt.Sprintf("c%d.example.com:1463", len(s.collectors))})
	for i, f := range s.senders {
		s.arrange(f, i)
		f.due = min(f.due, s.soon())
	}
}

// die ends a collector without a word: its senders try the next in their order.
func (s *simulation) die(c *simCollector) {
	c.dead = true
	for _, f := range s.senders {
		if f.at == c {
			s.connect(f, f.order[slices.IndexFunc(f.order, func(c *simCollector) bool { return !c.dead && !c.leaving })])
		}
	}
}

// drain lets a collector tell its senders, within the ten seconds between two reports, to go elsewhere.
func (s *simulation) drain(c *simCollector) {
	c.leaving = true
	for _, f := range s.senders {
		if f.at == c {
			f.due = s.now + time.Duration(s.r.Int64N(int64(10*time.Second)))
		}
	}
}

// figures returns the shares of the collectors that work, in percent of their mean, and the moves since the last call.
func (s *simulation) figures() (least, most float64, moves int) {
	sum, n, low, high := 0, 0, 1<<30, 0
	for _, c := range s.collectors {
		if !c.dead && !c.leaving {
			sum, n, low, high = sum+c.senders, n+1, min(low, c.senders), max(high, c.senders)
		}
	}
	mean := float64(sum) / float64(n)
	moves, s.moves = s.moves, 0
	return 100 * float64(low) / mean, 100 * float64(high) / mean, moves
}

// TestThousandSenders: 1,000 senders spread over 10 collectors; then one joins, one dies and one drains. The shares stay
// within 20 % of their mean, and no more senders move than have to: those of a collector that goes, or the share of one
// that comes, which are those that the others have above the new mean; then two senders in a hundred at most, to even out
// the shares.
func TestThousandSenders(t *testing.T) {
	const senders = 1000
	const even = senders / 100 // moves to even out the shares
	var table strings.Builder
	fmt.Fprintf(&table, "%-34s %5s %8s %8s %6s %6s\n", "", "seed", "least %", "most %", "moves", "needed")
	for seed := range uint64(10) {
		s := newSimulation(seed, senders, 10)
		check := func(what string, within float64, needed int) {
			t.Helper()
			least, most, moves := s.figures()
			fmt.Fprintf(&table, "%-34s %5d %8.0f %8.0f %6d %6d\n", what, seed, least, most, moves, needed)
			if least < 100-within || most > 100+within {
				t.Errorf("seed %d, %s: shares between %.0f and %.0f %% of the mean", seed, what, least, most)
			}
			if moves > needed {
				t.Errorf("seed %d, %s: %d moves, %d are needed", seed, what, moves, needed)
			}
		}
		over := func(bound int) (n int) {
			for _, c := range s.collectors {
				n += max(0, c.senders-bound)
			}
			return n
		}
		surplus := over(senders / 10)
		least, most, _ := s.figures()
		fmt.Fprintf(&table, "%-34s %5d %8.0f %8.0f\n", "hashing alone", seed, least, most)
		s.run(10 * time.Minute)
		check("10 collectors, after 10 minutes", 10, surplus+even)
		surplus = over(senders / 11)
		s.join()
		s.run(time.Minute)
		check("one joins, after a minute", 20, surplus)
		s.run(10 * time.Minute)
		check("one joins, 10 minutes later", 20, even)
		dies := s.collectors[3]
		of := dies.senders
		s.die(dies)
		check("one dies, at once", 20, of)
		s.run(10 * time.Minute)
		check("one dies, 10 minutes later", 10, 2*even)
		drains := s.collectors[5]
		of = drains.senders
		s.drain(drains)
		s.run(11 * time.Second)
		if drains.senders > 0 {
			t.Errorf("seed %d: %d senders stay with a collector that drains", seed, drains.senders)
		}
		check("one drains, after 11 seconds", 20, of+even)
		s.run(10 * time.Minute)
		check("one drains, 10 minutes later", 10, even)
	}
	t.Logf("\n%s", &table)
}
