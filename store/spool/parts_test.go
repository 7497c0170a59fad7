package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"inkwell/internal/faultfs"
)

// large returns parts that need several groups.
func large(n int) (parts []Part) {
	for i := range n {
		parts = append(parts, Part{Data: bytes.Repeat([]byte{byte('a' + i)}, maxGroup/2+1), Tail: []byte("tail"),
			Count: i + 1})
	}
	return parts
}

// counts returns the numbers of entries of the records in dir.
func counts(t *testing.T, dir *faultfs.Dir) (list []int) {
	t.Helper()
	for rec, err := range Records(dir) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, rec.Count)
	}
	return list
}

// TestPartsAreThereTogether: records that were appended together are read one by one, and a log that was cut off
// anywhere within them contains none of them.
func TestPartsAreThereTogether(t *testing.T) {
	path := t.TempDir()
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	l, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), []byte("first"), 10); err != nil {
		t.Fatal(err)
	}
	_, before := l.Bounds()
	end, err := l.AppendParts(t.Context(), large(5))
	if err != nil {
		t.Fatal(err)
	}
	if _, now := l.Bounds(); now != end {
		t.Errorf("the last record ends at %d, the log at %d", end, now)
	}
	if _, err := l.Append(t.Context(), []byte("last"), 20); err != nil {
		t.Fatal(err)
	}
	if _, entries := l.Backlog(); entries != 10+15+20 {
		t.Errorf("backlog of %d entries", entries)
	}
	r := l.Reader(0)
	for _, want := range []int{10, 1, 2, 3, 4, 5, 20} {
		rec, ok, err := r.TryNext()
		if err != nil || !ok || rec.Count != want {
			t.Fatalf("record of %d entries, %v, %v, want %d", rec.Count, ok, err, want)
		}
		if want < 10 && (!bytes.HasSuffix(rec.Data, []byte("tail")) || rec.Data[0] != byte('a'+want-1)) {
			t.Errorf("record %d is another", want)
		}
	}
	if cap(r.scan.buf) > 2*maxGroup {
		t.Errorf("the reader took %d bytes", cap(r.scan.buf))
	}
	if err := errors.Join(r.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(counts(t, dir)), "[10 1 2 3 4 5 20]"; got != want {
		t.Errorf("offline: %s, want %s", got, want)
	}
	name := filepath.Join(path, "0000000000000000.log")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(before) + 1; at < int64(end); at += maxGroup / 3 {
		cut := t.TempDir()
		if err := os.WriteFile(filepath.Join(cut, filepath.Base(name)), data[:at], 0o600); err != nil {
			t.Fatal(err)
		}
		dir, err := faultfs.OpenDir(cut, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(counts(t, dir)); got != "[10]" {
			t.Errorf("cut at %d, offline: %s", at, got)
		}
		if r, err := Verify(dir, nil); err != nil || r.Entries != 10 || r.TornBytes != at-int64(before) {
			t.Errorf("cut at %d: %+v, %v", at, r, err)
		}
		l, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, now := l.Bounds(); now != before {
			t.Errorf("cut at %d: it ends at %d, want %d", at, now, before)
		}
		if _, entries := l.Backlog(); entries != 10 {
			t.Errorf("cut at %d: %d entries", at, entries)
		}
		if _, err := l.AppendParts(t.Context(),
			[]Part{{Data: []byte("x"), Count: 7}, {Data: []byte("y"), Count: 8}}); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(l.Close()); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(counts(t, dir)); got != "[10 7 8]" {
			t.Errorf("cut at %d, and appended to: %s", at, got)
		}
		dir.Close()
	}
}

// failsAt fails the n-th write of many bytes.
type failsAt struct{ left int }

func (f *failsAt) Inject(op faultfs.Op, _ string, n int) (int, error) {
	if op == faultfs.OpWrite && n > 1<<20 {
		if f.left--; f.left == 0 {
			return n / 2, syscall.ENOSPC
		}
	}
	return n, nil
}

// TestPartsThatDoNotFitLeaveNothing: if the disk becomes full while the parts are written, none of them can be read,
// and the log continues to work.
func TestPartsThatDoNotFitLeaveNothing(t *testing.T) {
	for _, durability := range []Durability{Sync, Memory} {
		dir, err := faultfs.OpenDir(t.TempDir(), &failsAt{left: 3})
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		l, err := Open(dir, Options{Durability: durability})
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.AppendParts(t.Context(), large(5))
		if durability == Memory {
			l.mu.Lock()
			for l.writing {
				l.changed.Wait()
			}
			err, l.memoryErr = l.memoryErr, nil
			l.mu.Unlock()
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%v: error %v", durability, err)
		}
		if _, err := l.Append(context.Background(), []byte("x"), 3); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(counts(t, dir)); got != "[3]" {
			t.Errorf("%v: %s", durability, got)
		}
	}
}
