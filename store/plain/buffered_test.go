package plain

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/internal/testkit"
	"inkwell/proto"
	"inkwell/store"
)

// records returns buffer records in the format of the original.
func records(texts ...string) []byte {
	var b []byte
	for _, text := range texts {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(text))), text...)
	}
	return b
}

// readAll reads a buffer file; damage is nil if it can be read to its end.
func readAll(t *testing.T, data []byte, category string) (all []string, damage *DamageError) {
	t.Helper()
	r := NewBufferReader(bytes.NewReader(data), int64(len(data)), category)
	for {
		c, m, err := r.Next()
		if err == io.EOF {
			return all, nil
		}
		if errors.As(err, &damage) {
			return all, damage
		}
		must(t, err)
		all = append(all, string(c)+"="+string(m))
	}
}

func TestBufferFilesOfTheOriginalAreRead(t *testing.T) {
	for _, c := range []struct {
		name, category string
		data           []byte
		want           []string
		lost           int64
	}{
		{"as recorded", "a", []byte("\x04\x00\x00\x00one\n\x03\x00\x00\x00two"), []string{"a=one\n", "a=two"}, 0},
		{"with categories", "", []byte("\x02\x00\x00\x00a\n\x04\x00\x00\x00one\n\x02\x00\x00\x00b\n\x06\x00\x00\x00three\n"), []string{"a=one\n", "b=three\n"}, 0},
		{"empty messages", "a", records("one", "", "three"), []string{"a=one", "a=", "a=three"}, 0},
		{"empty message with a category", "", records("a\n", "", "b\n", "x"), []string{"a=", "b=x"}, 0},
		{"nothing", "a", nil, nil, 0},
		{"binary", "a", records("\x00\xff\n\x00"), []string{"a=\x00\xff\n\x00"}, 0},
		{"cut in a message", "a", records("one", "two")[:12], []string{"a=one"}, 5},
		{"cut in a length", "a", records("one", "two")[:9], []string{"a=one"}, 2},
		{"lying length", "a", append(records("one"), 0xff, 0xff, 0xff, 0x7f, 'x'), []string{"a=one"}, 5},
		{"category without a message", "", records("a\n", "one", "b\n"), []string{"a=one"}, 6},
		{"category without its end", "", records("a\n", "one", "b", "two"), []string{"a=one"}, 12},
	} {
		got, damage := readAll(t, c.data, c.category)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if lost := int64(0); damage != nil {
			if lost = damage.Bytes; lost != c.lost {
				t.Errorf("%s: %d bytes lost, want %d", c.name, lost, c.lost)
			}
		} else if c.lost != 0 {
			t.Errorf("%s: no damage seen", c.name)
		}
	}
}

func FuzzBufferReader(f *testing.F) {
	f.Add(records("one", "", "three"), "a")
	f.Add(records("a\n", "one", "b\n", "two"), "")
	f.Add([]byte("\xff\xff\xff\x7f"), "a")
	f.Fuzz(func(t *testing.T, data []byte, category string) {
		r := NewBufferReader(bytes.NewReader(data), int64(len(data)), category)
		for range len(data) + 1 {
			before := r.Offset()
			_, m, err := r.Next()
			var damage *DamageError
			switch {
			case err == io.EOF:
				if r.Offset() != int64(len(data)) {
					t.Fatalf("the end is at %d of %d", r.Offset(), len(data))
				}
				return
			case errors.As(err, &damage):
				if damage.Offset != before || damage.Offset+damage.Bytes != int64(len(data)) {
					t.Fatalf("damage %v behind %d of %d", damage, before, len(data))
				}
				return
			case err != nil:
				t.Fatal(err)
			case r.Offset() < before+4+int64(len(m)):
				t.Fatalf("offset %d behind a message of %d bytes at %d", r.Offset(), len(m), before)
			}
		}
		t.Fatal("it does not end")
	})
}

func TestBufferedListsByNumber(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"x_00010", "x_00002", "x_100000", "x_current", "xy_00001", "x_00003.corrupt",
		"x_00001.gz", ".x_00004.open"} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	must(t, os.Mkdir(filepath.Join(dir, "x.spool"), 0o700))
	got, err := Buffered(dir, "x")
	if want := []string{"x_00002", "x_00010", "x_100000"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if got, err := Buffered(filepath.Join(dir, "nowhere"), "x"); err != nil || len(got) > 0 {
		t.Errorf("a directory that is not there has %v, %v", got, err)
	}
}

// central is a store that takes or refuses messages.
type central struct {
	away bool
	got  []string
}

func (c *central) Append(_ context.Context, b *proto.Batch) error {
	if c.away {
		return errors.New("away")
	}
	for cur := b.Cursor(); cur.Next(); {
		c.got = append(c.got, string(cur.Category())+"="+string(cur.Message()))
	}
	return nil
}

func (c *central) Close() error { return nil }

// keeping is a central that is a store.Keeper.
type keeping struct{ central }

func (k *keeping) Mark(*store.Marks) error      { return nil }
func (k *keeping) Publish(*faultfs.Later) error { return nil }

// atOnce is a store.Schedule without pauses.
type atOnce struct{}

func (atOnce) Next() time.Duration { return 0 }
func (atOnce) Reset()              {}

