package plain

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"inkwell/internal/faultfs"
)

// stem is what the names of files begun at a time have before their number.
func (o *Options) stem(at time.Time) string {
	if o.Period == Never {
		return o.Base
	}
	return o.Base + at.Format("-2006-01-02")
}

func fileName(stem string, number int) string { return fmt.Sprintf("%s_%05d", stem, number) }

// hidden is the name of a file until a saved state names it.
func hidden(name string) string { return "." + name + ".open" }

// shown is the final name of a hidden one, "" if it is none.
func shown(name string) string {
	inner, ok := strings.CutSuffix(name, ".open")
	if !ok || !strings.HasPrefix(inner, ".") {
		return ""
	}
	return inner[1:]
}

// number reads the number of a file of a stem as the original does: the digits behind the last underscore, whatever follows.
func number(stem, name string) (n int, ok bool) {
	rest, ok := strings.CutPrefix(name, stem+"_")
	if !ok || strings.ContainsRune(rest, '_') {
		return 0, false
	}
	digits := 0
	for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
		digits++
	}
	n, err := strconv.Atoi(rest[:digits])
	return n, err == nil
}

// newest is the largest number of a stem in dir, -1 if there is none; exact says that a file has exactly the name of that number.
// The numbers of what is no file count: its names are passed over.
func newest(dir *faultfs.Dir, stem string) (n int, exact bool, err error) {
	list, err := dir.ReadDir()
	if err != nil {
		return 0, false, fmt.Errorf("list %s: %w", dir.Path(), err)
	}
	n = -1
	for _, e := range list {
		name := e.Name()
		if inner := shown(name); inner != "" {
			name = inner
		}
		if k, ok := number(stem, name); ok && k >= n {
			exact = k == n && exact || e.Name() == fileName(stem, k) && e.Type().IsRegular()
			n = k
		}
	}
	return n, exact, nil
}

// first is the number of the first file of a date.
func (o *Options) first(at time.Time) int {
	if o.Period == Hourly {
		return at.Hour()
	}
	return 0
}
