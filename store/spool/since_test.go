package spool

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestSince tells since when there has been a backlog: from the first append to the acknowledgement of everything, and,
// of what an earlier process left, from before the start.
func TestSince(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{})
	if at := l.Since(); !at.IsZero() {
		t.Errorf("an empty log has a backlog since %v", at)
	}
	before := time.Now()
	first := mustAppend(t, l, "one")
	since := l.Since()
	if since.Before(before) || since.After(time.Now()) {
		t.Errorf("since %v, appended at %v", since, before)
	}
	last := mustAppend(t, l, "two")
	if err := l.Ack(first); err != nil || l.Since() != since {
		t.Errorf("%v, and half acknowledged since %v, not %v", err, l.Since(), since)
	}
	if err := l.Ack(last); err != nil || !l.Since().IsZero() {
		t.Errorf("%v, and nothing is left since %v", err, l.Since())
	}
	mustAppend(t, l, "three")
	mustClose(t, l)
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	segments, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	if err := os.Chtimes(segments[0], old, old); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, dir, Options{})
	if !l.Since().Equal(old) {
		t.Errorf("after a restart since %v, last written at %v", l.Since(), old)
	}
	mustClose(t, l)
}