func takeover(t *testing.T, dir string, primary store.Store, saved store.States) store.Store {
	t.Helper()
	s, err := NewTakeover(primary, primary, TakeoverOptions{Dir: dir, Base: "x", Category: "c", Schedule: atOnce{},
		Logger: slog.New(slog.DiscardHandler), Stats: stats.New()}, saved)
	must(t, err)
	return s
}

func TestTakeoverDeliversFirstAndRemovesWhatWasDelivered(t *testing.T) {
	dir, c := t.TempDir(), &central{away: true}
	must(t, os.WriteFile(filepath.Join(dir, "x_00003"), records("one", "", "two"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "x_00004"), append(records("three"), "\x09\x00\x00\x00cut"...), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "x_00005"), nil, 0o600))
	s := takeover(t, dir, c, nil)
	if err := s.Append(t.Context(), testkit.Batch("c", "new")); err == nil {
		t.Fatal("new entries overtake old ones")
	}
	if list, err := Buffered(dir, "x"); err != nil || len(list) != 3 {
		t.Fatalf("%v are left while nothing can be delivered", list)
	}
	if status := s.(store.Reporter).Status(); !strings.Contains(status, "away") {
		t.Errorf("status is %q", status)
	}
	c.away = false
	must(t, s.(store.Checker).Check(time.Now()))
	must(t, s.Append(t.Context(), testkit.Batch("c", "new")))
	if want := []string{"c=one", "c=", "c=two", "c=three", "c=new"}; !slices.Equal(c.got, want) {
		t.Errorf("%q was delivered, want %q", c.got, want)
	}
	if got, want := tree(t, dir), "x_00004.corrupt="+string(records("three"))+"\x09\x00\x00\x00cut"; got != want {
		t.Errorf("%q is left, want %q", got, want)
	}
	if n := s.(*Takeover).lost[0].Load(); n != 7 {
		t.Errorf("%d bytes lost, want 7", n)
	}
}

func TestTakeoverIntoFilesRemovesOnlyWhatIsMarked(t *testing.T) {
	dir, k := t.TempDir(), new(keeping)
	must(t, os.WriteFile(filepath.Join(dir, "x_00000"), records("one"), 0o600))
	s := takeover(t, dir, k, nil).(*Takeover)
	must(t, s.Mark(&store.Marks{Files: make(store.States)}))
	must(t, s.Append(t.Context(), testkit.Batch("c", "new")))
	must(t, s.Publish(nil)) // of the mark before
	if list, _ := Buffered(dir, "x"); len(list) != 1 {
		t.Error("the file is gone before its entries were marked")
	}
	must(t, s.Mark(&store.Marks{Files: make(store.States)}))
	must(t, s.Publish(nil))
	if list, _ := Buffered(dir, "x"); len(list) != 0 {
		t.Error("the file is still there")
	}
	if want := []string{"c=one", "c=new"}; !slices.Equal(k.got, want) {
		t.Errorf("%q was delivered, want %q", k.got, want)
	}
}

// What was delivered according to a checkpoint is not delivered again when the process was killed before it had removed
// all files.
func TestTakeoverThatDiesBeforeItRemovesFiles(t *testing.T) {
	dir, k := t.TempDir(), new(keeping)
	for i, message := range []string{"one", "two", "three"} {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("x_0000%d", i)), records(message), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(dir, "x_00003"), append(records("four"), 9, 0), 0o600))
	s := takeover(t, dir, k, nil).(*Takeover)
	must(t, s.Append(t.Context(), testkit.Batch("c", "new")))
	saved := make(store.States)
	must(t, s.Mark(&store.Marks{Files: saved}))
	must(t, os.Remove(filepath.Join(dir, "x_00000"))) // as far as Publish came

	s = takeover(t, dir, k, saved).(*Takeover)
	must(t, s.Append(t.Context(), testkit.Batch("c", "newer")))
	if want := []string{"c=one", "c=two", "c=three", "c=four", "c=new", "c=newer"}; !slices.Equal(k.got, want) {
		t.Errorf("%q was delivered, want %q", k.got, want)
	}
	must(t, s.Mark(&store.Marks{Files: saved}))
	must(t, s.Publish(nil))
	if got := tree(t, dir); !strings.HasPrefix(got, "x_00003.corrupt=") {
		t.Errorf("%q is left", got)
	}
	must(t, s.Mark(&store.Marks{Files: saved}))
	if len(saved) > 0 {
		t.Errorf("the marks still speak of %v", saved)
	}
}

func TestTakeoverOfNothingIsTheStoreItself(t *testing.T) {
	c := new(central)
	if s := takeover(t, t.TempDir(), c, nil); s != store.Store(c) {
		t.Errorf("it is a %T", s)
	}
}

// TestBufferFileGetsShorter while it is read: that counts as damage, not as its end.
func TestBufferFileGetsShorter(t *testing.T) {
	for cut := range 10 {
		r := NewBufferReader(strings.NewReader(string(records("one", "two")[:14-1-cut])), 14, "c")
		var err error
		messages := 0
		for ; err == nil; messages++ {
			_, _, err = r.Next()
		}
		var damage *DamageError
		if !errors.As(err, &damage) || damage.Offset+damage.Bytes != 14 || damage.Offset != int64(7*(messages-1)) {
			t.Errorf("cut by %d: %v after %d messages", cut+1, err, messages-1)
		}
	}
}
