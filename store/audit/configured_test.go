package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/books"
	"inkwell/store/stream"
)

// house is a configured collector written by a test: its files are in several directories, its state elsewhere.
type house struct {
	t     *testing.T
	top   string
	state *faultfs.Dir
	books *books.Books
	end   uint64
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, top: t.TempDir()}
	h.state = opened(t, h.top, "state")
	log := slog.New(slog.DiscardHandler)
	var err error
	h.books, err = books.Open(books.Options{State: h.state, Through: func(string) (uint64, bool) { return h.end, true },
		Logger: log, Health: stats.NewHealth(log),
		Destinations: []books.Destination{{Root: h.dir("a")}, {Root: h.dir("b")}}})
	h.check(err)
	t.Cleanup(func() { h.check(h.books.Close()) })
	return h
}

func (h *house) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) dir(names ...string) string {
	return filepath.Join(append([]string{h.top}, names...)...)
}

// file writes a file that ends with the given spans, and records it in the books.
func (h *house) file(dir, name string, open bool, start int64, spans ...store.Span) {
	h.t.Helper()
	size := start
	for _, s := range spans {
		size += s.Bytes
	}
	onDisk := name
	if open && strings.HasSuffix(name, ".gz") {
		onDisk = "." + name + ".open"
	}
	h.check(errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, onDisk), make([]byte, size), 0o644)))
	h.add(dir, name, open, start, spans...)
}

// add records what was added to a file.
func (h *house) add(dir, name string, open bool, start int64, spans ...store.Span) {
	h.t.Helper()
	h.end++
	h.books.Add(dir, h.end-1, h.end, []store.Added{{Dir: dir, File: name, Start: start, First: noon.Unix(),
		Last: noon.Unix() + 60, Open: open, Spans: spans}})
	h.check(h.books.Save())
	h.books.Publish(time.Now())
}

// entriesOf returns a span of a stream and category.
func entriesOf(category string, n byte, first, count int64) store.Span {
	s := span(n, 0, first, count)
	s.Category = category
	return s
}

// took records that the collector has taken numbers of a stream, which its journal does not need any more.
func (h *house) took(category string, n byte, first int64, count int) {
	h.t.Helper()
	table, err := stream.Open(h.state, stream.Options{})
	h.check(err)
	var b proto.Batch
	for range count {
		b.Append([]byte(category), []byte("m"))
	}
	b.Number(stream.ID{n}, first, count)
	table.Drained(&b)
	h.check(errors.Join(table.Save(), table.Close()))
}

func (h *house) source(dirs ...string) Source {
	return Source{Name: "house", Dirs: dirs, State: h.dir("state")}
}

