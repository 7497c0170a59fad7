// Package format finds fields in log lines.
//
//	combined, common   host user time method url protocol request status bytes referer agent duration (a last number)
//	json               fields by name; a.b is the field b of the object a
//	logfmt             fields by name
//	syslog             time host app pid message
//	regexp=PATTERN     the named groups of an RE2 pattern
//
// A Reader only looks for the fields for which it was made. Text is bytes; nothing is retained.
package format

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Reader finds fields in lines. Not safe for concurrent use: each goroutine needs its own.
type Reader struct {
	read   func(line []byte, values [][]byte) bool
	values [][]byte
	copies []int // which value each is a copy of, as a field may be asked for twice; nil = none is
}

// New returns a Reader of a format for these fields.
func New(text string, fields []string) (*Reader, error) {
	r := &Reader{values: make([][]byte, len(fields))}
	copies, twice := make([]int, len(fields)), false
	for i, f := range fields {
		copies[i] = slices.Index(fields, f)
		twice = twice || copies[i] < i
	}
	if twice {
		r.copies = copies
	}
	kind, pattern, _ := strings.Cut(text, "=")
	known := map[string][]string{"combined": accessFields, "common": accessFields, "syslog": syslogFields}[kind]
	switch kind {
	case "combined", "common":
		r.read = accessReader(fields)
	case "syslog":
		r.read = syslogReader(fields)
	case "json":
		r.read = jsonReader(fields)
	case "logfmt":
		r.read = logfmtReader(fields)
	case "regexp":
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("regexp=%s: %w", pattern, err)
		}
		known = re.SubexpNames()[1:]
		r.read = regexpReader(re, fields)
	default:
		return nil, fmt.Errorf("%q is no format "+
			"(use combined, common, json, logfmt, syslog, or regexp=PATTERN with named groups)", text)
	}
	for _, f := range fields {
		if known != nil && !slices.Contains(known, f) && !slices.Contains(optional, f) {
			return nil, fmt.Errorf("there is no field %q in %s (it has %s)", f, kind, strings.Join(known, ", "))
		}
	}
	return r, nil
}

// Fields lists the fields of a format; for json and logfmt they are not known.
func Fields(text string) ([]string, error) {
	kind, pattern, _ := strings.Cut(text, "=")
	switch kind {
	case "combined", "common":
		rare := func(f string) bool { return f == "ident" || f == "request" }
		return slices.DeleteFunc(slices.Clone(accessFields), rare), nil
	case "syslog":
		return syslogFields, nil
	case "regexp":
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, err
		}
		return slices.DeleteFunc(re.SubexpNames(), func(f string) bool { return f == "" }), nil
	}
	return nil, fmt.Errorf("%s has no fields of its own: name those that are wanted", kind)
}

// optional are fields that may be asked for of every format.
var optional = []string{"time", "status", "bytes", "duration", "url"}

// Read returns the fields of a line, nil for missing ones; they are valid until the next call. ok is false for a line
// of another format.
func (r *Reader) Read(line []byte) (values [][]byte, ok bool) {
	clear(r.values)
	ok = r.read(line, r.values)
	for i, k := range r.copies {
		r.values[i] = r.values[k]
	}
	return r.values, ok
}

func regexpReader(re *regexp.Regexp, fields []string) func([]byte, [][]byte) bool {
	groups := make([]int, len(fields))
	for i, f := range fields {
		groups[i] = re.SubexpIndex(f)
	}
	return func(line []byte, values [][]byte) bool {
		m := re.FindSubmatchIndex(line)
		if m == nil {
			return false
		}
		for i, g := range groups {
			if g > 0 && m[2*g] >= 0 {
				values[i] = line[m[2*g]:m[2*g+1]]
			}
		}
		return true
	}
}
