package stream

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/proto"
)

func openNames(t *testing.T, path string) *Names {
	t.Helper()
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := OpenNames(dir, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close(); dir.Close() })
	return n
}

// TestNamesSurvive: names are kept when a process is killed and when it ends; the first name of a stream is kept.
func TestNamesSurvive(t *testing.T) {
	path := t.TempDir()
	a := Source{Host: "web1", Path: `/var/log/"odd" name.log`}
	n := openNames(t, path)
	n.Tell(ID{1}, a)
	n.Tell(ID{1}, Source{Host: "liar", Path: "/etc/passwd"})
	n.Tell(ID{2}, Source{})
	n.Save() // no Close: it is killed here
	again := openNames(t, path)
	again.Tell(ID{3}, Source{Path: "journal:cron.service"})
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	last := openNames(t, path)
	if s, known := last.Source(ID{1}); s != a || !known {
		t.Errorf("%q, %v", s, known)
	}
	if s, known := last.Source(ID{2}); known {
		t.Errorf("%q", s)
	}
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	names, bad, err := ReadNames(dir)
	if len(names) != 2 || names[ID{1}] != a || names[ID{3}].Path != "journal:cron.service" || bad > 0 || err != nil {
		t.Errorf("%v, %d, %v", names, bad, err)
	}
}

// TestLearn: only names of streams with entries in the call are accepted.
func TestLearn(t *testing.T) {
	n := openNames(t, t.TempDir())
	trailer := proto.Trailer{Spans: []proto.Span{{Stream: [16]byte{1}, Count: 1}}}
	for _, id := range []byte{1, 2} {
		trailer.Namings, _ = proto.AppendNaming(trailer.Namings,
			proto.Naming{Stream: [16]byte{id}, Source: Source{Host: "h", Path: "/p"}})
		trailer.Sources++
	}
	var b proto.Batch
	call := proto.AppendLogTrailer(proto.AppendEntry(proto.AppendLogHeader(nil, 1, 1)[12:], []byte("c"), []byte("m")),
		trailer)
	if _, err := proto.DecodeLog(call, &b); err != nil {
		t.Fatal(err)
	}
	n.Learn(&b)
	if _, known := n.Source(ID{1}); !known {
		t.Error("the name was not learnt")
	}
	if _, known := n.Source(ID{2}); known {
		t.Error("a call named a stream that it has nothing of")
	}
}

// TestNamesAreBounded in number and in bytes; those that were used last are kept.
func TestNamesAreBounded(t *testing.T) {
	for path, many := range map[string]int{"/p": maxNames,
		strings.Repeat("p", proto.MaxPath): maxNameBytes / proto.MaxPath} {
		t.Run(fmt.Sprint(many), func(t *testing.T) {
			n := NewNames(slog.New(slog.DiscardHandler))
			for i := range many + 1 {
				id := ID{1, byte(i), byte(i >> 8), byte(i >> 16)}
				n.Tell(id, Source{Host: fmt.Sprint(i), Path: path})
				n.known[id].seen = int64(i)
				if len(n.known) > maxNames || n.bytes > maxNameBytes {
					t.Fatalf("%d names of %d bytes", len(n.known), n.bytes)
				}
			}
			i := many
			if s, known := n.Source(ID{1, byte(i), byte(i >> 8), byte(i >> 16)}); !known || s.Host != fmt.Sprint(i) {
				t.Errorf("the last one: %q", s)
			}
			if _, known := n.Source(ID{1}); known {
				t.Error("the first one is known")
			}
		})
	}
}

// TestOldNamesAreForgotten when the file is rewritten.
func TestOldNamesAreForgotten(t *testing.T) {
	path := t.TempDir()
	n := openNames(t, path)
	n.Tell(ID{1}, Source{Host: "old"})
	n.known[ID{1}].seen = time.Now().Add(-DefaultTTL - time.Hour).Unix()
	n.Tell(ID{2}, Source{Host: "new"})
	n.Save()
	data, err := os.ReadFile(filepath.Join(path, NamesFile))
	if err != nil || strings.Contains(string(data), "old") || !strings.Contains(string(data), "new") {
		t.Errorf("%q, %v", data, err)
	}
}

// brokenDisk makes writes fail while it is broken.
type brokenDisk struct{ broken atomic.Bool }

// Inject implements faultfs.Injector.
func (d *brokenDisk) Inject(op faultfs.Op, _ string, _ int) (int, error) {
	if d.broken.Load() && op == faultfs.OpWrite {
		return 0, os.ErrPermission
	}
	return 0, nil
}

// TestNamesOnABrokenDisk: names are known even if they cannot be saved, and are saved when the disk works again.
func TestNamesOnABrokenDisk(t *testing.T) {
	path := t.TempDir()
	disk := new(brokenDisk)
	disk.broken.Store(true)
	dir, err := faultfs.OpenDir(path, disk)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	n, err := OpenNames(dir, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	n.Tell(ID{1}, Source{Host: "web1"})
	n.Save()
	if _, known := n.Source(ID{1}); !known {
		t.Error("it is forgotten")
	}
	disk.broken.Store(false)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if s, known := openNames(t, path).Source(ID{1}); !known || s.Host != "web1" {
		t.Errorf("%q, %v", s, known)
	}
}

func FuzzNames(f *testing.F) {
	f.Add(appendName(nil, ID{1}, &knownSource{source: Source{Host: "web1", Path: "/a b\"c"}, seen: 7}))
	f.Add([]byte(`00000000000000000000000000000000 -1 "" ""`))
	f.Fuzz(func(t *testing.T, body []byte) {
		id, s, seen, err := parseName(body)
		if err != nil {
			return
		}
		again, t2, seen2, err := parseName(appendName(nil, id, &knownSource{source: s, seen: seen}))
		if err != nil || again != id || t2 != s || seen2 != seen {
			t.Errorf("%v %q %d came back as %v %q %d, %v", id, s, seen, again, t2, seen2, err)
		}
	})
}
