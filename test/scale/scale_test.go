package scale

import (
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables into docs/scale-out.md")

// measured are the costs of the access log of the benchmarks (make bench-kafka), on a virtual machine with two cores.
var measured = Costs{TakeCPU: 3.5, DrainCPU: 7, Wire: 0.2, File: 0.12, Silence: 45}

// machines are what somebody would buy. Broker is what one broker took on that machine, beside its client, Reader is
// what one goroutine reads there, and Requests is what Amazon promises for a prefix.
var machines = Machines{Cores: 32, Network: 3, Broker: 0.15, Requests: 3500, Reader: 0.4, Upload: 0.4}

// shape is how n collectors would be used.
func shape(n, fan int) Shape {
	return Shape{Collectors: n, Brokers: max(3, 3*n), Categories: 1000, Fan: fan, Period: 900, Epoch: 2.147, Headroom: 0.4}
}

func scene(s Shape, rate, seconds float64, e Event) Scene {
	return Scene{Costs: measured, Machines: machines, Shape: s, Event: e, Rate: rate, Seconds: seconds}
}

// TestNothingIsLost balances what comes in, what is in the depot, and what waits, whatever happens.
func TestNothingIsLost(t *testing.T) {
	for name, e := range map[string]Event{
		"nothing":           {From: 2000, To: 2000},
		"a collector dies":  {From: 2000, To: 2000, Collector: true},
		"the depot is away": {From: 2000, To: 5600, Depot: true},
	} {
		s := shape(10, 16)
		rate := Limits(measured, machines, s)[0].Rate
		o := Simulate(scene(s, rate, 20000, e))
		if math.Abs(o.In-rate*20000) > o.In/1e6 || math.Abs(o.In-o.Out-o.Backlog) > o.In/1e6 || o.Backlog > rate*(s.Period+step)*1.01 {
			t.Errorf("%s: %+v", name, o)
		}
		if o.Caught < 0 {
			t.Errorf("%s: it has not caught up: %+v", name, o)
		}
	}
}

// TestTooMuch gives collectors more than they can take: the backlog grows by what is too much.
func TestTooMuch(t *testing.T) {
	s := shape(10, 16)
	s.Headroom = 0
	rate := 1.2 * float64(s.Collectors) * machines.Cores / (measured.TakeCPU + measured.DrainCPU)
	one := scene(s, rate, 10000, Event{})
	one.Machines.Reader, one.Machines.Upload = 100, 100 // the CPU is the limit, not one partition
	o := Simulate(one)
	drains := float64(s.Collectors) * (machines.Cores - rate/float64(s.Collectors)*measured.TakeCPU) / measured.DrainCPU
	if grown := o.Backlog / 10000; math.Abs(grown-(rate-drains)) > 0.1*rate {
		t.Errorf("the backlog grows by %.2f GB/s, want %.2f", grown, rate-drains)
	}
}

// TestTables compares the tables of the documentation with what the model says.
func TestTables(t *testing.T) {
	const path, begin, end = "../../docs/scale-out.md", "<!-- test/scale -->\n", "<!-- /test/scale -->\n"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), begin)
	now, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no place for the tables", path)
	}
	want := "\n" + limitsTable() + "\n" + eventsTable() + "\n"
	t.Log(want)
	if now == want {
		return
	}
	if !*update {
		t.Fatalf("%s has other tables: go test ./test/scale -update", path)
	}
	if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// fleets are the numbers of collectors in the tables. The last is for 15 TB/s.
var fleets = []int{1, 10, 100, 1000, enough(15000)}

// enough is how many collectors have the CPU for a rate in GB/s.
func enough(rate float64) int {
	return int(math.Ceil(rate/Limits(measured, machines, shape(1, 1))[0].Rate/100)) * 100
}

// limitsTable says what breaks first, and what then.
func limitsTable() string {
	var b strings.Builder
	b.WriteString("| collectors | `fan` | breaks first at | and then | and then |\n| --- | --- | --- | --- | --- |\n")
	for _, n := range fleets {
		for _, fan := range []int{1, 16, 1024} {
			if fan > 4*n {
				continue
			}
			l := Limits(measured, machines, shape(n, fan))
			fmt.Fprintf(&b, "| %s | %d |", grouped(n), fan)
			for _, one := range l[:3] {
				fmt.Fprintf(&b, " %s: %s |", one.What, speed(one.Rate))
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// eventsTable says what happens at the rate of the first limit.
func eventsTable() string {
	var b strings.Builder
	b.WriteString("| collectors | `fan` | at | brokers | partitions | requests to the depot | a collector dies: lag, caught up after | depot away for 2 h: caught up after |\n" +
		"| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, n := range fleets[:4] {
		s := shape(n, min(1024, 2*n))
		rate := Limits(measured, machines, s)[0].Rate
		dies := "–"
		if n > 1 {
			o := Simulate(scene(s, rate, 20000, Event{From: 4000, To: 4000, Collector: true}))
			dies = fmt.Sprintf("%.0f min, %s", o.MaxLag/60, after(o))
		}
		away := Simulate(scene(s, rate, 40000, Event{From: 4000, To: 11200, Depot: true}))
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | %.0f/s | %s | %s |\n", grouped(n), s.Fan, speed(rate), grouped(s.Brokers), grouped(s.Partitions()),
			s.Requests(rate), dies, after(away))
	}
	return b.String()
}

func after(o Outcome) string {
	if o.Caught < 0 {
		return "not in 8 h"
	}
	return fmt.Sprintf("%.0f min", math.Ceil(o.Caught/60))
}

func speed(gb float64) string {
	if gb == 0 {
		return "at any rate"
	}
	if gb >= 1000 {
		return fmt.Sprintf("%.2g TB/s", gb/1000)
	}
	return fmt.Sprintf("%.3g GB/s", gb)
}

func grouped(n int) string {
	if n >= 1000 {
		return fmt.Sprintf("%d,%03d", n/1000, n%1000)
	}
	return fmt.Sprint(n)
}
