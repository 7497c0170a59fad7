// Package conf parses what users write: sizes, durations and words from flags and environment variables, and the
// grammar of configuration files.
//
//	flag  >  environment variable  >  default
//
//	bytes ─ Parse ─► blocks of blocks and KEY=VALUE with their lines, and every problem ─► package config interprets them
//
// An unusable value is answered with the forms that are possible. The grammar is that of the original, line by line:
// nothing is quoted, escaped or included, # begins a comment wherever it occurs, and numbers are those of C. In a file
// of the new style a value can be in double quotes, as in Go, so that any text can be written: file_path="/srv/logs
// #2".
//
// Limitations: empty environment variables count as not set; a value in a file of the old style cannot contain #.
package conf

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"github.com/spf13/pflag"
)

// ParseSize parses a number of bytes: plain (1000000), decimal (1GB = 10^9) or binary (256MiB).
func ParseSize(s string) (int64, error) {
	n, err := humanize.ParseBytes(strings.TrimSpace(s))
	if err != nil || n > math.MaxInt64 || strings.Contains(s, ",") {
		return 0, fmt.Errorf("size %q: want plain bytes (1000000), decimal units (kB, MB, GB, TB) "+
			"or binary units (KiB, MiB, GiB, TiB), as in 1GB or 256MiB", s)
	}
	return int64(n), nil
}

// ParseDuration parses a duration in Go's syntax (90s, 15m, 1h30m), which may begin with whole days (30d, 1d12h). It is
// never negative.
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("duration %q: want a number with a unit, as in 10s, 15m, 1h30m or 30d", s)
	const day = 24 * time.Hour
	var whole time.Duration
	rest := s
	if days, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 31)
		if err != nil || time.Duration(n) > math.MaxInt64/day {
			return 0, bad
		}
		whole, rest = time.Duration(n)*day, after
		if rest == "" {
			return whole, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || strings.HasPrefix(rest, "-") || whole+d < whole {
		return 0, bad
	}
	return whole + d, nil
}

// value makes a flag of any type that a function can parse.
type value[T any] struct {
	to    *T
	text  string
	kind  string
	parse func(string) (T, error)
}

// Value returns a flag value that parse converts, with the default text; kind is its name in the help. It panics if
// parse refuses the default, which is a bug in the program.
func Value[T any](to *T, text, kind string, parse func(string) (T, error)) pflag.Value {
	v := &value[T]{to: to, kind: kind, parse: parse}
	if err := v.Set(text); err != nil {
		panic(err)
	}
	return v
}

func (v *value[T]) Set(s string) error {
	got, err := v.parse(s)
	if err != nil {
		return err
	}
	*v.to, v.text = got, s
	return nil
}

func (v *value[T]) String() string { return v.text }
func (v *value[T]) Type() string   { return v.kind }

// Line returns the line of a new-style file that sets key to value, with double quotes if the value needs them.
func Line(key, value string) string {
	odd := strings.Trim(value, " \t") != value || strings.HasPrefix(value, `"`) || strings.Contains(value, "#") ||
		!utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl)
	if odd {
		value = strconv.Quote(value)
	}
	return key + "=" + value
}

// FromEnvironment sets each flag that was not given on the command line from its environment variable, if that is set.
// The error lists every variable with an unusable value.
func FromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		text, ok := lookup(Variable(f.Name))
		if f.Changed || !ok || text == "" || f.Name == "help" {
			return
		}
		if err := f.Value.Set(text); err != nil {
			errs = append(errs, fmt.Errorf("environment variable %s: %w", Variable(f.Name), err))
		}
		f.Changed = true
	})
	return errors.Join(errs...)
}

// Variable is the name of a flag's environment variable: INKWELL_MAX_SIZE for max-size.
func Variable(flag string) string {
	return "INKWELL_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
