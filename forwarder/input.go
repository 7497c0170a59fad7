package forwarder

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"inkwell/forwarder/lines"
	"inkwell/forwarder/pattern"
)

// Input is what to follow: the files that match Glob. Their messages become entries of Category.
type Input struct {
	Category string   // may use the names in Glob: see package pattern
	Glob     string   // files that appear later are found, too
	Exclude  []string // patterns of files and directories that are not followed
	Prefix   string   // put before each message, with {host} and {path}; see ParsePrefix
	FromEnd  bool     // as Options.FromEnd, for this input only
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
	_, err := newSource(in, 0)
	return err
}

// Has says whether the file at an absolute path is followed and gets that category.
func (in Input) Has(path, category string) bool {
	s, err := newSource(in, 0)
	if err != nil {
		return false
	}
	name, ok := s.pattern.Match(path)
	return ok && name == category
}

// Finds says whether there is at least one file to follow now.
func (in Input) Finds() (bool, error) {
	s, err := newSource(in, 0)
	if err != nil {
		return false, err
	}
	for _, dir := range pattern.NewFinder(s.pattern).Look(time.Now()).Added {
		names := s.pattern.In(dir)
		if list, only := names.Literal(); only {
			for _, name := range list {
				if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
					return true, nil
				}
			}
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			return true, nil // the error is reported when the directory is read
		}
		for _, e := range entries {
			if !e.IsDir() && names.Match(e.Name()) {
				return true, nil
			}
		}
	}
	return false, nil
}

// source is a compiled Input. Only the number of files in it changes.
type source struct {
	order   int // a file that several inputs match belongs to the one with the lowest
	pattern *pattern.Pattern
	fromEnd bool
	prefix  string
	lines   lines.Options
	files   atomic.Int64 // that match now
}

func newSource(in Input, order int) (*source, error) {
	if in.Category == "" || in.Glob == "" {
		return nil, fmt.Errorf("input %q=%q: category and glob must not be empty", in.Category, in.Glob)
	}
	p, err := pattern.Compile(in.Glob, pattern.Options{Category: in.Category, Exclude: in.Exclude})
	if in.Lines.MaxLine < 0 {
		err = errors.Join(err, errors.New("the longest line must not be negative"))
	}
	_, wrong := ParsePrefix(in.Prefix)
	if err = errors.Join(err, wrong, in.Lines.Validate()); err != nil {
		return nil, fmt.Errorf("input %s=%s: %w", in.Category, in.Glob, err)
	}
	s := &source{order: order, pattern: p, fromEnd: in.FromEnd, prefix: in.Prefix, lines: in.Lines}
	s.lines.MaxLine = cmp.Or(in.Lines.MaxLine, defaultLine)
	s.lines.Full = shipmentFull
	return s, nil
}
