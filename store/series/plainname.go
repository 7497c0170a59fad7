package series

import (
	"fmt"
	"strings"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store/plain"
)

// stem is what the names of files begun at a time have before their number.
func (o *PlainOptions) stem(at time.Time) string {
	if o.Period == Never {
		return o.Base
	}
	return o.Base + at.Format("-2006-01-02")
}

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

// newest is the largest number of a stem in dir, -1 if there is none; taken says that what has exactly the name of that
// number is no file, so that the name has to be passed over. The number counts if only a name like that has it:
// NAME.gz, or the link.
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

// fresh says that Open always begins a file.
func (o *PlainOptions) fresh() bool { return o.RotateOnReopen || o.Thrift }

// first is the number with which Open begins where there is no file of the date. A file that is counted up to, by a
// rotation too, is 0.
func (o *PlainOptions) first(at time.Time) int {
	if o.Period == Hourly && !o.fresh() {
		return at.Hour()
	}
	return 0
}
