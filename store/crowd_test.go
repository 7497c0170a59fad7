package store

import (
	"fmt"
	"testing"

	"inkwell/store/manifest"
	"inkwell/store/stream"
)

// turns are lines about a file in which two streams take turns.
func turns(file string, lines, spans int) (list []manifest.Contents) {
	for i := range lines {
		c := manifest.Contents{Category: "c", File: file, From: uint64(i), Through: uint64(i + 1)}
		for k := range spans {
			c.Spans = append(c.Spans, manifest.Span{Stream: stream.ID{byte(1 + k%2)}, First: int64(i*spans+k) / 2 * 10, Count: 10, Bytes: 100})
		}
		list = append(list, c)
	}
	return list
}

// Forwarders that take turns in many categories must not end files early: what they come to when it is joined is little.
func TestTurnsEndNoFileEarly(t *testing.T) {
	l := &ledger{open: make(map[string][]manifest.Contents)}
	for i := range 20 {
		l.open[fmt.Sprint("c", i)] = turns("f", 4, 100)
	}
	l.crowd(4000)
	if len(l.crowded) > 0 {
		t.Errorf("the files of %d categories are to be finished early", len(l.crowded))
	}
	for name, list := range l.open {
		f := manifest.Join(list)
		if len(list) != 2 || f.Entries != 4000 || f.Raw != 40000 || !f.Unordered || len(list[0].Spans) != 2 || len(list[1].Spans) != 100 {
			t.Fatalf("%s: %d lines, %d entries, %d bytes, %d and %d spans", name, len(list), f.Entries, f.Raw, len(list[0].Spans), len(list[1].Spans))
		}
	}
}

// Where a manifest cannot be written, finishing one more file would only make one more that waits for it.
func TestFilesThatWaitForAManifestEndNoOther(t *testing.T) {
	l := &ledger{open: map[string][]manifest.Contents{
		"waits": append(turns("finished", 1, 1000), turns("open", 1, 10)...),
		"open":  turns("f", 1, 900),
	}}
	l.crowd(1000)
	if l.crowded["waits"] || len(l.open["waits"]) != 2 || len(l.open["waits"][0].Spans) != 1000 {
		t.Errorf("crowded %v, lines %d", l.crowded, len(l.open["waits"]))
	}
}
