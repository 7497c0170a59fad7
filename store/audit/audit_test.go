package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/books"
	"inkwell/store/spool"
	"inkwell/store/stream"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func at(hour int) int64 { return noon.Unix()/3600 + int64(hour) }

// span returns numbers of stream n, received some hours after noon.
func span(n byte, hour int, first, count int64) store.Span {
	s := store.Span{Hour: at(hour), First: first, Count: count, Bytes: 10 * count}
	if n > 0 {
		s.Stream = stream.ID{n}
	}
	return s
}

func opened(t *testing.T, path ...string) *faultfs.Dir {
	t.Helper()
	d, err := faultfs.OpenDir(filepath.Join(path...), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func lines(t *testing.T, d *faultfs.Dir, header string, bodies ...[]byte) {
	t.Helper()
	name := books.Manifest
	if header == contentsHeader {
		name = "contents"
	}
	var all [][]byte
	l, _, err := faultfs.OpenLines(d, name, header,
		func(b []byte) error { all = append(all, append([]byte(nil), b...)); return nil })
	if err == nil {
		err = l.Rewrite(func(yield func([]byte) bool) {
			for _, b := range append(all, bodies...) {
				if !yield(b) {
					return
				}
			}
		})
	}
	if err = errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
}

// file adds the line of a file to the manifest of a category. The file exists under the name onDisk; "" = it was
// removed.
func file(t *testing.T, dir, category, name, onDisk string, spans ...store.Span) {
	t.Helper()
	f := books.File{Name: name, First: noon, Last: noon, Spans: spans}
	for _, s := range spans {
		f.Entries += s.Count
		f.Raw += s.Bytes
		if last := time.Unix(s.Hour*3600+60, 0).UTC(); last.After(f.Last) {
			f.Last = last
		}
	}
	f.Bytes = f.Raw
	body, err := books.AppendFile(nil, &f)
	if err != nil {
		t.Fatal(err)
	}
	lines(t, opened(t, dir, category), books.ManifestHeader, body)
	touch(t, dir, category, onDisk, int(f.Raw))
}

func touch(t *testing.T, dir, category, onDisk string, size int) {
	t.Helper()
	if onDisk == "" {
		return
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, category), 0o700),
		os.WriteFile(filepath.Join(dir, category, onDisk), make([]byte, size), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// contentsHeader is the header of the books of older collectors.
const contentsHeader = "inkwell contents 1"

// ledger adds a line to those books.
func ledger(t *testing.T, dir, category, name string, from, through uint64, spans ...store.Span) {
	t.Helper()
	line := map[string]any{"category": category, "file": name, "from": from, "through": through, "first": noon.Unix(),
		"last": noon.Unix() + 60}
	var streams []string
	var rows [][]int64
	for _, s := range spans {
		at := int64(-1)
		if s.Numbered() {
			at = int64(len(streams))
			streams = append(streams, stream.ID(s.Stream).String())
		}
		rows = append(rows, []int64{s.Hour, at, s.First, s.Count, s.Bytes})
	}
	line["streams"], line["spans"] = streams, rows
	body, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	lines(t, opened(t, dir, StateName), contentsHeader, body)
}

func counted1(t *testing.T, dir string, c books.Count) {
	t.Helper()
	body := fmt.Appendf(nil, `{"hour":%q,"category":%q,"stream":%q,"what":%q,"why":%q,"entries":%d,"numbers":%q}`,
		c.Hour.Format(time.RFC3339), c.Category, c.Stream, c.What, c.Why, c.Entries, c.Numbers)
	lines(t, opened(t, dir), books.ManifestHeader, body)
}

// log appends a record with numbers of stream n (0: none) to a spool.
func log(t *testing.T, path, category string, n byte, first int64, count int) {
	t.Helper()
	l, err := spool.Open(opened(t, path), spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var b proto.Batch
	for i := range count {
		b.Append([]byte(category), fmt.Appendf(nil, "%d\n", first+int64(i)))
	}
	if n > 0 {
		b.Number(stream.ID{n}, first, count)
	}
	_, err = l.Append(t.Context(), b.AppendRecordTail(append([]byte(nil), b.Entries()...)), count)
	if err = errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
}

// found returns the findings as short texts.
func found(r *Report) string {
	var list []string
	for _, f := range r.Findings {
		id := strings.TrimRight(f.Stream, "0")
		list = append(list, strings.TrimSpace(fmt.Sprintf("%s %s %s %d %s", f.Kind, f.Category, id, f.Entries,
			f.Numbers)))
	}
	return strings.Join(list, "; ")
}

func sums(s Sums) string {
	return fmt.Sprintf("%d=%d+%d+%d+%d m%d d%d", s.Received, s.Written, s.Journal, s.Duplicated, s.Refused, s.Missing,
		s.Dropped)
}

func TestAudit(t *testing.T) {
	const f0, f1, f2 = "web-2026-11-25_00000.gz", "web-2026-11-25_00001.gz", "web-2026-11-25_00002"
	cases := map[string]struct {
		make     func(t *testing.T, a *Audit, one, two string)
		two      bool
		since    int // hours after noon
		sums     string
		findings string
		fault    bool
	}{
		"everything is there": {
			make: func(t *testing.T, _ *Audit, one, _ string) {
				file(t, one, "web", f0, f0, span(1, 0, 0, 10), span(0, 0, 0, 3), span(2, 1, 0, 4))
				file(t, one, "web", f1, "", span(1, 1, 10, 5)) // removed by retention
			},
			sums: "22=22+0+0+0 m0 d0", findings: "removed web  5",
		},
		"entries without bytes are in no file before one comes": {
			make: func(t *testing.T, _ *Audit, one, _ string) {
				file(t, one, "web", f0, f0, span(1, 0, 0, 4)) // with what the first line of the ledger has
				ledger(t, one, "web", "", 0, 50, span(1, 0, 0, 1))
				ledger(t, one, "web", f0, 50, 100, span(1, 0, 1, 3))
				ledger(t, one, "web", "", 100, 150, span(1, 0, 4, 2))
				ledger(t, one, "db", "", 0, 120, span(2, 0, 0, 1))
			},
			sums: "7=7+0+0+0 m0 d0",
		},
		"removed files are told for each collector, as far back as was asked": {
			make: func(t *testing.T, _ *Audit, one, two string) {
				file(t, one, "web", f0, "", span(1, 0, 0, 10))
				file(t, one, "web", f1, "", span(1, 3, 10, 5))
				file(t, two, "web", f1, "", span(1, 4, 15, 1))
				file(t, two, "web", f2, f2, span(1, 4, 16, 1))
			},
			two: true, since: 1, sums: "7=7+0+0+0 m0 d0", findings: "removed web  5; removed web  1",
		},
		"the last line of a file counts": {
			make: func(t *testing.T, _ *Audit, one, _ string) {
				file(t, one, "web", f0, f0, span(1, 0, 0, 8))
				file(t, one, "web", f0, f0, span(1, 0, 0, 10))
				file(t, one, "web", f1, f1, span(1, 0, 10, 1))
			},
			sums: "11=11+0+0+0 m0 d0",
		},
		"holes have the hour of what is behind them": {
			make: func(t *testing.T, _ *Audit, one, _ string) {
				file(t, one, "web", f0, f0, span(1, 0, 2, 8), span(1, 3, 20, 5))
			},
			sums: "13=13+0+0+0 m12 d0", findings: "missing web 01 12 0-1,10-19", fault: true,
		},
		"of holes only the late ones are told": {
			make: func(t *testing.T, _ *Audit, one, _ string) {
				file(t, one, "web", f0, f0, span(1, 0, 2, 8), span(1, 3, 20, 5))
			},
			since: 2, sums: "5=5+0+0+0 m10 d0", findings: "missing web 01 10 10-19", fault: true,
		},
		"another collector has it": {
			make: func(t *testing.T, _ *Audit, one, two string) {
				file(t, one, "web", f0, f0, span(1, 0, 0, 10), span(1, 0, 20, 10))
				file(t, two, "web", f0, f0, span(1, 0, 8, 12))
			},
			two: true, sums: "32=32+0+0+0 m0 d0", findings: "in_both web 01 2 8-9",
		},
		"twice in one": {
			make: func(t *testing.T, _ *Audit, one, _ string) {
				file(t, one, "web", f0, f0, span(1, 0, 0, 10))
				file(t, one, "web", f1, f1, span(1, 0, 7, 10))
			},
			sums: "20=20+0+0+0 m0 d0", findings: "twice web 01 3 7-9", fault: true,
		},
		"the same numbers of several categories": {
			make: func(t *testing.T, _ *Audit, one, two string) {
				file(t, one, "_overflow", "_overflow_00000", "_overflow_00000", span(1, 0, 0, 10), span(1, 0, 0, 7))
				file(t, two, "_overflow", "_overflow_00000", "_overflow_00000", span(1, 0, 0, 10))
			},
			two: true, sums: "27=27+0+0+0 m0 d0",
		},
		"open files and the journal, which overlap": {
			make: func(t *testing.T, _ *Audit, one, _ string) {
				file(t, one, "web", f0, f0, span(1, 0, 0, 10))
				ledger(t, one, "web", f0, 0, 100, span(1, 0, 0, 10)) // published since
				ledger(t, one, "web", f1, 100, 200, span(1, 0, 10, 10))
				ledger(t, one, "web", f1, 200, 300, span(1, 0, 20, 10))
				ledger(t, one, "web", f1, 200, 350, span(1, 0, 20, 12)) // read again after a crash
				touch(t, one, "web", "."+f1+".open", 1)
				log(t, filepath.Join(one, StateName, "journal"), "web", 1, 25, 15)
				log(t, filepath.Join(one, StateName, "journal"), "web", 0, 0, 4)
			},
			sums: "44=32+12+0+0 m0 d0",
		},
		"a plain file that is written, and an open file that is gone": {
			make: func(t *testing.T, _ *Audit, one, _ string) {
				ledger(t, one, "web", f2, 0, 100, span(1, 0, 0, 10))
				ledger(t, one, "web", f1, 100, 200, span(1, 0, 10, 10))
				ledger(t, one, "web", f0, 200, 300, span(1, 0, 20, 10))
				touch(t, one, "web", f2, 1)
				touch(t, one, "web", "."+f0+".open", 1)
			},
			sums: "20=20+0+0+0 m10 d0", findings: "missing web 01 10 10-19; lost_file web  10", fault: true,
		},
		"a manifest line that a crash overtook": {
			make: func(t *testing.T, _ *Audit, one, _ string) {
				file(t, one, "web", f0, "."+f0+".open", span(1, 0, 0, 20))
				ledger(t, one, "web", f0, 0, 100, span(1, 0, 0, 10))
				log(t, filepath.Join(one, StateName, "journal"), "web", 1, 10, 10)
			},
			sums: "20=10+10+0+0 m0 d0",
		},
		"duplicates and refusals": {
			make: func(t *testing.T, _ *Audit, one, _ string) {
				id := stream.ID{1}.String()
				file(t, one, "web", f0, f0, span(1, 0, 0, 5), span(1, 0, 8, 2))
				counted1(t, one, books.Count{Hour: noon, Category: "web", Stream: id, What: books.Duplicate,
					Entries: 7})
				counted1(t, one, books.Count{Hour: noon, Category: "web", Stream: id, What: books.Refused,
					Why: "too large", Entries: 2})
				counted1(t, one, books.Count{Hour: noon, Category: "", What: books.Refused, Why: "blank category",
					Entries: 1})
			},
			sums: "17=7+0+7+3 m1 d0", findings: "missing web 01 1 5-7; refused   1; refused web  2; note   0", fault: true,
		},
		"refused numbers that came twice hide nothing": {
			make: func(t *testing.T, _ *Audit, one, _ string) {
				c := books.Count{Hour: noon, Category: "web", Stream: stream.ID{1}.String(), What: books.Refused,
					Why: "too large", Entries: 2, Numbers: "3-4"}
				file(t, one, "web", f0, f0, span(1, 0, 0, 3), span(1, 0, 5, 2), span(1, 0, 9, 1))
				counted1(t, one, c)
				c.Hour = noon.Add(time.Hour)
				counted1(t, one, c)
			},
			sums: "10=6+0+0+4 m2 d0", findings: "missing web 01 2 7-8; refused web  4", fault: true,
		},
		"refused numbers of a category that is no name": {
			make: func(t *testing.T, a *Audit, one, _ string) {
				a.Acknowledged(stream.ID{1}, "../web", "/var/log/x", 5)
				const name = store.UnsafeCategory + "-2026-11-25_00000.gz"
				file(t, one, store.UnsafeCategory, name, name, span(1, 0, 0, 2), span(1, 0, 4, 1))
				counted1(t, one, books.Count{Hour: noon, Category: store.UnsafeCategory, Stream: stream.ID{1}.String(),
					What: books.Refused, Why: "x", Entries: 2, Numbers: "2-3"})
			},
			sums: "5=3+0+0+2 m0 d0", findings: "refused _unsafe  2",
		},
		"a forwarder knows more": {
			make: func(t *testing.T, a *Audit, one, _ string) {
				a.Acknowledged(stream.ID{1}, "web", "/var/log/x", 30)
				a.Acknowledged(stream.ID{2}, "db", "/var/log/y", 5)
				state := filepath.Join(t.TempDir(), "spool")
				log(t, state, "web", 1, 15, 5)
				log(t, state, "db", 0, 0, 9)
				log(t, filepath.Join(state, "refused"), "web", 1, 12, 3)
				log(t, filepath.Join(state, "refused"), "db", 0, 0, 2)
				file(t, one, "web", f0, f0, span(1, 0, 0, 12), span(1, 0, 14, 3))
				if err := errors.Join(a.Waiting(opened(t, state)), a.Aside(opened(t, state, "refused"))); err != nil {
					t.Fatal(err)
				}
			},
			sums:     "15=15+0+0+0 m15 d4",
			findings: "dropped db  2; missing db 02 5 0-4; dropped web 01 2 12-13; missing web 01 10 20-29", fault: true,
		},
		"the journal of what is kept elsewhere": {
			make: func(t *testing.T, _ *Audit, one, _ string) {
				ledger(t, one, "_overflow", "_overflow_00000", 0, 1<<20, span(1, 0, 0, 9), span(0, 0, 0, 5))
				touch(t, one, "_overflow", "_overflow_00000", 1)
				log(t, filepath.Join(one, StateName, "journal"), "many", 1, 5, 6)
				log(t, filepath.Join(one, StateName, "journal"), "many", 0, 0, 5)
				log(t, filepath.Join(one, StateName, "journal"), "a/b", 0, 0, 2)
			},
			sums: "18=14+4+0+0 m0 d0",
		},
		"categories that are kept elsewhere": {
			make: func(t *testing.T, a *Audit, one, _ string) {
				a.Acknowledged(stream.ID{1}, "a/b", "/var/log/x", 10)
				a.Acknowledged(stream.ID{2}, "many", "/var/log/y", 30)
				file(t, one, "_unsafe", "_unsafe_00000", "_unsafe_00000", span(1, 0, 0, 9))
				file(t, one, "_overflow", "_overflow_00000", "_overflow_00000", span(2, 0, 10, 10))
				file(t, one, "many", "many_00000", "many_00000", span(2, 0, 0, 10), span(2, 0, 20, 10))
			},
			sums: "39=39+0+0+0 m1 d0", findings: "missing a/b 01 1 9", fault: true,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
			opened(t, one, StateName)
			o := Options{}
			if c.since > 0 {
				o.Since = noon.Add(time.Duration(c.since)*time.Hour + time.Minute)
			}
			a := New(o)
			c.make(t, a, one, two)
			if err := a.Collector(Source{Dirs: []string{one}}); err != nil {
				t.Fatal(err)
			}
			if c.two {
				opened(t, two, StateName)
				if err := a.Collector(Source{Dirs: []string{two}}); err != nil {
					t.Fatal(err)
				}
			}
			r := a.Report()
			if got := sums(r.Sums); got != c.sums || found(r) != c.findings || r.Fault != c.fault {
				t.Errorf("sums %s, fault %v, findings %q; want %s, %v, %q", got, r.Fault, found(r), c.sums, c.fault,
					c.findings)
			}
			for category, of := range r.Categories {
				var byStream, byHour Sums
				for _, s := range of.Streams {
					byStream.add(s.Sums)
				}
				for _, h := range of.Hours {
					byHour.add(h.Sums)
				}
				if byStream != of.Sums || byHour != of.Sums {
					t.Errorf("%s: %+v by stream, %+v by hour, %+v in all", category, byStream, byHour, of.Sums)
				}
			}
		})
	}
}

func TestStatesOfFiles(t *testing.T) {
	dir := t.TempDir()
	const f0, f1, f2 = "web_00000.gz", "web_00001.gz", "web_00002.gz"
	file(t, dir, "web", f0, "", span(1, 0, 0, 10))
	file(t, dir, "web", f1, f1, span(1, 1, 10, 10))
	ledger(t, dir, "web", f2, 0, 100, span(1, 2, 20, 10))
	touch(t, dir, "web", "."+f2+".open", 1)
	a := New(Options{})
	if err := a.Collector(Source{Dirs: []string{dir}}); err != nil {
		t.Fatal(err)
	}
	r := a.Report()
	var got []string
	for _, f := range r.Categories["web"].Files {
		got = append(got, fmt.Sprint(f.Name, " ", f.State, " ", f.Entries))
	}
	if s := strings.Join(got, "; "); s != f0+" removed 10; "+f1+" published 10; "+f2+" open 10" {
		t.Error(s)
	}
	if s := r.Categories["web"].Streams[stream.ID{1}.String()]; s.Next != 30 || len(s.Hours) != 3 ||
		!s.Hours[0].Hour.Equal(noon) {
		t.Errorf("%+v", s)
	}
}

func TestWhatIsNoCollector(t *testing.T) {
	dir := t.TempDir()
	file(t, dir, "web", "web_00000", "web_00000", span(1, 0, 0, 1))
	if err := os.Remove(filepath.Join(dir, "web", books.Manifest)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{t.TempDir(), dir, filepath.Join(dir, "web")} {
		if err := New(Options{}).Collector(Source{Dirs: []string{path}}); !errors.Is(err, ErrNoCollector) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestCopies(t *testing.T) {
	var c Copies
	got := func(category string, spans ...store.Span) string {
		var list []string
		fillCategory(category, spans)
		for _, s := range c.File(spans) {
			list = append(list, fmt.Sprintf("%s/%d %v", s.Met, s.Count, s.All()))
		}
		return strings.Join(list, "; ")
	}
	for _, c := range []struct {
		got, want string
	}{
		{got("web", span(1, 0, 0, 10), span(0, 0, 0, 5)), "/10 false; /5 false"},
		{got("web", span(1, 0, 0, 10), span(0, 0, 0, 5)), "0-9/10 true; /5 false"},
		{got("web", span(1, 0, 5, 10), span(2, 0, 0, 1)), "0-4/10 false; /1 false"},
		{got("web", span(1, 0, 3, 20)), "0-11/20 false"},
		{got("db", span(1, 0, 3, 20)), "/20 false"},
		{got("_overflow", span(1, 0, 0, 5), span(1, 0, 0, 5)), "/5 false; /5 false"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// Whichever bit of the files of a collector is wrong, an audit reads the rest and says so.
func TestDamageIsNoted(t *testing.T) {
	path := t.TempDir()
	hour := at(0)
	id := stream.ID{7}
	touch(t, path, "web", "web_00000.gz", 10)
	file(t, path, "web", "web_00000.gz", "", store.Span{Hour: hour, Stream: id, Count: 10, Bytes: 10})
	touch(t, path, "web", ".web_00001.gz.open", 10)
	ledger(t, path, "web", "web_00001.gz", 0, 10, store.Span{Hour: hour, Stream: id, First: 10, Count: 10, Bytes: 10})
	counted1(t, path, books.Count{Hour: noon, Category: "web", Stream: id.String(), What: books.Refused,
		Why: "too large", Entries: 2})
	for _, name := range []string{"web/.manifest", ".manifest", ".inkwell/contents"} {
		name = filepath.Join(path, name)
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		body := bytes.IndexByte(whole, '\n') + 1
		for bit := range len(whole) * 8 {
			data := bytes.Clone(whole)
			data[bit/8] ^= 1 << (bit % 8)
			if bit/8 >= body && bit/8 < body+8 && strings.EqualFold(string(data), string(whole)) {
				continue // the same number in another case
			}
			if err := os.WriteFile(name, data, 0o600); err != nil {
				t.Fatal(err)
			}
			a := New(Options{})
			if err := a.Collector(Source{Dirs: []string{path}}); err != nil {
				t.Fatalf("%s bit %d: %v", name, bit, err)
			}
			if r := a.Report(); !slices.ContainsFunc(r.Findings,
				func(f Finding) bool { return f.Kind == Note && strings.Contains(f.Text, name) }) {
				t.Errorf("%s bit %d: %+v", name, bit, r.Findings)
			}
		}
		if err := os.WriteFile(name, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
