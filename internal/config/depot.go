package config

import (
	"fmt"
	"path/filepath"
	"strings"

	"inkwell/internal/conf"
	"inkwell/store/depot"
)

// publish reads whether finished files have final names of their own, and the address of a depot, "" if the files stay
// here.
func (l *loader) publish(o block) (published bool, address string) {
	_, v := o.value("publish")
	switch text := v.Text; {
	case text == "yes":
		published = true
	case depot.IsAddress(text) || filepath.IsAbs(text):
		published = true
		a, err := depot.ParseAddress(text)
		if err == nil {
			return true, a.String()
		}
		l.fail(v.Line, fmt.Sprintf("publish=%s: %v: the files stay here", conf.Quote(text), err), "correct the address")
	case strings.Contains(text, "/"):
		published = true
		l.fail(v.Line, fmt.Sprintf("publish=%s is no address: the files stay here", conf.Quote(text)),
			"write s3://BUCKET/PREFIX, hdfs://NAMENODE:PORT/PATH or the path of a directory from the root")
	}
	for key, given := range map[string]bool{"who": o.text("who") != "", "away_max": o.bytes("away_max") != 0} {
		if v, ok := o.Get(key); ok && given {
			l.warn(v.Line, key+" has no effect without an address in publish",
				"write publish=s3://BUCKET/PREFIX, or remove it")
		}
	}
	return published, ""
}

// depotOptions reads the options that belong to the address of a depot.
func (l *loader) depotOptions(o block, f *File) {
	c := f.Compress
	if c.Depot == "" {
		return
	}
	c.Who, c.AwayMax = o.text("who"), o.bytes("away_max")
	if v, ok := o.Get("who"); ok && c.Who != "" && depot.ValidWriter(c.Who) != nil {
		l.fail(v.Line, fmt.Sprintf("who=%v: the name of the host is used", depot.ValidWriter(c.Who)),
			"write a name as web1")
		c.Who = ""
	}
	if f.Sub != "" {
		l.fail(o.Line,
			"sub_directory has no effect with an address in publish: the files of a category have one directory",
			"remove it, or put it into file_path")
		f.Sub = ""
	}
}
