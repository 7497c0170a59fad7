package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/rotate"
	"inkwell/store/manifest"
	"inkwell/store/stream"
)

// warned counts what is logged of trouble.
type warned struct{ atomic.Int64 }

func (w *warned) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (w *warned) Handle(context.Context, slog.Record) error    { w.Add(1); return nil }
func (w *warned) WithAttrs([]slog.Attr) slog.Handler           { return w }
func (w *warned) WithGroup(string) slog.Handler                { return w }

// TestDamageToTheBooks flips bits of each byte of the table of streams, the ledger and the manifests, and cuts each at every byte: the collector
// starts, the files have what was acknowledged, what the other lines say is known, and the damage is told.
func TestDamageToTheBooks(t *testing.T) {
	left := filepath.Join(memoryDir(t), "left")
	f := open(t, FilesOptions{Dir: left, Codec: rotate.None})
	mustAppend(t, f, numbered("c", 0, "c0\n"))
	mustAppend(t, f, numbered("c", 0, "c0\n")) // again, for DIR/.manifest
	f.Refused(Refusal{Category: []byte("c"), Stream: stream.ID{7}, First: 5, Entries: 3, Why: "not allowed"})
	closeFiles(t, f)
	f = open(t, FilesOptions{Dir: left, Codec: rotate.None, KeepOpen: true})
	mustAppend(t, f, numbered("c", 1, "c1\n"))
	mustAppend(t, f, numbered("d", 0, "d0\n"))
	closeFiles(t, f)
	if err := os.Remove(filepath.Join(left, ".inkwell", reserveName)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".inkwell/streams", ".inkwell/contents", "c/.manifest", ".manifest"} {
		t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) {
			t.Parallel()
			whole, err := os.ReadFile(filepath.Join(left, name))
			if err != nil {
				t.Fatal(err)
			}
			header := bytes.IndexByte(whole, '\n') + 1
			for i := range whole {
				hit := whole[bytes.LastIndexByte(whole[:i], '\n')+1:]
				for bit := range 8 {
					if i >= header && bit != i%8 {
						continue // faultfs.TestLinesFlipEveryBit does those
					}
					data := bytes.Clone(whole)
					data[i] ^= 1 << bit
					sameNumber := i >= header && len(whole[i:])+8 > len(hit) && strings.EqualFold(string(data), string(whole))
					line, _, _ := bytes.Cut(hit, []byte{'\n'})
					damagedStart(t, left, hitBook{name: name, data: data, told: !sameNumber, hit: line})
				}
				told := i == 0 || whole[i-1] != '\n'
				damagedStart(t, left, hitBook{name: name, data: whole[:i], told: told, hit: hit})
			}
		})
	}
}

type hitBook struct {
	name string
	data []byte
	told bool
	hit  []byte // what need not be known
}

func damagedStart(t *testing.T, left string, d hitBook) {
	t.Helper()
	dir := filepath.Join(memoryDir(t), "c")
	defer os.RemoveAll(filepath.Dir(dir))
	if err := errors.Join(os.CopyFS(dir, os.DirFS(left)), os.WriteFile(filepath.Join(dir, d.name), d.data, 0o600)); err != nil {
		t.Fatal(err)
	}
	told := new(warned)
	f, err := OpenFiles(FilesOptions{Dir: dir, Codec: rotate.None, Logger: slog.New(told), cutEvery: time.Millisecond, idleWait: time.Millisecond})
	if err != nil {
		t.Fatalf("%s %q: %v", d.name, d.data, err)
	}
	if d.told != (told.Load() > 0) {
		t.Errorf("%s %q: told %d", d.name, d.data, told.Load())
	}
	mustAppend(t, f, numbered("c", 0, "c0\n", "c1\n"))
	mustAppend(t, f, numbered("d", 0, "d0\n", "d1\n"))
	closeFiles(t, f)
	for category, want := range map[string][]string{"c": {"c0\n", "c1\n"}, "d": {"d0\n", "d1\n"}} {
		names, err := filepath.Glob(filepath.Join(dir, category, category+"-*"))
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, data...)
		}
		unknown := d.name == ".inkwell/streams" && strings.Contains(string(d.hit), fmt.Sprintf("%q", category))
		for _, line := range want {
			if n := strings.Count(string(got), line); n == 0 || n > 1 && !unknown {
				t.Errorf("%s %q: %q is there %d times", d.name, d.data, line, n)
			}
		}
	}
}

// TestDamageToADoneMarker flips every bit and cuts at every byte: a marker that cannot be read is set aside at the start, and made anew.
func TestDamageToADoneMarker(t *testing.T) {
	path := memoryDir(t)
	now := time.Now().Truncate(time.Second)
	hour, err := rotate.ParsePeriod("1h")
	if err != nil {
		t.Fatal(err)
	}
	root := openState(t, path)
	defer root.Close()
	dir, err := root.Sub("web")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	begun := now.Add(-3 * time.Hour)
	file := manifest.File{Name: "web-1", Bytes: 1, Raw: 1, Entries: 1, First: begun.UTC(), Last: begun.UTC(), Spans: []manifest.Span{{Hour: begun.Unix() / 3600, Count: 1, Bytes: 1}}}
	told := new(warned)
	start := func() *markers {
		k := newMarkers(root, &FilesOptions{Period: hour, Logger: slog.New(told)})
		if err := k.recover(now); err != nil {
			t.Fatal(err)
		}
		mustMark(t, k, now, nil)
		return k
	}
	body, err := manifest.AppendFile(nil, &file)
	if err != nil {
		t.Fatal(err)
	}
	if err := faultfs.AppendLines(dir, manifest.Name, manifest.Header, body); err != nil {
		t.Fatal(err)
	}
	label := start().period.Label(begun, rotate.Clock{})
	name := filepath.Join(path, "web", MarkerPrefix+label)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, data []byte) {
		t.Helper()
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		told.Store(0)
		start()
		now, err := os.ReadFile(name)
		var m Marker
		if err := errors.Join(err, json.Unmarshal(now, &m)); err != nil || len(m.Files) == 0 {
			t.Errorf("%s: the marker is %q, %v", what, now, err)
		}
		aside, err := filepath.Glob(filepath.Join(path, "web", ".*.corrupt"))
		if readable := json.Unmarshal(data, new(Marker)) == nil; err != nil || readable != (told.Load() == 0) || readable != (len(aside) == 0) {
			t.Errorf("%s: told %d times, set aside %v", what, told.Load(), aside)
		}
		for _, name := range aside {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for bit := range len(whole) * 8 {
		data := bytes.Clone(whole)
		data[bit/8] ^= 1 << (bit % 8)
		try(fmt.Sprintf("bit %d", bit), data)
	}
	for size := range whole {
		try(fmt.Sprintf("cut at %d", size), whole[:size])
	}
}