func TestAuditOfConfiguredCollectors(t *testing.T) {
	const f0, f1 = "web-2026-11-25_00000.gz", "web-2026-11-25_00001.gz"
	for name, c := range map[string]struct {
		write    func(h *house, a *Audit) []Source
		of       func(h *house) func(category string) []Destination
		sums     string
		handed   int64
		findings string
		fault    bool
	}{
		"files of several categories and directories, finished and open": {
			write: func(h *house, _ *Audit) []Source {
				h.file(h.dir("a", "web"), f0, false, 0, entriesOf("web", 1, 0, 10), entriesOf("api", 2, 0, 5),
					entriesOf("web", 1,
						10, 5))
				h.file(h.dir("a", "web"), f1, true, 0, entriesOf("web", 1, 15, 5))
				h.file(h.dir("b"), "app_00000", true, 0, entriesOf("api", 2, 5, 5), entriesOf("api", 0, 0, 3))
				log(h.t, h.dir("state", "journal"), "web", 1, 18, 4)
				return []Source{h.source(h.dir("a"), h.dir("b"))}
			},
			sums: "35=33+2+0+0 m0 d0",
		},
		"a directory that was removed with its manifest, and two finished files and an open one": {
			write: func(h *house, _ *Audit) []Source {
				h.file(h.dir("a", "web"), f0, false, 0, entriesOf("web", 1, 0, 10))
				h.file(h.dir("a", "web"), f1, false, 0, entriesOf("web", 1, 10, 5))
				h.file(h.dir("a", "web"), "web-2026-11-25_00002.gz", true, 0, entriesOf("web", 1, 15, 2))
				h.check(os.RemoveAll(h.dir("a", "web")))
				h.check(os.Mkdir(h.dir("a", "web"), 0o755))
				return []Source{h.source(h.dir("a"))}
			},
			sums: "15=15+0+0+0 m0 d0", findings: "removed web  15; lost_file web  2", fault: true,
		},
		"a plain file that was finished, and gone on with": {
			write: func(h *house, a *Audit) []Source {
				a.Acknowledged(stream.ID{1}, "web", "/var/log/x", 12)
				h.file(h.dir("b"), "app_00000", false, 30, entriesOf("web", 1, 0, 5)) // 30 bytes are older than the books
				h.file(h.dir("b"), "app_00000", true, 80, entriesOf("web", 1, 5, 5))
				return []Source{h.source(h.dir("b"))}
			},
			sums: "10=10+0+0+0 m2 d0", findings: "missing web 01 2 10-11", fault: true,
		},
		"each of several destinations has to have it": {
			write: func(h *house, a *Audit) []Source {
				a.Acknowledged(stream.ID{1}, "web", "/var/log/x", 10)
				h.file(h.dir("a", "web"), f0, false, 0, entriesOf("web", 1, 0, 10))
				h.file(h.dir("b", "web"), f0, false, 0, entriesOf("web", 1, 0, 7))
				return []Source{h.source(h.dir("a"), h.dir("b"))}
			},
			of: func(h *house) func(string) []Destination {
				return func(string) []Destination {
					return []Destination{{Name: "a", Roots: []string{h.dir("a")}},
						{Name: "b", Roots: []string{h.dir("b")}}}
				}
			},
			sums: "17=17+0+0+0 m3 d0", findings: "missing web → b 01 3 7-9", fault: true,
		},
		"a relay handed it on": {
			write: func(h *house, a *Audit) []Source {
				a.Acknowledged(stream.ID{1}, "web", "/var/log/x", 105)
				h.took("web", 1, 0, 100)
				log(h.t, h.dir("spool"), "web", 1, 80, 10)
				log(h.t, h.dir("state", "journal"), "web", 1, 90, 10)
				h.check(a.Waiting(opened(h.t, h.dir("spool"))))
				return []Source{h.source()}
			},
			sums: "90=0+10+0+0 m5 d0", handed: 80, findings: "missing web 01 5 100-104", fault: true,
		},
		"what a relay handed on is at the next hop, or missing": {
			write: func(h *house, _ *Audit) []Source {
				h.took("web", 1, 0, 100)
				next := newHouse(h.t)
				next.file(next.dir("a", "web"), f0, false, 0, entriesOf("web", 1, 0, 95))
				return []Source{h.source(), next.source(next.dir("a"))}
			},
			sums: "195=95+0+0+0 m5 d0", handed: 100, findings: "missing web 01 5 95-99", fault: true,
		},
		"what was taken and is in no file is not handed on by whoever writes files": {
			write: func(h *house, _ *Audit) []Source {
				h.took("web", 1, 0, 100)
				h.file(h.dir("a", "web"), f0, false, 0, entriesOf("web", 1, 0, 90), entriesOf("web", 1, 95, 5))
				return []Source{h.source(h.dir("a"))}
			},
			sums: "95=95+0+0+0 m5 d0", findings: "missing web 01 5 90-94", fault: true,
		},
		"to files, and handed on": {
			write: func(h *house, a *Audit) []Source {
				a.Acknowledged(stream.ID{1}, "web", "/var/log/x", 10)
				h.took("web", 1, 0, 10)
				h.file(h.dir("a", "web"), f0, false, 0, entriesOf("web", 1, 0, 8))
				return []Source{h.source(h.dir("a"))}
			},
			of: func(h *house) func(string) []Destination {
				return func(string) []Destination {
					return []Destination{{Name: "a", Roots: []string{h.dir("a")}}, {Name: "logs2:1463", HandsOn: true}}
				}
			},
			sums: "18=8+0+0+0 m2 d0", handed: 10, findings: "missing web → a 01 2 8-9", fault: true,
		},
		"both parts of a multi store, whose configuration nobody gave": {
			write: func(h *house, _ *Audit) []Source {
				h.file(h.dir("a", "web"), f0, false, 0, entriesOf("web", 1, 0, 10))
				h.file(h.dir("b", "web"), f0, false, 0, entriesOf("web", 1, 0, 10))
				h.file(h.dir("b", "web"), f1, false, 0, entriesOf("web", 1, 9, 2))
				return []Source{h.source(h.dir("a"), h.dir("b"))}
			},
			sums: "22=22+0+0+0 m0 d0", findings: "twice web 01 1 9; copied web 01 10 0-9", fault: true,
		},
		"a file that was taken away while it was written, and what was taken was nowhere else": {
			write: func(h *house, _ *Audit) []Source {
				h.took("web", 1, 0, 10)
				h.file(h.dir("a", "web"), f0, true, 0, entriesOf("web", 1, 0, 8))
				h.check(os.Remove(h.dir("a", "web", "."+f0+".open")))
				h.file(h.dir("a", "web"), f1, false, 0, entriesOf("web", 1, 8, 2))
				return []Source{h.source(h.dir("a"))}
			},
			sums: "2=2+0+0+0 m8 d0", findings: "missing web 01 8 0-7; lost_file web  8", fault: true,
		},
		"the same, when the collector has noticed": {
			write: func(h *house, _ *Audit) []Source {
				h.file(h.dir("a", "web"), f0, true, 0, entriesOf("web", 1, 0, 8))
				h.check(os.Remove(h.dir("a", "web", "."+f0+".open")))
				h.add(h.dir("a", "web"), f0, false, 80) // nothing came, and it ends
				h.file(h.dir("a", "web"), f1, false, 0, entriesOf("web", 1, 8, 2))
				return []Source{h.source(h.dir("a"))}
			},
			sums: "2=2+0+0+0 m8 d0", findings: "missing web 01 8 0-7; lost_file web  8", fault: true,
		},
		"entries without bytes, some of which a restart counted again": {
			write: func(h *house, _ *Audit) []Source {
				h.file(h.dir("a", "web"), f0, false, 0, entriesOf("web", 1, 5, 5))
				line := func(numbers string, entries int) []byte {
					return fmt.Appendf(nil, `{"hour":"2026-11-25T13:00:00Z","category":"web","stream":"%s","what":"empty","entries":%d,"numbers":"%s"}`,
						stream.ID{1}, entries, numbers)
				}
				h.check(faultfs.AppendLines(opened(h.t, h.dir("a")), books.CountsName, books.CountsHeader,
					line("0-2", 3), line("0-4", 5)))
				return []Source{h.source(h.dir("a"))}
			},
			sums: "10=10+0+0+0 m0 d0",
		},
		"an open file that is gone, and one elsewhere": {
			write: func(h *house, _ *Audit) []Source {
				h.file(h.dir("a", "web"), f0, true, 0, entriesOf("web", 1, 0, 8))
				h.check(os.Remove(h.dir("a", "web", "."+f0+".open")))
				h.file(h.dir("b", "web"), f0, true, 0, entriesOf("web", 2, 0, 8))
				return []Source{h.source(h.dir("a"))}
			},
			sums: "0=0+0+0+0 m0 d0", findings: "lost_file web  8; note   0", fault: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			o := Options{}
			if c.of != nil {
				o.Destinations = c.of(h)
			}
			a := New(o)
			for _, s := range c.write(h, a) {
				h.check(a.Collector(s))
			}
			r := a.Report()
			if got := sums(r.Sums); got != c.sums || r.Sums.HandedOn != c.handed || found(r) != c.findings ||
				r.Fault != c.fault {
				t.Errorf("sums %s, handed on %d, fault %v, findings %q; want %s, %d, %v, %q", got, r.Sums.HandedOn,
					r.Fault,
					found(r), c.sums, c.handed, c.fault, c.findings)
			}
		})
	}
}

