package books

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"inkwell/store"
)

// TestDamageToTheBooks flips a bit of each byte of the books, and cuts them at every byte: they open, what the other
// lines say is known, and the damage is told.
func TestDamageToTheBooks(t *testing.T) {
	m := newModel(t, 1)
	for i, key := range []string{"c0 → out", "c1 → out"} {
		m.books.Add(key, 0, 10, []store.Added{{Dir: filepath.Join(m.out, key[:2]), File: key[:2] + "_00000", First: 1000,
			Last:  1000,
			Spans: []store.Span{{Category: key[:2], Hour: 7, Stream: [16]byte{1}, First: int64(i), Count: 1, Bytes: 10}}}})
		m.saved[key].through = 10
	}
	must(t, m.books.Save())
	must(t, m.books.Close())
	path := filepath.Join(m.state, booksName)
	whole, err := os.ReadFile(path)
	must(t, err)
	open := func(data []byte) (lines int, told string) {
		t.Helper()
		for _, name := range []string{m.state, m.out} {
			old, err := filepath.Glob(filepath.Join(name, "*"))
			must(t, err)
			for _, o := range old {
				must(t, os.RemoveAll(o))
			}
		}
		must(t, os.WriteFile(path, data, 0o600))
		var log bytes.Buffer
		o := m.options()
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		b, err := Open(o)
		must(t, err)
		must(t, b.Save())
		b.Publish(time.Now())
		must(t, b.Close())
		return len(said(t, m.out)), log.String()
	}
	if lines, told := open(whole); lines != 2 || told != "" {
		t.Fatalf("whole: %d lines, %q", lines, told)
	}
	for i := range whole {
		hit := bytes.Clone(whole)
		hit[i] ^= 1 << (i % 8)
		if lines, told := open(hit); lines < 1 || lines < 2 && told == "" {
			t.Errorf("byte %d: %d lines, %q", i, lines, told)
		}
		if lines, told := open(whole[:i]); lines == 2 || told == "" && bytes.Count(whole[:i], []byte("\n")) != lines+1 {
			t.Errorf("cut at byte %d: %d lines, %q", i, lines, told)
		}
	}
}
