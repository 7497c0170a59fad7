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
	Entries  int64     `json:"entries"` // each time that an entry is refused or left out counts
	// of refused and empty entries, as stream.ParseRanges reads them; "" = not known
	Numbers string `json:"numbers,omitempty"`
}

// The words of Count.What.
const (
	Duplicate = "duplicate" // was stored already, and was left out
	Refused   = "refused"   // was answered OK and discarded, for the reason in Why
	Empty     = "empty"     // has no bytes, and arrived while no file was open
)

const (
	maxNumbers  = 1024 // ranges of numbers in a line
	hourNumbers = 8192 // ranges of numbers in all lines of an hour
	hourLines   = 1024 // lines of an hour, not counting those of the category for the rest
)

// Append appends the body of the line of c.
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

// ReadCounts reads the counts of a destination; the file may be missing. Older versions wrote them into the manifest.
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

// Counts adds up Counts of the same hour, category, stream, What and Why. Each sum keeps at most maxNumbers ranges of
// numbers; further entries are counted without their numbers. The zero value is empty. Not safe for concurrent use.
type Counts struct {
	sums map[Count]*sum // by a Count without Entries and Numbers
}

type sum struct {
	entries int64 // that have numbers
	numbers stream.Ranges
	plain   int64 // entries whose numbers are not kept
}

// Len returns the number of sums.
func (c *Counts) Len() int { return len(c.sums) }

// Has reports whether there is a sum to which n would be added.
func (c *Counts) Has(n Count) bool { return c.sums[n.key()] != nil }

func (c *Count) key() Count {
	k := *c
	k.Hour, k.Entries, k.Numbers = c.Hour.UTC(), 0, ""
	return k
}

// Add adds n. Numbers that cannot be parsed count as not known.
func (c *Counts) Add(n Count) {
	numbers, _ := stream.ParseRanges(n.Numbers)
	c.add(n, numbers)
}

// AddNumbers adds n, whose entries have the numbers from first on; n.Numbers is not used.
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

// Merge adds all sums of more.
func (c *Counts) Merge(more *Counts) {
	for k, s := range more.sums {
		for _, n := range s.lines(k) {
			c.Add(n)
		}
	}
}

// lines returns the lines of the sum of k: one for the entries with numbers, and one for those without.
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

// Bodies returns the bodies of the lines, sorted by hour. Their number is bounded for each hour, whatever peers send:
// if an hour has more than hourLines sums, those with the fewest entries, and duplicates before refused entries, are
// added up under the category beyond. If it has more than hourNumbers ranges of numbers, the numbers of the sums with
// the fewest entries are left out.
func (c *Counts) Bodies(beyond string) (bodies [][]byte, err error) {
	keys := slices.SortedFunc(maps.Keys(c.sums), func(a, b Count) int {
		x, y := c.sums[a], c.sums[b]
		return cmp.Or(a.Hour.Compare(b.Hour), cmp.Compare(b.What, a.What),
			cmp.Compare(y.entries+y.plain, x.entries+x.plain),
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
