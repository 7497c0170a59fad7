package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/internal/faultfs"
	"inkwell/proto"
	"inkwell/store/spool"
)

// writeSpool makes a spool in dir of records with the entries given, "category message" each, and acknowledges the first acked records.
func writeSpool(t *testing.T, dir string, acked int, records ...[]string) {
	t.Helper()
	d, err := faultfs.OpenDir(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	log, err := spool.Open(d, spool.Options{SegmentBytes: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for i, entries := range records {
		var b proto.Batch
		for _, e := range entries {
			category, message, _ := strings.Cut(e, " ")
			b.Append([]byte(category), []byte(message))
		}
		end, err := log.Append(t.Context(), b.Entries(), b.Count())
		if err == nil && i < acked {
			err = log.Ack(end)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

var records = [][]string{{"web done\n"}, {"web one\n", "db two\n"}, {"raw \xff\x00"}, {"web three\n"}}

func TestSpoolCatPrintsWhatWaits(t *testing.T) {
	state := t.TempDir()
	for _, below := range []string{".", "spool", "journal", ".inkwell/journal"} {
		dir := filepath.Join(state, strings.ReplaceAll(below, "/", "_"))
		writeSpool(t, filepath.Join(dir, below), 1, records...)
		if r := inkwell(t, nil, "spool", "cat", dir); r.code != 0 || r.stdout != "one\ntwo\n\xff\x00three\n" {
			t.Errorf("spool in DIR/%s: %+v", below, r)
		}
	}
}

func TestSpoolExport(t *testing.T) {
	dir := t.TempDir()
	writeSpool(t, dir, 1, records...)
	r := inkwell(t, nil, "spool", "export", dir)
	if r.code != 0 {
		t.Fatal(r)
	}
	var got []string
	last := int64(-1)
	for s := bufio.NewScanner(strings.NewReader(r.stdout)); s.Scan(); {
		var e struct {
			Category, Message string
			MessageBase64     []byte `json:"message_base64"`
			Offset            int64
		}
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			t.Fatalf("%s: %v", s.Bytes(), err)
		}
		if e.Offset <= last {
			t.Errorf("offset %d behind %d", e.Offset, last)
		}
		last = e.Offset
		got = append(got, fmt.Sprintf("%s %s%s", e.Category, e.Message, e.MessageBase64))
	}
	if want := "web one\n|db two\n|raw \xff\x00|web three\n"; strings.Join(got, "|") != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSpoolListAndVerify(t *testing.T) {
	dir := t.TempDir()
	var many [][]string
	for i := range 40 {
		many = append(many, []string{fmt.Sprintf("web %0100d\n", i)})
	}
	writeSpool(t, dir, 10, many...)
	r := inkwell(t, nil, "spool", "ls", dir)
	if lines := strings.Count(r.stdout, "\n"); r.code != 0 || lines < 3 || !strings.Contains(r.stdout, "waiting") || !strings.Contains(r.stdout, ".log") {
		t.Errorf("ls: %+v", r)
	}
	r = inkwell(t, nil, "spool", "verify", dir)
	if r.code != 0 || !strings.Contains(r.stdout, "30 entries") {
		t.Errorf("verify: %+v", r)
	}
}

func TestSpoolDamageIsToldAndPassedOver(t *testing.T) {
	dir := t.TempDir()
	var many [][]string
	for i := range 40 {
		many = append(many, []string{fmt.Sprintf("web %0100d\n", i)})
	}
	writeSpool(t, dir, 0, many...)
	segments, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(segments) < 3 {
		t.Fatal(segments, err)
	}
	data, err := os.ReadFile(segments[1])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(segments[1], data, 0o600); err != nil {
		t.Fatal(err)
	}
	r := inkwell(t, nil, "spool", "verify", dir)
	if r.code != exitFailed || !strings.Contains(r.stdout, "damaged") || !strings.Contains(r.stdout, filepath.Base(segments[1])) {
		t.Errorf("verify: %+v", r)
	}
	for _, says := range []string{"1 entries; intact behind it", "delivers what is behind it"} {
		if !strings.Contains(r.stdout, says) {
			t.Errorf("verify does not say %q: %s", says, r.stdout)
		}
	}
	r = inkwell(t, nil, "spool", "cat", dir)
	if n := strings.Count(r.stdout, "\n"); r.code != exitFailed || n < 30 || n > 39 || !strings.Contains(r.stderr, "damaged") {
		t.Errorf("cat: code %d, %d of 40 messages, %q", r.code, n, r.stderr)
	}
}

func TestSpoolRepair(t *testing.T) {
	dir := t.TempDir()
	var many [][]string
	for i := range 40 {
		many = append(many, []string{fmt.Sprintf("web %0100d\n", i)})
	}
	writeSpool(t, dir, 0, many...)
	if r := inkwell(t, nil, "spool", "repair", dir); r.code != 0 || !strings.Contains(r.stdout, "nothing had to be set aside") {
		t.Errorf("a sound one: %+v", r)
	}
	segments, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(segments) < 3 {
		t.Fatal(segments, err)
	}
	last := segments[len(segments)-1]
	data, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	data[0] ^= 1
	if err := os.WriteFile(last, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := inkwell(t, nil, "spool", "verify", dir); r.code != exitFailed || !strings.Contains(r.stdout, "header is bad") {
		t.Errorf("verify: %+v", r)
	}
	d, err := faultfs.OpenDir(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	held, err := d.Lock("lock")
	if err != nil {
		t.Fatal(err)
	}
	if r := inkwell(t, nil, "spool", "repair", dir); r.code != exitLocked {
		t.Errorf("in use: %+v", r)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	r := inkwell(t, nil, "spool", "repair", dir)
	if name := filepath.Base(last) + ".corrupt"; r.code != 0 || !strings.Contains(r.stdout, "set aside "+name) {
		t.Errorf("repair: %+v", r)
	}
	if kept, err := os.ReadFile(last + ".corrupt"); err != nil || string(kept) != string(data) {
		t.Errorf("the segment was not kept: %v", err)
	}
	if r := inkwell(t, nil, "spool", "verify", dir); r.code != 0 {
		t.Errorf("after the repair: %+v", r)
	}
}

func TestSpoolWhereThereIsNone(t *testing.T) {
	if r := inkwell(t, nil, "spool", "ls", t.TempDir()); r.code != exitFailed || !strings.Contains(r.stderr, "there is no spool") {
		t.Errorf("%+v", r)
	}
}

// TestSpoolsBelowADirectory lists every spool below a directory, such as those of a server's buffer; commands that read
// one ask which.
func TestSpoolsBelowADirectory(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "web", "web.spool"), filepath.Join(dir, "db", "db.spool")
	writeSpool(t, one, 0, []string{"web one\n"})
	if r := inkwell(t, nil, "spool", "cat", dir); r.code != 0 || r.stdout != "one\n" {
		t.Errorf("the only spool: %+v", r)
	}
	if r := inkwell(t, nil, "spool", "ls", dir); r.code != 0 || !strings.HasPrefix(r.stdout, one+":\n") {
		t.Errorf("ls of the only spool: %+v", r)
	}
	if r := inkwell(t, nil, "spool", "ls", one); r.code != 0 || strings.Contains(r.stdout, one+":") {
		t.Errorf("ls of itself: %+v", r)
	}
	writeSpool(t, two, 0, []string{"db two\n"})
	r := inkwell(t, nil, "spool", "ls", dir)
	if r.code != 0 || !strings.HasPrefix(r.stdout, two+":\n") || !strings.Contains(r.stdout, "\n\n"+one+":\n") || strings.Count(r.stdout, "waiting") != 2 {
		t.Errorf("ls: %+v", r)
	}
	if r := inkwell(t, nil, "spool", "cat", dir); r.code != 1 || !strings.Contains(r.stderr, one) || !strings.Contains(r.stderr, two) {
		t.Errorf("several: %+v", r)
	}
	if r := inkwell(t, nil, "spool", "ls", t.TempDir()); r.code != 1 || !strings.Contains(r.stderr, "there is no spool") {
		t.Errorf("none: %+v", r)
	}
}
