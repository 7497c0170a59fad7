package index

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"inkwell/internal/faultfs"
)

func openDir(t *testing.T) *faultfs.Dir {
	t.Helper()
	dir, err := faultfs.OpenDir(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}

func block(offset, length int64, streams ...byte) Block {
	b := Block{Offset: offset, Length: length, Raw: 7 * length, Entries: length / 10, First: time.UnixMilli(1764403200120), Last: time.UnixMilli(1764403201007),
		Sum: 0x5a1f00c3}
	for _, s := range streams {
		b.Saw([16]byte{s, 15: s})
	}
	return b
}

func TestIndex(t *testing.T) {
	dir := openDir(t)
	const file = "web-2026-11-29_00000.gz"
	first := []Block{block(10, 100, 1), block(110, 50, 1, 2, 0), block(160, 40)}
	if err := Append(dir, file, first); err != nil {
		t.Fatal(err)
	}
	// A crash: the file is cut back to 110 and goes on with other blocks.
	second := []Block{block(110, 70, 3), {Offset: 180, Length: 20, Raw: 30, Entries: 1}}
	if err := Append(dir, file, second); err != nil {
		t.Fatal(err)
	}
	blocks, bad, err := Read(dir, file)
	if err != nil || bad != 0 {
		t.Fatal(blocks, bad, err)
	}
	if diff := cmp.Diff([]Block{first[0], second[0], second[1]}, blocks); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(filepath.Join(dir.Path(), "."+file+".idx")); err != nil {
		t.Error(err)
	}
	if of, ok := FileOf(Name(file)); !ok || of != file {
		t.Errorf("the index of %q", of)
	}
	// Half a line, as a full disk leaves it, costs itself.
	f, err := os.OpenFile(filepath.Join(dir.Path(), Name(file)), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("12345678 200 17"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	last := block(300, 10, 9)
	if err := Append(dir, file, []Block{last}); err != nil {
		t.Fatal(err)
	}
	blocks, bad, err = Read(dir, file)
	if err != nil || bad != 1 || len(blocks) != 4 || !cmp.Equal(blocks[3], last) {
		t.Error(blocks, bad, err)
	}
}

func TestManyStreams(t *testing.T) {
	var b Block
	for i := range byte(maxStreams + 1) {
		b.Saw([16]byte{i})
		b.Saw([16]byte{i})
	}
	if !b.Many || b.Streams != nil {
		t.Error(b)
	}
	got, err := ParseBody(b.AppendBody(nil))
	if err != nil || !cmp.Equal(got, b) {
		t.Error(got, err)
	}
}

func FuzzParseBody(f *testing.F) {
	b := block(10, 100, 1, 2)
	f.Add(b.AppendBody(nil))
	f.Add([]byte("10 1 2 3 0 0 00000000 *"))
	f.Add([]byte("1 2 3 4 5 6 00000000 -"))
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := ParseBody(body)
		if err != nil {
			return
		}
		text := b.AppendBody(nil)
		again, err := ParseBody(text)
		if err != nil || !cmp.Equal(b, again) || !bytes.Equal(text, again.AppendBody(nil)) {
			t.Errorf("%q: %v, then %v %v", body, b, again, err)
		}
	})
}
