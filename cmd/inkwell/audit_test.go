package main

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
	"inkwell/rotate"
	"inkwell/store"
	"inkwell/store/audit"
	"inkwell/store/books"
	"inkwell/store/spool"
	"inkwell/store/stream"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// stretch is a range of entries of a stream (0: none) in an hour after noon: from "STREAM:NUMBER" up to end, for each.
type stretch struct {
	stream byte
	hour   int64
	first  int64
	count  int64
	end    string
}

func (s stretch) text() string {
	var b strings.Builder
	for i := range s.count {
		fmt.Fprintf(&b, "%d:%d%s", s.stream, s.first+i, s.end)
	}
	return b.String()
}

func linesOf(stream byte, hour, first, count int64) stretch {
	return stretch{stream: stream, hour: hour, first: first, count: count, end: "\n"}
}

// shelf is the directory of a collector that a test fills.
type shelf struct {
	t   *testing.T
	dir string
}

func newShelf(t *testing.T) shelf { return shelf{t: t, dir: filepath.Join(t.TempDir(), "logs")} }

func (s shelf) open(below ...string) *faultfs.Dir {
	s.t.Helper()
	d, err := faultfs.OpenDir(filepath.Join(append([]string{s.dir}, below...)...), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { d.Close() })
	return d
}

