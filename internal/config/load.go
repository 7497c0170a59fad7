package config

import (
	"cmp"
	"fmt"
	"slices"

	"inkwell/internal/access"
	"inkwell/internal/conf"
)

// Load reads a configuration file; problems call it by name. It never returns nil. Whatever is wrong with the file is
// in Problems, and in the Status of the store that it concerns, or in the Status of the Config if no store is usable.
func Load(name string, data []byte) *Config {
	file, problems := conf.Parse(name, data, "listen", "http", "exclude", "unit", "tail", "pipe", "journal", "syslog",
		"allow")
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
	l.topic()
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
	spoilt string // what is wrong with the whole file, "" if nothing is
}

func (l *loader) report(p conf.Problem) {
	if !l.told[p] {
		l.told[p] = true
		l.config.report(p)
	}
}

// report adds a problem, with its text made printable. Every problem is added here.
func (c *Config) report(p conf.Problem) {
	p.File = c.File.Name
	c.Problems = append(c.Problems, p.Shown())
}

// warn reports a value that is used in another way than it was written.
func (l *loader) warn(line int, text, cure string) {
	l.report(conf.Problem{Line: line, Text: text, Cure: cure})
}

// fail reports something that cannot be used.
func (l *loader) fail(line int, text, cure string) {
	l.report(conf.Problem{Line: line, Text: text, Cure: cure, Error: true})
}

// strict reports something that the original ignored: a warning, but an error in a file of the new style.
func (l *loader) strict(line int, text, cure string) {
	l.report(conf.Problem{Line: line, Text: text, Cure: cure, Error: l.file.New})
}

// spoil reports something that makes the whole file unusable.
func (l *loader) spoil(line int, text, cure string) {
	l.fail(line, text, cure)
	l.spoilt = cmp.Or(l.spoilt, text)
}

// noStores is the status of the original whenever it cannot use any part of a file.
const noStores = "No stores configured successfully"

// conclude sets the status of the whole file: spoilt if that is not empty, else the first error of a file of the new
// style or, if there is no store, that of the last bad block.
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

// Errors returns the number of problems that are errors.
func (c *Config) Errors() int {
	n := 0
	for _, p := range c.Problems {
		if p.Error {
			n++
		}
	}
	return n
}
