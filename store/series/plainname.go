package series

import (
	"fmt"
	"strings"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store/plain"
)

// stem returns the part before the number in the names of files that are begun at a time.
func (o *PlainOptions) stem(at time.Time) string {
	if o.Period == Never {
		return o.Base
	}
	return o.Base + at.Format("-2006-01-02")
}

// hidden returns the name that a file has until a state that names it is saved.
func hidden(name string) string { return "." + name + ".open" }

// shown returns the final name of a file with a hidden name, "" if the name is not hidden.
func shown(name string) string {
	inner, ok := strings.CutSuffix(name, ".open")
	if !ok || !strings.HasPrefix(inner, ".") {
		return ""
	}
	return inner[1:]
}

// newest returns the largest number of a stem in dir, -1 if there is none. Names with a suffix count, too, such as
// NAME.gz. taken says that the name with that number belongs to something that is not a regular file, so that it cannot
// be used.
func newest(dir *faultfs.Dir, stem string) (n int, taken bool, err error) {
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
		if k, ok := plain.Number(stem, name); ok && k >= n {
			taken = k == n && taken || e.Name() == plain.FileName(stem, k) && !e.Type().IsRegular()
			n = k
		}
	}
	return n, taken, nil
}

// fresh reports whether OpenPlain always begins a new file.
func (o *PlainOptions) fresh() bool { return o.RotateOnReopen || o.Thrift }

// first returns the number of the first file of a date. As in the original that is the hour, if files are rotated
// hourly and OpenPlain may continue one, and 0 otherwise.
func (o *PlainOptions) first(at time.Time) int {
	if o.Period == Hourly && !o.fresh() {
		return at.Hour()
	}
	return 0
}
