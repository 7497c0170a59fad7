package fleet

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// states returns the senders of a status, as HOST STATE.
func states(s Status) (list []string) {
	for _, of := range s.Senders {
		list = append(list, of.Host+" "+string(of.State))
	}
	return list
}

func TestStates(t *testing.T) {
	var table Table
	for _, r := range []Report{
		{Host: "well"}, {Host: "lagging", OldestAge: 61}, {Host: "spooling", SpoolAge: 61}, {Host: "lost"},
		{Host: "broken", Trouble: "no space", OldestAge: 99}, {Host: "over", Ended: true},
	} {
		at := noon
		if r.Host == "lost" {
			at = noon.Add(-SilentAfter - time.Second)
		}
		table.Hear("10.0.0.1", r, at)
	}
	want := []string{"lost silent", "broken trouble", "lagging behind", "spooling behind", "well sending", "over ended"}
	s := table.Status(noon)
	if got := states(s); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if s.Count[Behind] != 2 || table.Count(Silent, noon) != 1 {
		t.Errorf("%v", s.Count)
	}
	table.Hear("10.0.0.2", Report{Host: "well", Trouble: "made up"}, noon)
	if n := len(table.Status(noon).Senders); n != 7 {
		t.Errorf("another peer spoke for one that was there: %d senders", n)
	}
	if n := len(table.Status(noon.Add(2 * time.Hour)).Senders); n != 6 {
		t.Errorf("after two hours: %d senders", n)
	}
	if n := len(table.Status(noon.Add(31 * 24 * time.Hour)).Senders); n != 0 {
		t.Errorf("after a month: %d senders", n)
	}
}

// TestTableIsBounded for each peer and in total; the sender that was silent for the longest time is dropped.
func TestTableIsBounded(t *testing.T) {
	var table Table
	table.Hear("good", Report{Host: "web1"}, noon)
	for i := range maxOfPeer + 10 {
		table.Hear("bad", Report{Host: fmt.Sprint(i)}, noon.Add(time.Duration(i)*time.Second))
	}
	if n := len(table.Status(noon).Senders); n != maxOfPeer+1 {
		t.Errorf("%d senders", n)
	}
	for i := range maxSenders {
		table.Hear(fmt.Sprint("peer", i), Report{Host: "h"}, noon.Add(time.Hour))
	}
	s := table.Status(noon.Add(time.Hour))
	if len(s.Senders) != maxSenders {
		t.Errorf("%d senders", len(s.Senders))
	}
}

func TestRestore(t *testing.T) {
	var table, later Table
	table.Hear("p", Report{Host: "a", Name: "/state", Lag: 7, Started: noon}, noon)
	table.Hear("p", Report{Host: "a", Name: "/state", Lag: 8, Started: noon}, noon.Add(Every))
	news := table.News()
	senders, changed := table.Changed()
	if _, again := table.Changed(); !changed || again || !news || table.News() {
		t.Error("changed")
	}
	text, err := json.Marshal(senders)
	if err != nil {
		t.Fatal(err)
	}
	if table.Hear("p", senders[0].Report, noon.Add(2*Every)); table.News() {
		t.Error("what was heard again is news")
	}
	table.Hear("p", senders[0].Report, noon.Add(Every))
	var read []Sender
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	later.Restore(read)
	at := noon.Add(time.Minute)
	if a, b := table.Status(at), later.Status(at); !reflect.DeepEqual(a, b) {
		t.Errorf("%+v came back as %+v", a, b)
	}
}

func FuzzParse(f *testing.F) {
	text, err := json.Marshal(Report{Host: "web1", Name: "/var/lib/inkwell", Program: "forward", Started: noon,
		Trouble: "a\nb"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"host":"\u001b[31m","oldest_unsent_seconds":1e308,"started":"0001-01-01T00:00:00Z","spool_bytes":-1}`))
	f.Add([]byte(`{"host":"` + strings.Repeat("x", 5000) + `"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Parse(text)
		if err != nil {
			return
		}
		if r.Host == "" || len(r.Host) > 255 ||
			strings.ContainsAny(r.Host+r.Name+r.Trouble+r.Version+r.Program, "\n\x1b\x00") {
			t.Errorf("%+v", r)
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(again); err != nil {
			t.Errorf("%s: %v", again, err)
		}
	})
}
