package fleet

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"inkwell/proto"
)

// hears passes a report to a table as a collector does, through its JSON.
func hears(t *testing.T, table *Table, peer string, r Report, at time.Time) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > proto.MaxReport {
		t.Fatalf("a report of %d bytes", len(text))
	}
	read, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	table.Hear(peer, read, at)
}

// TestThreeTiers: a relay hands on what it knows of its senders and of those of a relay before it.
func TestThreeTiers(t *testing.T) {
	var edge, middle, centre Table
	hears(t, &edge, "10.1.0.1", Report{Host: "web1", Program: "forward"}, noon)
	hears(t, &edge, "10.1.0.2", Report{Host: "web2", Program: "forward", SpoolAge: 90, SpoolBytes: 7}, noon)
	hears(t, &edge, "10.1.0.3", Report{Host: "web3", Program: "pipe"}, noon.Add(-time.Minute))
	s := edge.Status(noon)
	hears(t, &middle, "10.2.0.1", Report{Host: "edge", Program: "relay", Senders: s.Summary(noon)}, noon)
	hears(t, &middle, "10.2.0.2", Report{Host: "db1", Program: "forward", Trouble: "no space"}, noon)
	s = middle.Status(noon)
	hears(t, &centre, "10.3.0.1", Report{Host: "middle", Program: "relay", Senders: s.Summary(noon)}, noon)

	s = centre.Status(noon.Add(Every))
	var got []string
	for _, of := range s.Senders {
		got = append(got, fmt.Sprintf("%s %s via %q lag %d heard %v ago", of.Host, of.State, of.Via, of.Lag,
			noon.Add(Every).Sub(of.Heard)))
	}
	want := `web3 silent via "middle edge" lag 0 heard 1m10s ago
db1 trouble via "middle" lag 0 heard 10s ago
web2 behind via "middle edge" lag 7 heard 10s ago
middle sending via "" lag 0 heard 10s ago`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("the centre sees\n%s\nwant\n%s", text, want)
	}
	for state, n := range map[State]int{Silent: 1, Trouble: 1, Behind: 1, Sending: 3} {
		if s.Count[state] != n || centre.Count(state, noon.Add(Every)) != n {
			t.Errorf("%d %s, counted %d, want %d", s.Count[state], state, centre.Count(state, noon.Add(Every)), n)
		}
	}
	// Of a relay that is silent, only that is known.
	late := noon.Add(SilentAfter + time.Second)
	if s = centre.Status(late); len(s.Senders) != 1 || s.Count[Silent] != 1 || s.Count[Sending] != 0 {
		t.Errorf("of a silent relay: %+v", s)
	}
}

// TestSummaryIsBounded in what a relay sends and in what a collector takes.
func TestSummaryIsBounded(t *testing.T) {
	var table, centre Table
	for i := range maxOfPeer {
		table.Hear("peer", Report{Host: strings.Repeat("h", proto.MaxHost), Name: fmt.Sprint(i, strings.Repeat("n", 900)),
			Trouble: strings.Repeat("t", 200)}, noon)
	}
	s := table.Status(noon)
	sum := s.Summary(noon)
	if n := len(sum.Unwell); n == 0 || n > maxUnwell || sum.bytes() > maxSummary || sum.Count[Trouble] != maxOfPeer {
		t.Errorf("%d listed, %v", len(sum.Unwell), sum.Count)
	}
	text, err := json.Marshal(Report{Host: "r", Senders: sum})
	if err != nil || len(text) > proto.MaxReport {
		t.Errorf("a report of %d bytes, %v", len(text), err)
	}
	bad := &Summary{Count: map[State]int{Silent: 1 << 40, "made up": 3, Behind: -1}}
	for range 3 * maxUnwell {
		bad.Unwell = append(bad.Unwell, Unwell{Host: "x\n", State: Silent, Heard: 1e300, Via: "\x1b[31m"},
			Unwell{Host: "", State: Silent}, Unwell{Host: "well", State: Sending})
	}
	text, err = json.Marshal(Report{Host: "bad", Senders: bad})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	centre.Hear("bad", r, noon)
	s = centre.Status(noon)
	if len(s.Senders) != maxUnwell+1 || s.Count[Silent] != maxCount || s.Count[Behind] != 0 || len(s.Count) != 2 {
		t.Errorf("%d senders, %v", len(s.Senders), s.Count)
	}
	for _, of := range s.Senders[:maxUnwell] {
		if strings.ContainsAny(of.Host+of.Via, "\n\x1b") || of.Host == "well" {
			t.Errorf("%+v", of)
		}
	}
	if _, err := json.Marshal(s); err != nil {
		t.Error(err)
	}
}
