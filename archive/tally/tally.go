// Package tally counts log lines by key: how many, how many failed, bytes, and how long they took.
//
//	lines ─► Tally (one per goroutine) ─► Add ─► Merge ─► Rows, the most frequent key first
//
// Counts and sums are exact. Quantiles are those of a DDSketch (github.com/DataDog/sketches-go) with an error of at
// most one percent of the value.
package tally

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
)

// accuracy is the relative error of quantiles.
const accuracy = 0.01

// Row is the result for one key.
type Row struct {
	Key      string  `json:"key"`
	Count    int64   `json:"count"`
	Failures int64   `json:"failures"` // with status 500 and above
	Rate     float64 `json:"per_second"`
	Bytes    int64   `json:"bytes"`
	Timed    int64   `json:"timed"` // lines with a duration; the fields below are about them, in seconds
	Min      float64 `json:"min"`
	Avg      float64 `json:"avg"`
	P50      float64 `json:"p50"`
	P95      float64 `json:"p95"`
	P99      float64 `json:"p99"`
	Max      float64 `json:"max"`
}

// Sample is the values of one line.
type Sample struct {
	Time     time.Time // zero = not known
	Status   []byte
	Bytes    []byte
	Duration []byte // seconds with a dot, microseconds without, or with a unit as in 5ms
}

// sums is the state of one key.
type sums struct {
	count, failures, bytes, timed int64
	least, most, sum              float64
	sketch                        *ddsketch.DDSketch // nil before the first duration
}

// Tally counts. Not safe for concurrent use. The zero value is empty.
type Tally struct {
	keys        map[string]*sums
	first, last time.Time
	Unread      int64 // lines of another format
}

// Add counts a line. It does not retain key.
func (t *Tally) Add(key []byte, s *Sample) {
	if t.keys == nil {
		t.keys = make(map[string]*sums)
	}
	of := t.keys[string(key)]
	if of == nil {
		of = new(sums)
		t.keys[string(key)] = of
	}
	of.count++
	if len(s.Status) == 3 && s.Status[0] >= '5' {
		of.failures++
	}
	if n, err := strconv.ParseInt(string(s.Bytes), 10, 64); err == nil {
		of.bytes += n
	}
	if d, ok := seconds(s.Duration); ok {
		of.add(d)
	}
	if !s.Time.IsZero() {
		t.saw(s.Time, s.Time)
	}
}

func (t *Tally) saw(first, last time.Time) {
	if first.IsZero() {
		return
	}
	if t.first.IsZero() || first.Before(t.first) {
		t.first = first
	}
	if last.After(t.last) {
		t.last = last
	}
}

func (s *sums) add(d float64) {
	if s.sketch == nil {
		s.sketch = newSketch()
		s.least, s.most = d, d
	}
	s.timed, s.sum, s.least, s.most = s.timed+1, s.sum+d, min(s.least, d), max(s.most, d)
	_ = s.sketch.Add(d) // it refuses negative values and NaN, which seconds never returns
}

func newSketch() *ddsketch.DDSketch {
	s, err := ddsketch.LogCollapsingLowestDenseDDSketch(accuracy, 2048)
	if err != nil {
		panic(err) // the arguments are constants
	}
	return s
}

// seconds parses a duration.
func seconds(text []byte) (d float64, ok bool) {
	if len(text) == 0 {
		return 0, false
	}
	if c := text[len(text)-1]; c < '0' || c > '9' {
		length, err := time.ParseDuration(string(text))
		return length.Seconds(), err == nil && length >= 0
	}
	d, err := strconv.ParseFloat(string(text), 64)
	if bytes.IndexByte(text, '.') < 0 {
		d /= 1e6
	}
	return d, err == nil && d >= 0 && !math.IsInf(d, 0)
}

// Merge adds the counts of o, which must not be used any more.
func (t *Tally) Merge(o *Tally) error {
	if t.keys == nil {
		t.keys = make(map[string]*sums, len(o.keys))
	}
	for key, more := range o.keys {
		of := t.keys[key]
		if of == nil {
			t.keys[key] = more
			continue
		}
		of.count, of.failures, of.bytes = of.count+more.count, of.failures+more.failures, of.bytes+more.bytes
		switch {
		case more.sketch == nil:
		case of.sketch == nil:
			of.timed, of.sum, of.least, of.most, of.sketch = more.timed, more.sum, more.least, more.most, more.sketch
		default:
			of.timed, of.sum = of.timed+more.timed, of.sum+more.sum
			of.least, of.most = min(of.least, more.least), max(of.most, more.most)
			if err := of.sketch.MergeWith(more.sketch); err != nil {
				return err
			}
		}
	}
	t.saw(o.first, o.last)
	t.Unread += o.Unread
	return nil
}

// Rows lists the keys, the most frequent first, or sorted by key.
func (t *Tally) Rows(byKey bool) []Row {
	rows := make([]Row, 0, len(t.keys))
	for key, s := range t.keys {
		rows = append(rows, t.row(key, s))
	}
	slices.SortFunc(rows, func(a, b Row) int {
		if byKey {
			return cmp.Compare(a.Key, b.Key)
		}
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Key, b.Key))
	})
	return rows
}

// Total is the sum of all keys.
func (t *Tally) Total() (Row, error) {
	all := &Tally{first: t.first, last: t.last}
	for _, s := range t.keys {
		own := *s
		if s.sketch != nil {
			own.sketch = s.sketch.Copy()
		}
		if err := all.Merge(&Tally{keys: map[string]*sums{"": &own}}); err != nil {
			return Row{}, err
		}
	}
	if all.keys[""] == nil {
		return Row{}, nil
	}
	return all.row("", all.keys[""]), nil
}

func (t *Tally) row(key string, s *sums) Row {
	r := Row{Key: key, Count: s.count, Failures: s.failures, Bytes: s.bytes, Timed: s.timed}
	if d := t.last.Sub(t.first).Seconds(); d > 0 {
		r.Rate = float64(s.count) / d
	}
	if s.sketch == nil {
		return r
	}
	r.Min, r.Max, r.Avg = s.least, s.most, s.sum/float64(s.timed)
	quantiles, err := s.sketch.GetValuesAtQuantiles([]float64{0.5, 0.95, 0.99})
	if err == nil {
		r.P50, r.P95, r.P99 = within(quantiles[0], r), within(quantiles[1], r), within(quantiles[2], r)
	}
	return r
}

// within limits an estimate to the range between the least and the largest value.
func within(v float64, r Row) float64 { return min(max(v, r.Min), r.Max) }