// TestFilesThatAreGone: the report says whether retention removed them.
func TestFilesThatAreGone(t *testing.T) {
	h := newHouse(t)
	for i, name := range []string{"web-2026-11-25_00000.gz", "web-2026-11-25_00001.gz", "web-2026-11-25_00002.gz"} {
		h.file(h.dir("a", "web"), name, false, 0, entriesOf("web", 1, int64(i), 1))
	}
	dir := opened(t, h.top, "a", "web")
	h.check(errors.Join(dir.Remove("web-2026-11-25_00000.gz"), dir.Remove("web-2026-11-25_00001.gz"),
		faultfs.AppendLines(dir, books.Manifest, books.ManifestHeader,
			[]byte(`{"file":"web-2026-11-25_00000.gz","removed":"retention","at":"2026-11-26T00:00:00Z"}`))))
	a := New(Options{})
	h.check(a.Collector(h.source(h.dir("a"))))
	r := a.Report()
	var got []string
	for _, f := range r.Findings {
		got = append(got, string(f.Kind)+" "+f.Text+" "+f.Why)
	}
	if text := strings.Join(got, "; "); text != "removed 1 file ; removed 1 file retention" || r.Fault ||
		r.Sums.Written != 3 {
		t.Errorf("%q, %+v", text, r.Sums)
	}
}