// append adds lines to one of its files.
func (s shelf) append(d *faultfs.Dir, name, header string, bodies ...[]byte) {
	s.t.Helper()
	var all [][]byte
	l, _, err := faultfs.OpenLines(d, name, header, func(b []byte) error { all = append(all, bytes.Clone(b)); return nil })
	if err == nil {
		err = errors.Join(l.Rewrite(slices.Values(append(all, bodies...))), l.Close())
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// file writes a file of category and records its contents in the manifest or, while it is open, in the books. It
// returns its path.
func (s shelf) file(category string, codec rotate.Codec, open bool, list ...stretch) string {
	s.t.Helper()
	dir := s.open(category)
	before, err := rotate.Files(dir, category)
	if err != nil {
		s.t.Fatal(err)
	}
	series, err := rotate.Open(s.open(category), rotate.Options{Base: category, Codec: codec}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	enc, err := rotate.NewEncoder(codec, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	var f books.File
	var spans store.Spans
	for _, part := range list {
		span := store.Span{Hour: noon.Unix()/3600 + part.hour, First: part.first, Count: part.count, Bytes: int64(len(part.text()))}
		if part.stream > 0 {
			span.Stream = stream.ID{part.stream}
		} else {
			span.First = 0
		}
		spans.Add(span)
		f.Entries, f.Raw = f.Entries+part.count, f.Raw+span.Bytes
		err = errors.Join(err, series.Append(enc, []byte(part.text())))
	}
	f.Spans = spans.List()
	if !open {
		err = errors.Join(err, series.Seal())
	}
	st, serr := series.Sync(nil)
	if err = errors.Join(err, serr, series.Publish(st, nil), series.Close()); err != nil {
		s.t.Fatal(err)
	}
	after, err := rotate.Files(dir, category)
	if err != nil || len(after) != len(before)+1 {
		s.t.Fatal(after, err)
	}
	last := after[len(after)-1]
	f.Name, f.Bytes = strings.TrimSuffix(strings.TrimPrefix(last.Name, "."), ".open"), last.Size
	f.First, f.Last = noon.Add(time.Duration(list[0].hour)*time.Hour), noon.Add(time.Duration(list[len(list)-1].hour)*time.Hour+time.Minute)
	s.told(category, open, &f)
	return filepath.Join(s.dir, category, last.Name)
}

// told writes the manifest line about a file.
func (s shelf) told(category string, open bool, f *books.File) {
	s.t.Helper()
	body, err := books.AppendFile(nil, f)
	d, name, header := s.open(category), books.Manifest, books.ManifestHeader
	if open {
		line := make(map[string]any)
		err = errors.Join(err, json.Unmarshal(body, &line))
		line["category"], line["from"], line["through"], line["first"], line["last"] = category, 0, 100, f.First.Unix(), f.Last.Unix()
		more, merr := json.Marshal(line)
		body, err = more, errors.Join(err, merr)
		d, name, header = s.open(audit.StateName), "contents", "inkwell contents 1" // of a collector of before
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.append(d, name, header, body)
}

func (s shelf) count(hour int64, what, why string, entries int64) {
	s.t.Helper()
	body, err := json.Marshal(books.Count{Hour: noon.Add(time.Duration(hour) * time.Hour), Category: "web", What: what, Why: why, Entries: entries})
	if err != nil {
		s.t.Fatal(err)
	}
	s.append(s.open(), books.CountsName, books.CountsHeader, body)
}

// positions writes the positions of a forwarder; each is STREAM NUMBER CATEGORY PATH.
func writePositions(t *testing.T, state string, list ...string) {
	t.Helper()
	s := shelf{t: t, dir: state}
	var bodies [][]byte
	for i, p := range list {
		var id byte
		var number int64
		var category, path string
		if _, err := fmt.Sscan(p, &id, &number, &category, &path); err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, fmt.Appendf(nil, "a fe01:%x 3:ab 3:cd 100 %d %v %q %q", i+1, number, stream.ID{id}, category, path))
	}
	s.append(s.open(), "positions", "inkwell positions 2", bodies...)
}

// spooled appends entries to a spool.
func spooled(t *testing.T, path string, part stretch) {
	t.Helper()
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	l, err := spool.Open(dir, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var b proto.Batch
	for text := range strings.Lines(part.text()) {
		b.Append([]byte("web"), []byte(text))
	}
	b.Number(stream.ID{part.stream}, part.first, int(part.count))
	_, err = l.Append(t.Context(), b.AppendRecordTail(bytes.Clone(b.Entries())), b.Count())
	if err = errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
}

// flat returns text without its line breaks.
func flat(text string) string { return strings.Join(strings.Fields(text), " ") }

func TestAuditTells(t *testing.T) {
	one, two := newShelf(t), newShelf(t)
	one.file("web", rotate.Gzip, false, linesOf(1, 0, 0, 1200), linesOf(0, 0, 0, 3))
	one.file("web", rotate.Zstd, false, linesOf(1, 1, 1200, 100))
	one.file("web", rotate.Gzip, true, linesOf(1, 2, 2000, 50))
	one.count(1, books.Duplicate, "", 7)
	one.count(1, books.Refused, "too large", 2)
	two.file("web", rotate.None, false, linesOf(1, 1, 1290, 20))
	two.open(audit.StateName)
	state := filepath.Join(t.TempDir(), "state")
	writePositions(t, state, "1 2100 web /var/log/x.log")
	spooled(t, filepath.Join(state, "spool"), linesOf(1, 0, 2050, 40))
	r := inkwell(t, nil, "audit", one.dir, two.dir, "--state", state)
	want := `web
        hour (UTC)  received  written  duplicated  missing  refused
  2026-11-25 12:00     1,203    1,203           0        0        0
  2026-11-25 13:00       129      120           7        0        2
  2026-11-25 14:00        50       50           0      690        0
       no hour yet         0        0           0       10        0
               all     1,382    1,373           7      700        2

web: stream 01000000 (/var/log/x.log): 700 entries missing: 1310-1999, 2090-2099
web: 10 entries of 1 stream in more than one collector:
    ONE,
    TWO (inkwell cat --dedupe writes them once)
web: 2 entries refused (too large)

received 1,382, written 1,373, in spool 40, duplicated 7, missing 700,
    refused 2, dropped 0; 2 collectors, 1 stream
`
	want = strings.NewReplacer("ONE", one.dir, "TWO", two.dir).Replace(want)
	if r.code != exitFailed || r.stderr != "" || flat(r.stdout) != flat(want) {
		t.Errorf("code %d, stderr %q\n%s\nwant\n%s", r.code, r.stderr, r.stdout, want)
	}
	r = inkwell(t, nil, "audit", one.dir, two.dir, "--state", state, "--problems")
	only := strings.ReplaceAll(want, "  2026-11-25 12:00     1,203    1,203           0        0        0\n", "")
	from, to := strings.Index(only, "web: 10 entries of 1 stream"), strings.Index(only, "web: 2 entries refused")
	if only = only[:from] + only[to:]; r.code != exitFailed || flat(r.stdout) != flat(only) {
		t.Errorf("--problems: code %d\n%s\nwant\n%s", r.code, r.stdout, only)
	}
	sound := newShelf(t)
	sound.file("web", rotate.None, false, linesOf(1, 1, 0, 20))
	sound.open(audit.StateName)
	if r = inkwell(t, nil, "audit", sound.dir, "--problems"); r.code != exitOK || strings.Contains(r.stdout, "web") {
		t.Errorf("--problems of what is well: %+v", r)
	}
	r = inkwell(t, nil, "audit", one.dir, two.dir, "--since", "2026-11-25T14:20", "--json")
	var report audit.Report
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.code != exitFailed {
		t.Fatal(err, r)
	}
	web := report.Categories["web"]
	if web.Sums.Written != 50 || web.Sums.Missing != 690 || len(web.Hours) != 1 || len(web.Files) != 1 || web.Files[0].State != audit.Open || len(report.Findings) != 1 {
		t.Errorf("%s", r.stdout)
	}
}

func TestAuditExitCodes(t *testing.T) {
	whole := newShelf(t)
	path := whole.file("web", rotate.Gzip, false, linesOf(1, 0, 0, 50))
	whole.file("web", rotate.Gzip, false, linesOf(1, 0, 50, 50))
	removed := whole.file("web", rotate.Gzip, false, linesOf(1, 0, 100, 50))
	state, empty, journal := t.TempDir(), t.TempDir(), newShelf(t)
	writePositions(t, state, "1 150 web /var/log/x")
	spooled(t, filepath.Join(journal.dir, audit.StateName, "journal"), linesOf(1, 0, 0, 4))
	old := t.TempDir()
	if err := errors.Join(os.Remove(removed), os.WriteFile(filepath.Join(old, "positions"), []byte("inkwell positions 1\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "state")
	if err := os.Rename(whole.open(audit.StateName).Path(), other); err != nil {
		t.Fatal(err)
	}
	configured, itsState := t.TempDir(), t.TempDir() // no manifests, as of a server with a configuration file
	if err := errors.Join(os.Mkdir(filepath.Join(configured, "web"), 0o755), os.WriteFile(filepath.Join(configured, "web", "web-2026-11-25_00000.gz"), []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		args []string
		code int
		want string
	}{
		{[]string{configured, "--collector-state", configured + "=" + itsState, "--state", state}, exitFailed, "nothing here was written by a collector that keeps books"},
		{[]string{whole.dir}, exitOK, "there is no state directory"},
		{[]string{whole.dir, "--verify", "--collector-state", whole.dir + "=" + other}, exitOK, "written 150, duplicated 0, missing 0"},
		{[]string{whole.dir, "--state", state}, exitOK, "missing 0"},
		{[]string{whole.dir}, exitOK, "not there any more: 1 file with 50 entries"},
		{[]string{whole.dir, "--state", old}, exitOK, "missing 0"},
		{[]string{journal.dir}, exitOK, "in journal 4"},
		{[]string{whole.dir, whole.dir + "/."}, exitUsage, "are the same"},
		{[]string{whole.dir, "--collector-state", "x=y"}, exitUsage, "want DIR=STATE"},
		{[]string{whole.dir, "--since", "soon"}, exitUsage, "2026-11-25"},
		{[]string{whole.dir, "--state", whole.dir + "/../logs/web"}, exitUsage, "there are no positions"},
		{[]string{whole.dir, "--state", filepath.Join(journal.dir, audit.StateName)}, exitUsage, "of a collector"},
		{[]string{whole.dir, "--state", journal.dir}, exitUsage, "of a collector"},
		{[]string{path}, exitUsage, "this has no <store>"},
		{nil, exitUsage, "DIR or FILE is missing"},
		{[]string{empty}, exitFailed, "give the directory of its files"},
		{[]string{filepath.Join(whole.dir, "web")}, exitOK, "written 150"},
		{[]string{filepath.Join(empty, "missing")}, exitFailed, "no such file"},
	}
	for _, c := range cases {
		r := inkwell(t, nil, append([]string{"audit"}, c.args...)...)
		if r.code != c.code || !strings.Contains(flat(r.stdout+r.stderr), c.want) {
			t.Errorf("audit %v: %+v, want %d and %q", c.args, r, c.code, c.want)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 0xff
	for _, bad := range [][]byte{data, data[:len(data)-1]} {
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		r := inkwell(t, nil, "audit", whole.dir, "--verify")
		if r.code != exitFailed || !strings.Contains(r.stdout, "web: file "+filepath.Base(path)) {
			t.Errorf("a damaged file: %+v", r)
		}
	}
	if list, err := os.ReadDir(empty); err != nil || len(list) > 0 {
		t.Errorf("looking made %v, %v", list, err)
	}
}

func TestCatDedupe(t *testing.T) {
	one, two, three := newShelf(t), newShelf(t), newShelf(t)
	a := one.file("web", rotate.Gzip, false, linesOf(1, 0, 0, 100), linesOf(0, 0, 0, 2))
	b := one.file("web", rotate.None, false, linesOf(1, 3, 150, 10), linesOf(2, 3, 0, 5))
	c := two.file("web", rotate.Zstd, false, linesOf(1, 1, 90, 70), linesOf(0, 1, 0, 2))
	d := two.file("web", rotate.Gzip, true, linesOf(1, 4, 160, 10))
	raw := three.file("web", rotate.Gzip, false, stretch{stream: 1, hour: 5, first: 165, count: 10, end: ";"}, linesOf(2, 5, 3, 4))
	text := func(list ...stretch) (s string) {
		for _, l := range list {
			s += l.text()
		}
		return s
	}
	plain := linesOf(0, 0, 0, 2)
	byTime := text(linesOf(1, 0, 0, 100), plain, linesOf(1, 1, 100, 60), plain, linesOf(2, 3, 0, 5), linesOf(1, 4, 160, 10))
	odd := stretch{stream: 1, first: 165, count: 10, end: ";"}
	alone := filepath.Join(t.TempDir(), "web_00000")
	if err := os.WriteFile(alone, []byte("alone\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	webs := []string{filepath.Join(one.dir, "web"), filepath.Join(two.dir, "web"), filepath.Join(three.dir, "web")}
	cases := []struct {
		args []string
		code int
		want string
		says string
	}{
		{webs[:2], exitOK, byTime, ""},
		{[]string{webs[1], webs[0]}, exitOK, byTime, ""},
		{[]string{webs[0], webs[0]}, exitOK, text(linesOf(1, 0, 0, 100), plain, plain, linesOf(1, 0, 150, 10), linesOf(2, 3, 0, 5)), ""},
		{[]string{c, a, d, b}, exitOK, text(linesOf(1, 0, 90, 70), plain, linesOf(1, 0, 0, 90), plain, linesOf(1, 0, 160, 10), linesOf(2, 0, 0, 5)), ""},
		{webs, exitFailed, byTime + text(odd, linesOf(2, 0, 5, 2)), "up to 5 entries may be twice"},
		{[]string{raw, alone}, exitOK, text(odd, linesOf(2, 0, 3, 4)) + "alone\n", "no manifest says what it holds"},
		{[]string{t.TempDir()}, exitFailed, "", "no files of a collector yet"},
		{[]string{"-f", webs[0]}, exitUsage, "", "do not go together"},
	}
	for _, k := range cases {
		r := inkwell(t, nil, append([]string{"cat", "--dedupe"}, k.args...)...)
		if r.code != k.code || r.stdout != k.want || !strings.Contains(r.stderr, k.says) || k.says == "" && r.stderr != "" {
			t.Errorf("cat --dedupe %v: code %d, %q; want %d, %q\n%s\nwant\n%s", k.args, r.code, r.stderr, k.code, k.says, r.stdout, k.want)
		}
	}
}

// For a file with too many spans the contents are known, but not their places.
func TestCatDedupeWithoutOrder(t *testing.T) {
	one, two := newShelf(t), newShelf(t)
	first := one.file("web", rotate.Gzip, false, linesOf(1, 0, 0, 5), linesOf(2, 0, 0, 5))
	later := two.file("web", rotate.Gzip, false, linesOf(2, 1, 3, 2), linesOf(1, 1, 4, 9))
	name := filepath.Base(later)
	two.told("web", false, &books.File{Name: name, Entries: 11, Unordered: true, Spans: []store.Span{
		{Stream: stream.ID{1}, First: 4, Count: 9, Bytes: 39}, {Stream: stream.ID{2}, First: 3, Count: 2, Bytes: 8}}})
	text := linesOf(1, 0, 0, 5).text() + linesOf(2, 0, 0, 5).text()
	r := inkwell(t, nil, "cat", "--dedupe", first, later)
	if want := text + linesOf(2, 1, 3, 2).text() + linesOf(1, 1, 4, 9).text(); r.code != exitFailed || r.stdout != want || !strings.Contains(r.stderr, "the 3 entries stand") {
		t.Errorf("%+v", r)
	}
	two.told("web", false, &books.File{Name: name, Entries: 11, Unordered: true, Spans: []store.Span{{Stream: stream.ID{1}, First: 1, Count: 2}}})
	if r = inkwell(t, nil, "cat", "--dedupe", first, later); r.code != exitOK || r.stdout != text {
		t.Errorf("%+v", r)
	}
}

// Bytes that are in no manifest do not count as lost.
func TestCatDedupeBeyondTheManifest(t *testing.T) {
	one := newShelf(t)
	path := one.file("web", rotate.None, false, linesOf(1, 0, 0, 5))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString("more\n")
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	r := inkwell(t, nil, "cat", "--dedupe", path)
	if r.code != exitOK || r.stdout != linesOf(1, 0, 0, 5).text()+"more\n" || !strings.Contains(r.stderr, "the last 5 bytes") {
		t.Errorf("%+v", r)
	}
	if err := os.Truncate(path, 7); err != nil {
		t.Fatal(err)
	}
	if r = inkwell(t, nil, "cat", "--dedupe", path); r.code != exitFailed || !strings.Contains(r.stderr, "it ends before") {
		t.Errorf("%+v", r)
	}
}

// A damaged manifest is reported, and the rest of it counts.
func TestCatDedupeWithADamagedManifest(t *testing.T) {
	one := newShelf(t)
	one.file("web", rotate.Gzip, false, linesOf(1, 0, 0, 10))
	web := filepath.Join(one.dir, "web")
	name := filepath.Join(web, books.Manifest)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[0] ^= 1
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	r := inkwell(t, nil, "cat", "--dedupe", web, web)
	if want := linesOf(1, 0, 0, 10).text(); r.code != exitOK || r.stdout != want || !strings.Contains(r.stderr, name+": damaged lines") {
		t.Errorf("code %d, %q, %q", r.code, r.stdout, r.stderr)
	}
}
