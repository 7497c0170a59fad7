// Package cluster breaks three collectors that share a topic of three Kafka brokers, at random for minutes, and then
// compares what the senders have sent with what is in the depot, byte by byte:
//
//	rotated logs ► 3 × inkwell forward ─┐            ┌─► collect a ─┐          ┌─► broker 1 ─┐
//	pipe ────────► inkwell pipe ────────┼─ proxies ──┼─► collect b ─┼─ proxies ┼─► broker 2 ─┼─ proxies among them
//	Thrift clients ─────────────────────┘            ├─► collect c ─┤          └─► broker 3 ─┘
//	                                                 └   a guest   ─┴─ proxy ─► S3, or HDFS with two DataNodes
//
//	make chaos-cluster MINUTES=20 DEPOT=hdfs         INKWELL_TEST_SEED=N repeats the dice, not the timing
//
// Collectors, forwarders, brokers and the servers of the depot are killed and started again; collectors and brokers are
// stopped for longer than their sessions; a collector is cut off from one broker or from all, a broker from the others, a
// sender from a collector, everybody from the depot; a guest joins the group and leaves it; the disk of a collector is
// full. At the end every line of the logs and of the pipe must be in the depot once and in its order, as must what the
// clients were answered OK for, and inkwell audit must agree. TestControl does the same with a collector that publishes
// files before it commits them, and must find lines twice.
//
// The pipe is never killed, because what a process has read from a pipe dies with it. A client never sends anything
// again: entries without numbers that are sent again may be stored twice, as documented. Full disks take root.
package cluster

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"inkwell/test/harness"
)

// The variables of the environment.
const (
	minutesVar = "INKWELL_CHAOS_MINUTES"
	seedVar    = "INKWELL_TEST_SEED"
	depotVar   = "INKWELL_CHAOS_DEPOT" // s3 or hdfs
)

// controlTime is how long the control runs at most. It ends when it has found something.
const controlTime = 5 * time.Minute

func TestMain(m *testing.M) {
	code := m.Run()
	harness.ReportNotRun()
	os.Exit(code)
}

// number reads a variable of the environment.
func number(t *testing.T, name string, otherwise float64) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(cmp.Or(os.Getenv(name), fmt.Sprint(otherwise)), 64)
	if err != nil || n <= 0 {
		t.Fatalf("%s=%q: must be a number above 0", name, os.Getenv(name))
	}
	return n
}

func TestCluster(t *testing.T) {
	long := time.Duration(number(t, minutesVar, 2) * float64(time.Minute))
	v, ran := breakIt(t, long)
	if ran && (v.missing > 0 || v.twice > 0 || v.late > 0) {
		t.Errorf("%d lines are missing, %d are there twice, %d are out of order", v.missing, v.twice, v.late)
	}
}

// TestControl shows that TestCluster sees the difference: collectors that publish files before they commit them, as most
// sinks do, write lines twice.
func TestControl(t *testing.T) {
	v, ran := breakIt(t, controlTime, "publishearly")
	if ran && v.twice == 0 {
		t.Errorf("collectors that publish before they commit have written nothing twice (%d lines are missing): the "+
			"test does not see the difference", v.missing)
	}
}

// breakIt runs the fleet with a build of the program for some time and returns the verdict, or reports that this machine
// cannot.
func breakIt(t *testing.T, long time.Duration, tags ...string) (v *verdict, ran bool) {
	seed := uint64(number(t, seedVar, float64(time.Now().UnixNano()>>20)))
	f, ran := newFleet(t, tags...)
	if !ran {
		return nil, false
	}
	t.Logf("%s=%d, %v, in %s", seedVar, seed, long, f.dir)
	f.start()
	w := &wreckers{f: f, rng: rand.New(rand.NewPCG(seed, 2))}
	w.run(time.Now().Add(long), func() bool { return len(tags) > 0 && f.twice() > 0 })
	f.drain()
	v = f.judge()
	if len(tags) == 0 {
		f.audit()
		w.enough(long)
	}
	t.Log(w.table(v))
	return v, true
}
