package stream

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Range is the set of the numbers First … End-1.
type Range struct{ First, End int64 }

// Ranges is a set of numbers: ascending ranges that neither overlap nor touch.
type Ranges []Range

// Add adds the numbers first … end-1 to the set.
func (r *Ranges) Add(first, end int64) {
	if first >= end {
		return
	}
	s := *r
	if k := len(s) - 1; k >= 0 && s[k].End == first { // the usual case: the next numbers of a stream
		s[k].End = end
		return
	}
	from := s.indexAfter(first - 1) // the first range that overlaps or touches the new one
	to := from
	for to < len(s) && s[to].First <= end {
		first, end = min(first, s[to].First), max(end, s[to].End)
		to++
	}
	*r = slices.Replace(s, from, to, Range{first, end})
}

// AddWithin adds n to the set unless that would make more than limit ranges. It reports whether n is in the set.
func (r *Ranges) AddWithin(limit int, n Range) bool {
	if len(*r) >= limit {
		if i := r.indexAfter(n.First - 1); i == len(*r) || (*r)[i].First > n.End {
			return false
		}
	}
	r.Add(n.First, n.End)
	return true
}

// addBounded is Add for a set of at most maxRanges ranges: it forgets the lowest ranges beyond that, and returns how
// many numbers it forgot.
func (r *Ranges) addBounded(first, end int64) (forgotten int64) {
	if s := *r; len(s) == maxRanges && end < s[0].First {
		return end - first // a shortcut, lest a peer that counts down has all ranges moved for each entry
	}
	r.Add(first, end)
	if over := len(*r) - maxRanges; over > 0 {
		forgotten = (*r)[:over].Count()
		*r = slices.Delete(*r, 0, over)
	}
	return forgotten
}

// indexAfter returns the index of the first range that ends behind n.
func (r Ranges) indexAfter(n int64) int {
	i, _ := slices.BinarySearchFunc(r, n, func(a Range, n int64) int {
		if a.End <= n {
			return -1
		}
		return 1
	})
	return i
}

// Has reports whether n is in the set.
func (r Ranges) Has(n int64) bool {
	i := r.indexAfter(n)
	return i < len(r) && r[i].First <= n
}

// Overlap returns how many of the numbers first … end-1 are in the set.
func (r Ranges) Overlap(first, end int64) (sum int64) {
	for i := r.indexAfter(first); i < len(r) && r[i].First < end; i++ {
		sum += min(r[i].End, end) - max(r[i].First, first)
	}
	return sum
}

// Missing returns those of the numbers first … end-1 that are not in the set.
func (r Ranges) Missing(first, end int64) (missing Ranges) {
	for i := r.indexAfter(first); i < len(r) && r[i].First < end; i++ {
		if r[i].First > first {
			missing = append(missing, Range{first, r[i].First})
		}
		first = r[i].End
	}
	if first < end {
		missing = append(missing, Range{first, end})
	}
	return missing
}

// Count returns how many numbers are in the set.
func (r Ranges) Count() (sum int64) {
	for _, x := range r {
		sum += x.End - x.First
	}
	return sum
}

// String formats the set for ParseRanges, e.g. 0-99,200-299, with both ends included.
func (r Ranges) String() string {
	var b []byte
	for i, x := range r {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, x.First, 10)
		if x.End-1 > x.First {
			b = strconv.AppendInt(append(b, '-'), x.End-1, 10)
		}
	}
	return string(b)
}

// ParseRanges parses the result of String.
func ParseRanges(s string) (r Ranges, err error) {
	if s == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		a, b, two := strings.Cut(part, "-")
		if !two {
			b = a
		}
		first, err1 := strconv.ParseInt(a, 10, 64)
		last, err2 := strconv.ParseInt(b, 10, 64)
		if err1 != nil || err2 != nil || first < 0 || last < first || last == 1<<63-1 ||
			len(r) > 0 && first <= r[len(r)-1].End {
			return nil, fmt.Errorf("%q is no set of numbers", s)
		}
		r = append(r, Range{first, last + 1})
	}
	return r, nil
}
