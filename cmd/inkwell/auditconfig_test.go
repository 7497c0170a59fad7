package main

import (
	"bytes"
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
	"inkwell/store"
	"inkwell/store/audit"
	"inkwell/store/books"
	"inkwell/store/stream"
)

// keptBooks adds a finished file of a directory to the books of a state directory.
func keptBooks(t *testing.T, state, dir, name string, spans ...store.Span) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	in, err := faultfs.OpenDir(state, nil)
	check(err)
	defer in.Close()
	log := slog.New(slog.DiscardHandler)
	b, err := books.Open(books.Options{State: in, Through: func(string) (uint64, bool) { return 1 << 40, true },
		Logger: log, Health: stats.NewHealth(log)})
	check(err)
	b.Add(dir, 0, 10, []store.Added{{Dir: dir, File: name, First: noon.Unix(), Last: noon.Unix(), Spans: spans}})
	check(b.Save())
	b.Publish(time.Now())
	check(errors.Join(b.Close(), os.WriteFile(filepath.Join(dir, name), nil, 0o644)))
}

func numbers(category string, first, count int64) store.Span {
	return store.Span{Category: category, Hour: noon.Unix() / 3600, Stream: stream.ID{1}, First: first, Count: count,
		Bytes: 10 * count}
}

// TestAuditOfConfigurations takes all directories from the configurations of a collector with a multi store and of a
// forwarder.
func TestAuditOfConfigurations(t *testing.T) {
	top := t.TempDir()
	at := func(names ...string) string { return filepath.Join(append([]string{top}, names...)...) }
	write := func(name, text string) string {
		if err := os.WriteFile(at(name), []byte(strings.ReplaceAll(text, "TOP", top)), 0o644); err != nil {
			t.Fatal(err)
		}
		return at(name)
	}
	collect := write("collect.conf", `inkwell 1
listen=127.0.0.1:1499
state_dir=TOP/collector
<store>
category=default
type=multi
<store0>
type=file
file_path=TOP/a
compress=gzip
</store0>
<store1>
type=file
file_path=TOP/b
</store1>
</store>
`)
	forward := write("forward.conf", `inkwell 1
state_dir=TOP/sender
<tail>
category=web
path=/var/log/x.log
</tail>
<store>
category=default
type=buffer
<primary>
type=network
remote_host=127.0.0.1
remote_port=1499
</primary>
<secondary>
type=file
file_path=TOP/sender/spool
</secondary>
</store>
`)
	state := at("collector", "collect-1499")
	if err := os.MkdirAll(filepath.Join(state, "journal"), 0o755); err != nil {
		t.Fatal(err)
	}
	keptBooks(t, state, at("a", "web"), "web-2026-11-25_00000.gz", numbers("web", 0, 100))
	keptBooks(t, state, at("b", "web"), "web_00000", numbers("web", 0, 90))
	writePositions(t, at("sender", "forward"), "1 110 web /var/log/x.log")
	spooled(t, at("sender", "spool", "forward.spool"), linesOf(1, 0, 100, 10))
	r := inkwell(t, nil, "audit", collect, forward)
	want := fmt.Sprintf("web → %s: stream 01000000 (/var/log/x.log): 10 entries missing: 90-99", at("b"))
	if r.code != exitFailed || !strings.Contains(flat(r.stdout), want) || strings.Contains(r.stdout, at("a")+": stream") ||
		!strings.Contains(flat(r.stdout), "in spool 10, duplicated 0, missing 10") {
		t.Errorf("code %d, %s\n%s\nwant %q", r.code, r.stderr, r.stdout, want)
	}
	for line := range strings.Lines(r.stdout) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > auditWidth && len(strings.Fields(line)) > 1 &&
			!strings.Contains(line, top) {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	keptBooks(t, state, at("b", "web"), "web_00001", numbers("web", 90, 10))
	for _, args := range [][]string{{collect, forward}, {collect, "--state", at("sender")}, {at("a"), "--collector-state",
		at("a") + "=" + state, "--state", at("sender")}} {
		if r := inkwell(t, nil, append([]string{"audit"}, args...)...); r.code != exitOK || !strings.Contains(flat(r.stdout),
			"missing 0") {
			t.Errorf("audit %v: code %d, %s\n%s", args, r.code, r.stderr, r.stdout)
		}
	}
	other := write("other.conf", strings.ReplaceAll(`inkwell 1
listen=127.0.0.1:1498
state_dir=TOP/nothing
<store>
category=default
type=file
file_path=TOP/a
</store>
`, "TOP", top))
	if r := inkwell(t, nil, "audit", other); r.code != exitUsage || !strings.Contains(r.stderr, "there is no journal") {
		t.Errorf("%+v", r)
	}
	if r := inkwell(t, nil, "audit", forward); r.code != exitUsage || !strings.Contains(r.stderr,
		"no collector is given") {
		t.Errorf("%+v", r)
	}
}

// TestAuditTableFits: with every column, and large numbers.
func TestAuditTableFits(t *testing.T) {
	one := newShelf(t)
	one.file("web", 0, false, linesOf(1, 0, 0, 1200), linesOf(1, 0, 1250, 10))
	one.count(0, "duplicate", "", 1_234_567)
	one.count(0, "refused", "too large", 1_234_567)
	spooled(t, filepath.Join(one.dir, ".inkwell", "journal"), linesOf(1, 0, 1260, 3))
	state := t.TempDir()
	spooled(t, filepath.Join(state, "refused"), linesOf(1, 0, 1240, 5))
	spooled(t, state, linesOf(1, 0, 1270, 5))
	r := inkwell(t, nil, "audit", one.dir, "--state", state)
	for line := range strings.Lines(r.stdout) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > auditWidth {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	if !strings.Contains(r.stdout, "hour (UTC)  received written journal") && !strings.Contains(r.stdout,
		"hour (UTC) received") {
		t.Errorf("%s", r.stdout)
	}
	many := audit.Sums{Received: 1e12, Written: 1e12, Journal: 1e9, HandedOn: 1e12, Duplicated: 1e12, Missing: 1e12, Refused: 1e12, Dropped: 1e12}
	var out bytes.Buffer
	if err := auditTable(&out, &audit.Category{Hours: []audit.Hour{{Sums: many}, {Sums: many}}, Sums: many}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > auditWidth+1 {
			t.Errorf("%d columns: %q", len(line), line)
		}
	}
	if n := strings.Count(out.String(), "1,000,000,000,000"); n != 7*3 {
		t.Errorf("%d of the numbers are there:\n%s", n, out.String())
	}
}

// TestCatDedupeOfConfiguredCollectors reads plain files of another base, one of which is older than the books, entries
// of several categories in one file, and an open file whose books are in another directory.
func TestCatDedupeOfConfiguredCollectors(t *testing.T) {
	top := t.TempDir()
	one, two, state := filepath.Join(top, "one"), filepath.Join(top, "two"), filepath.Join(top, "state")
	write := func(path, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	span := func(category string, first, count int64) store.Span {
		return store.Span{Category: category, Hour: noon.Unix() / 3600, Stream: stream.ID{1}, First: first, Count: count,
			Bytes: 3 * count}
	}
	text := func(category string, first, count int) (s string) {
		for i := range count {
			s += fmt.Sprintf("%s%d\n", category, first+i)
		}
		return s
	}
	in, err := faultfs.OpenDir(state, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	log := slog.New(slog.DiscardHandler)
	b, err := books.Open(books.Options{State: in, Through: func(string) (uint64, bool) { return 1 << 40, true },
		Logger: log, Health: stats.NewHealth(log)})
	if err != nil {
		t.Fatal(err)
	}
	add := func(key, dir, name string, open bool, start int64, spans ...store.Span) {
		t.Helper()
		b.Add(key, 0, 10, []store.Added{{Dir: dir, File: name, Start: start, First: noon.Unix(), Last: noon.Unix(),
			Open: open, Spans: spans}})
		if err := b.Save(); err != nil {
			t.Fatal(err)
		}
		b.Publish(time.Now())
	}
	add("a", one, "app_00000", false, 4, span("a", 0, 3), span("b", 0, 2))
	add("a", one, "app_00000", true, 19, span("b", 2, 2))
	add("b", two, "app_00007", true, 0, span("b", 1, 4), span("a", 2, 3), store.Span{Category: "a", Count: 1, Bytes: 2})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(one, "app_00000"), "old\n"+text("a", 0, 3)+text("b", 0, 4))
	write(filepath.Join(two, "app_00007"), text("b", 1, 4)+text("a", 2, 3)+"x\n")
	want := "old\n" + text("a", 0, 3) + text("b", 0, 4) + text("b", 4, 1) + text("a", 3, 2) + "x\n"
	r := inkwell(t, nil, "cat", "--dedupe", "--state", state, one, two)
	if r.code != exitOK || r.stdout != want || r.stderr != "" {
		t.Errorf("code %d, %s\n%q, want\n%q", r.code, r.stderr, r.stdout, want)
	}
	if r := inkwell(t, nil, "cat", "--dedupe", one, two); !strings.Contains(r.stderr, "no manifest says") {
		t.Errorf("without the state: %+v", r)
	}
}
