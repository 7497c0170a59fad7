package forwarder

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"

	"inkwell/forwarder/lines"
	"inkwell/forwarder/pattern"
)

// Input is what to follow: the files that match Glob, whose messages become entries of Category.
type Input struct {
	Category string   // can use the names in Glob: see package pattern
	Glob     string   // matched anew all the time
	Exclude  []string // patterns of what is not followed
	FromEnd  bool     // as that of Options, which holds for all inputs
	Lines    lines.Options
}

// ParseInput reads "CATEGORY=GLOB".
func ParseInput(s string) (Input, error) {
	category, glob, ok := strings.Cut(s, "=")
	if !ok || category == "" || glob == "" {
		return Input{}, fmt.Errorf("input %q: want CATEGORY=GLOB, as in web=/var/log/apache2/*.log", s)
	}
	in := Input{Category: category, Glob: glob}
	return in, in.validate()
}

func (in Input) validate() error {
	if in.Category == "" || in.Glob == "" {
		return fmt.Errorf("input %q=%q: category and glob must not be empty", in.Category, in.Glob)
	}
	if in.Lines.MaxLine < 0 {
		return fmt.Errorf("input %s=%s: the longest line must not be negative", in.Category, in.Glob)
	}
	_, err := pattern.Compile(in.Glob, pattern.Options{Category: in.Category, Exclude: in.Exclude})
	if err = errors.Join(err, in.Lines.Validate()); err != nil {
		return fmt.Errorf("input %s=%s: %w", in.Category, in.Glob, err)
	}
	return nil
}

// source is an Input as the follower uses it: the directories are listed, and the names in them compared with base.
type source struct {
	order    int // the first input that matches a file has it
	category []byte
	dir      string // a pattern
	base     string // a pattern
	fromEnd  bool
	maxLine  int // 0 = that of the follower
	received *atomic.Int64
}

func newSource(in Input, order int) (*source, error) {
	glob, err := filepath.Abs(in.Glob) // positions must mean the same from wherever the forwarder is started
	if err != nil {
		return nil, fmt.Errorf("input %s=%s: %w", in.Category, in.Glob, err)
	}
	dir, base := filepath.Split(glob)
	return &source{order: order, category: []byte(in.Category), dir: filepath.Clean(dir), base: base, fromEnd: in.FromEnd, maxLine: in.Lines.MaxLine}, nil
}

// dirs returns the directories that stand and match.
func (s *source) dirs() []string {
	if !hasMeta(s.dir) {
		return []string{s.dir}
	}
	dirs, err := filepath.Glob(s.dir)
	if err != nil { // the pattern was checked when the input was taken
		return nil
	}
	return dirs
}

func (s *source) literal() bool { return !hasMeta(s.base) }

func (s *source) matches(name string) bool {
	if strings.HasPrefix(name, ".") && !strings.HasPrefix(s.base, ".") { // as a shell has it
		return false
	}
	ok, err := filepath.Match(s.base, name)
	return ok && err == nil
}

func hasMeta(pattern string) bool { return strings.ContainsAny(pattern, `*?[\`) }
