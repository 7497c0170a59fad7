package tally

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestTally compares with a sorted list: counts and sums are exact, quantiles within one percent.
func TestTally(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	parts := make([]*Tally, 4)
	for i := range parts {
		parts[i] = new(Tally)
	}
	var all []float64
	var bytes, failures int64
	begun := time.Unix(1764403200, 0)
	for k := range 10000 {
		d := math.Exp(r.NormFloat64()*2) / 1000
		status := []string{"200", "404", "500", "503"}[r.IntN(4)]
		if status >= "500" {
			failures++
		}
		n := r.Int64N(1e6)
		bytes += n
		text := fmt.Sprintf("%.9f", d)
		all = append(all, d)
		parts[k%4].Add([]byte("/x"), &Sample{Time: begun.Add(time.Duration(k) * time.Second), Status: []byte(status), Bytes: fmt.Append(nil, n), Duration: []byte(text)})
		parts[k%4].Add(fmt.Append(nil, "/", k%3), &Sample{Duration: []byte("1500")})
	}
	sum := new(Tally)
	for _, p := range parts {
		if err := sum.Merge(p); err != nil {
			t.Fatal(err)
		}
	}
	rows := sum.Rows(false)
	if len(rows) != 4 || rows[0].Key != "/x" || rows[0].Count != 10000 || rows[0].Failures != failures || rows[0].Bytes != bytes || rows[1].P50 != 0.0015 {
		t.Fatalf("%+v", rows)
	}
	slices.Sort(all)
	for _, q := range []struct {
		at  float64
		got float64
	}{{0.5, rows[0].P50}, {0.95, rows[0].P95}, {0.99, rows[0].P99}} {
		want := all[int(q.at*float64(len(all)-1))]
		if math.Abs(q.got-want) > 0.0101*want {
			t.Errorf("quantile %v: %v, want %v", q.at, q.got, want)
		}
	}
	if math.Abs(rows[0].Min-all[0]) > 1e-9 || math.Abs(rows[0].Max-all[9999]) > 1e-9 || math.Abs(rows[0].Rate-10000.0/9999) > 1e-6 {
		t.Errorf("%+v", rows[0])
	}
	total, err := sum.Total()
	if err != nil || total.Count != 20000 || total.Failures != failures || total.Timed != 20000 {
		t.Errorf("%+v %v", total, err)
	}
}

func TestKeys(t *testing.T) {
	for url, want := range map[string]string{"/a?b=c": "/a", "/user/4711/x": "/user/{n}/x", "/i/550e8400-e29b-41d4-a716-446655440000": "/i/{n}", "/face/add": "/face/add", "/": "/", "": "", "/v2/1": "/v2/{n}",
		"/deadbeef": "/deadbeef", "/1//2/": "/{n}//{n}/"} {
		if got := string(Path(nil, []byte(url), true)); got != want {
			t.Errorf("%q: %q, want %q", url, got, want)
		}
	}
	for text, want := range map[string]string{"select * from t1 where a = 17 and b='it''s' and c in (1.5,2)": "select * from t1 where a = ? and b=? and c in (?,?)",
		`insert into "a b" values ('x\'y', 0x1F)`: `insert into "a b" values (?, ?)`, "": "", "'": "?", "x'": "x?"} {
		if got := string(SQL(nil, []byte(text))); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]float64{"1500": 0.0015, "1.5": 1.5, "5ms": 0.005, "-": -1, "": -1, "-3": -1, "x": -1, "1e400": -1} {
		if got, ok := seconds([]byte(text)); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %v %v, want %v", text, got, ok, want)
		}
	}
}

func FuzzKeys(f *testing.F) {
	f.Add("/a/1?b", "select 'x'")
	f.Fuzz(func(t *testing.T, url, text string) {
		if got := Path(nil, []byte(url), true); len(got) > 3*len(url)+3 {
			t.Errorf("%q: %q", url, got)
		}
		if got := SQL(nil, []byte(text)); len(got) > len(text) {
			t.Errorf("%q: %q", text, got)
		}
	})
}
