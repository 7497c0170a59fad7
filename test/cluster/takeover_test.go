package cluster

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/test/harness"
)

// backlogVar is how many megabytes are not committed yet when the owner of a partition is killed.
const backlogVar = "INKWELL_TAKEOVER_MB"

// TestTakeOver kills the owner of a partition in the middle of a long epoch, and measures how long it takes until the
// first line of that epoch is in the depot.
func TestTakeOver(t *testing.T) {
	k, ok := harness.NewBrokers(t, 3, "a", "b")
	if !ok {
		return
	}
	d, ok := newBucket(t)
	if !ok {
		return
	}
	f := &fleet{t: t, dir: directory(t), kafka: k, depot: d, every: time.Hour}
	var err error
	if f.ink, err = harness.Build(t.TempDir(), raced); err != nil {
		t.Fatal(err)
	}
	k.Topic(t, topic, 1, topicSettings...)
	a, b := f.collector("a"), f.collector("b")
	a.begin()
	harness.Until(t, "the owner answers", f.nodes[0].Answers)
	// What the owner has in its first epoch comes at once; the rest would come at the end of the hour.
	mb := int(number(t, backlogVar, 200))
	sent := f.fill(40, 0)
	first := 0
	harness.Until(t, "the first epoch of the owner is in the depot", func() bool { first = f.arrived(); return first > 0 })
	f.fill(mb, sent)
	b.begin()
	harness.Until(t, "the successor answers", f.nodes[1].Answers)
	harness.Until(t, "the owner has read everything", func() bool { return f.nodes[0].Counter(t, "kafka lag records") > 0 })
	a.kill()
	killed := time.Now()
	harness.Until(t, "the successor drains", func() bool { return strings.Contains(f.nodes[1].Stderr(), "draining a partition") })
	owned := time.Since(killed)
	harness.Until(t, "a line is in the depot that was not there before", func() bool { return f.arrived() > first })
	t.Logf("%.1f s after the owner was killed its successor owns the partition", owned.Seconds())
	t.Logf("%.1f s after the owner was killed the first of %d MB that it had not committed are in the depot, with a "+
		"session of %v", time.Since(killed).Seconds(), mb, session)
	b.kill()
}

// fill sends so many megabytes of lines to the first collector, from a number on, and returns the number behind them.
func (f *fleet) fill(mb, from int) int {
	f.t.Helper()
	s, err := harness.DialScribe(f.nodes[0].Addr)
	if err != nil {
		f.t.Fatal(err)
	}
	defer s.Close()
	for bytes := 0; bytes < mb<<20; {
		var entries []harness.Entry
		for range 2000 {
			line := string(harness.AppendLine(nil, "filler", from))
			entries = append(entries, harness.Entry{Category: "app", Message: line})
			bytes += len(line)
			from++
		}
		if code, err := s.Log(entries...); err != nil || code != harness.OK {
			f.t.Fatal(code, err)
		}
	}
	return from
}

// arrived counts the files of the category in the depot.
func (f *fleet) arrived() int {
	f.t.Helper()
	paths, err := filepath.Glob(filepath.Join(f.depot.fetch(f.t), "app", "dt=*", "*.gz"))
	if err != nil {
		f.t.Fatal(err)
	}
	return len(paths)
}
