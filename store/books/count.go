package books

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store/stream"
)

// Count is a line about entries that are in no file.
type Count struct {
	Hour     time.Time `json:"hour"` // its beginning, UTC
	Category string    `json:"category"`
	Stream   string    `json:"stream,omitempty"`
	What     string    `json:"what"` // Duplicate, Refused
	Why      string    `json:"why,omitempty"`
	Entries  int64     `json:"entries"`           // one that came twice counts twice
	Numbers  string    `json:"numbers,omitempty"` // those of refused and empty entries, as stream.ParseRanges reads them; "": not known
}

// The words of Count.What.
const (
	Duplicate = "duplicate" // came again, and was left out
	Refused   = "refused"   // was answered OK and thrown away, Why says for what
	Empty     = "empty"     // has no bytes, and is in no file because none was open
)

const (
	maxNumbers  = 1024 // stretches of numbers of a line
	hourNumbers = 8192 // of all lines of an hour
	hourLines   = 1024 // of an hour, apart from those of what is beyond
)

// Append appends the body of c's line.
func (c *Count) Append(dst []byte) ([]byte, error) { return appendJSON(dst, c) }

// ParseCount reads what Append wrote.
func ParseCount(body []byte) (c Count, err error) {
	err = json.Unmarshal(body, &c)
	if year := c.Hour.UTC().Year(); err == nil && (c.What == "" || c.Entries < 0 || year < 0 ||
		year > 9999) { // which could not be written again
		err = errors.New("no count")
	}
	if err == nil {
		_, err = stream.ParseRanges(c.Numbers)
	}
	return c, err
}

// CountsName and CountsHeader name the file of Counts in the directory of a destination.
const (
	CountsName   = ".counts"
	CountsHeader = "inkwell counts 1"
)

// ReadCounts reads the counts of a destination; there need not be any. Collectors of before had them among the lines of
// a manifest.
func ReadCounts(dir *faultfs.Dir) (counts []Count, bad int, err error) {
	take := func(body []byte) error {
		c, err := ParseCount(body)
		if err == nil {
			counts = append(counts, c)
		}
		return err
	}
	if bad, err = faultfs.ReadLines(dir, CountsName, CountsHeader, take); err != nil {
		return nil, bad, err
	}
	_, err = faultfs.ReadLines(dir, Manifest, ManifestHeader, take) // the others are of files
	return counts, bad, err
}

// Counts adds up Counts of the same hour, category, stream, What and Why. A sum keeps at most maxNumbers stretches of
// numbers; of what is beyond only the entries are counted. The zero value has none. Not safe for concurrent use.
type Counts struct {
	sums map[Count]*sum // by a Count without Entries and Numbers
}

type sum struct {
	entries int64 // that have numbers
	numbers stream.Ranges
	plain   int64 // entries of which the numbers are not known
}

// Len is how many sums there are.
func (c *Counts) Len() int { return len(c.sums) }

// Has says whether there is a sum to which n would be added.
func (c *Counts) Has(n Count) bool { return c.sums[n.key()] != nil }

func (c *Count) key() Count {
	k := *c
	k.Hour, k.Entries, k.Numbers = c.Hour.UTC(), 0, ""
	return k
}

// Add adds n. Numbers that are no set are as good as none.
func (c *Counts) Add(n Count) {
	numbers, _ := stream.ParseRanges(n.Numbers)
	c.add(n, numbers)
}

// AddNumbers adds n, which has no Numbers, for entries that have the numbers from first on.
func (c *Counts) AddNumbers(n Count, first int64) {
	c.add(n, stream.Ranges{{First: first, End: first + n.Entries}})
}

func (c *Counts) add(n Count, numbers stream.Ranges) {
	if c.sums == nil {
		c.sums = make(map[Count]*sum)
	}
	k := n.key()
	s := c.sums[k]
	if s == nil {
		s = new(sum)
		c.sums[k] = s
	}
	if len(numbers) == 0 {
		s.plain += n.Entries
		return
	}
	s.entries += n.Entries
	for _, r := range numbers {
		if !s.numbers.AddWithin(maxNumbers, r) {
			lost := min(r.End-r.First, s.entries)
			s.plain, s.entries = s.plain+lost, s.entries-lost
		}
	}
}

// Merge adds what is in more.
func (c *Counts) Merge(more *Counts) {
	for k, s := range more.sums {
		for _, n := range s.lines(k) {
			c.Add(n)
		}
	}
}

// lines are those of the sum of k: what has numbers, and what has none.
func (s *sum) lines(k Count) (list []Count) {
	plain := s.plain
	if len(s.numbers) > 0 {
		k.Entries, k.Numbers = s.entries, s.numbers.String()
		list = append(list, k)
	} else {
		plain += s.entries
	}
	if plain > 0 {
		k.Entries, k.Numbers = plain, ""
		list = append(list, k)
	}
	return list
}

// Bodies are the bodies of the lines, hour by hour, so many of an hour whatever peers sent: of more than hourLines sums
// those with the fewest entries, duplicates before what was refused, are counted together for the category beyond, and
// numbers that would be more than hourNumbers stretches are left out, also of those with the fewest entries.
func (c *Counts) Bodies(beyond string) (bodies [][]byte, err error) {
	keys := slices.SortedFunc(maps.Keys(c.sums), func(a, b Count) int {
		x, y := c.sums[a], c.sums[b]
		return cmp.Or(a.Hour.Compare(b.Hour), cmp.Compare(b.What, a.What), cmp.Compare(y.entries+y.plain, x.entries+x.plain),
			cmp.Compare(a.Category, b.Category), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Why, b.Why))
	})
	var all []Count
	var rest Counts
	ofHour, stretches := 0, 0
	for i, k := range keys {
		if i > 0 && !k.Hour.Equal(keys[i-1].Hour) {
			ofHour, stretches = 0, 0
		}
		s := *c.sums[k]
		if stretches += len(s.numbers); stretches > hourNumbers {
			stretches, s.numbers = stretches-len(s.numbers), nil
		}
		if ofHour++; ofHour <= hourLines {
			all = append(all, s.lines(k)...)
			continue
		}
		k.Category, k.Stream, k.Entries = beyond, "", s.entries+s.plain
		rest.Add(k)
	}
	for k, s := range rest.sums {
		all = append(all, s.lines(k)...)
	}
	for i := range all {
		body, err := all[i].Append(nil)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	return bodies, nil
}
