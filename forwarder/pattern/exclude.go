package pattern

import (
	"errors"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// exclude is a pattern of what is not followed.
type exclude struct {
	glob string // for a whole path
}

// newExclude parses a pattern. One that does not begin with a slash matches at any depth: *.gz is /**/*.gz.
func newExclude(text string) (exclude, error) {
	if text == "" {
		return exclude{}, errors.New("it must not be empty")
	}
	if strings.HasSuffix(text, "/") {
		text = strings.TrimRight(text, "/")
	}
	if !strings.HasPrefix(text, "/") {
		text = "/**/" + text
	}
	if !doublestar.ValidatePattern(text) {
		return exclude{}, errors.New("it is no pattern: close [ and {, or write \\[ and \\{ for the characters")
	}
	return exclude{glob: text}, nil
}

// excluded says whether path, or a directory above it, is excluded. The first fixed parts of path are written in the
// pattern itself, and are not checked.
func (p *Pattern) excluded(path string, fixed int) bool {
	if len(p.excludes) == 0 {
		return false
	}
	for at, n := 1, 0; at <= len(path); n++ {
		end := strings.IndexByte(path[at:], '/')
		if end < 0 {
			end = len(path) - at
		}
		at += end
		if n >= fixed && p.excludes.has(path[:at]) {
			return true
		}
		at++
	}
	return false
}

type excludes []exclude

func (list excludes) has(path string) bool {
	for _, e := range list {
		if doublestar.MatchUnvalidated(e.glob, path) {
			return true
		}
	}
	return false
}
