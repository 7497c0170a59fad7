package config

import (
	"cmp"
	"fmt"
	"slices"

	"inkwell/internal/access"
	"inkwell/internal/conf"
)

// Load reads a configuration file; name is what problems call it. It never returns nil: whatever is wrong with the file is in Problems,
// in the Status of the stores it is about, and in the Status of the Config if nothing is left.
func Load(name string, data []byte) *Config {
	file, problems := conf.Parse(name, data, "listen", "http", "exclude", "unit", "tail", "pipe", "journal", "syslog", "allow")
	l := &loader{file: file, config: &Config{File: file, New: file.New}, told: make(map[conf.Problem]bool)}
	for _, p := range problems {
		l.report(p)
	}
	l.global()
	for _, b := range file.Root.Blocks {
		l.topLevel(b)
	}
	l.useRules()
	l.unknown(file.Root, true)
	c := l.config
	l.spools()
	l.hiddenPrefixes()
	l.sharedFiles()
	l.twins()
	c.RefuseLoops(c.listens())
	slices.SortStableFunc(c.Problems, func(a, b conf.Problem) int { return cmp.Compare(a.Line, b.Line) })
	c.conclude(l.spoilt)
	return c
}

// loader reads one file into a Config.
type loader struct {
	file   *conf.File
	config *Config
	told   map[conf.Problem]bool
	rules  []access.Rule
	spoilt string // what is wrong with the file as a whole, "" if nothing is
}

func (l *loader) report(p conf.Problem) {
	if !l.told[p] {
		l.told[p] = true
		l.config.report(p)
	}
}

// report adds a problem. All of them come by here, fit to be shown.
func (c *Config) report(p conf.Problem) {
	p.File = c.File.Name
	c.Problems = append(c.Problems, p.Shown())
}

// warn reports what is used otherwise than it was written.
func (l *loader) warn(line int, text, cure string) {
	l.report(conf.Problem{Line: line, Text: text, Cure: cure})
}

// fail reports what cannot be used.
func (l *loader) fail(line int, text, cure string) {
	l.report(conf.Problem{Line: line, Text: text, Cure: cure, Error: true})
}

// strict reports what the original passed over: an error in a file of the new style.
func (l *loader) strict(line int, text, cure string) {
	l.report(conf.Problem{Line: line, Text: text, Cure: cure, Error: l.file.New})
}

// spoil reports what makes the whole file unusable.
func (l *loader) spoil(line int, text, cure string) {
	l.fail(line, text, cure)
	if l.spoilt == "" {
		l.spoilt = text
	}
}

// noStores is what the original says whenever nothing of a file can be used.
const noStores = "No stores configured successfully"

// conclude sets the status of the whole: spoilt if that is not empty, the first error of a file of the new style, or the last bad block if
// there is no store.
func (c *Config) conclude(spoilt string) {
	cause := spoilt
	if i := slices.IndexFunc(c.Problems, func(p conf.Problem) bool { return p.Error }); cause == "" && c.New && i >= 0 {
		cause = fmt.Sprintf("%s:%d: %s", c.Problems[i].File, c.Problems[i].Line, c.Problems[i].Text)
	}
	if cause == "" {
		cause = "no <store> block"
		for _, s := range c.Stores {
			if s.Sink != nil {
				c.Status = ""
				return
			}
			cause = s.Status
		}
	}
	c.Status = noStores + ": " + conf.Shown(cause)
}

// Errors counts the problems that are errors.
func (c *Config) Errors() int {
	n := 0
	for _, p := range c.Problems {
		if p.Error {
			n++
		}
	}
	return n
}
