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

// number reads the number of a file of a stem as the original does, with a C++ stream: blanks, a sign and digits behind the last
// underscore, whatever follows. A text without digits, as that of the link, is 0.
func number(stem, name string) (n int, ok bool) {
	rest, ok := strings.CutPrefix(name, stem+"_")
	if !ok || strings.ContainsRune(rest, '_') {
		return 0, false
	}
	rest = strings.TrimLeft(rest, " \t\n\v\f\r")
	if rest == "" {
		return 0, false
	}
	sign := 0
	if rest[0] == '+' || rest[0] == '-' {
		sign = 1
	}
	digits := sign
	for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
		digits++
	}
	if digits == sign {
		return 0, true
	}
	n, err := strconv.Atoi(rest[:digits])
	return n, err == nil && n >= 0
}

// newest is the largest number of a stem in dir, -1 if there is none; taken says that what has exactly the name of that number is no
// file, so that the name has to be passed over. The number counts if only a name like that has it: NAME.gz, or the link.
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
		if k, ok := number(stem, name); ok && k >= n {
			taken = k == n && taken || e.Name() == fileName(stem, k) && !e.Type().IsRegular()
			n = k
		}
	}
	return n, taken, nil
}

// fresh says that Open always begins a file.
func (o *Options) fresh() bool { return o.RotateOnReopen || o.Thrift }

// first is the number with which Open begins where there is no file of the date. A file that is counted up to, by a rotation too, is 0.
func (o *Options) first(at time.Time) int {
	if o.Period == Hourly && !o.fresh() {
		return at.Hour()
	}
	return 0
}
