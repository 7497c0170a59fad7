package series

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/index"
)

// ledgers is what a series said of its files: path → content offset → what stands from there on.
type ledgers map[string][]store.Added

// add takes over what a Mark said.
func (l ledgers) add(t *testing.T, list []store.Added) {
	t.Helper()
	for _, a := range list {
		path := filepath.Join(a.Dir, a.File)
		said := l[path]
		for len(said) > 0 && said[len(said)-1].Start >= a.Start {
			said = said[:len(said)-1]
		}
		l[path] = append(said, a)
	}
}

// entry is what a message of the test says of itself: "category stream number; …\n".
func entry(category string, id byte, number int64) string {
	return fmt.Sprintf("%s %d %d%s\n", category, id, number, strings.Repeat(".", int(number%7)))
}

// check compares the content of every file with what was said of it, entry by entry.
func (l ledgers) check(t *testing.T, quoted bool) (entries int) {
	t.Helper()
	for path, list := range l {
		data, err := os.ReadFile(path)
		must(t, err)
		if strings.HasSuffix(path, ".gz") {
			r, err := gzip.NewReader(bytes.NewReader(data))
			must(t, err)
			data, err = io.ReadAll(r)
			must(t, err)
		}
		at := int64(0)
		for _, a := range list {
			if a.Start != at {
				t.Errorf("%s: said from byte %d on, %d were told of", path, a.Start, at)
			}
			for i := 0; i < len(a.Spans); i++ {
				s := a.Spans[i]
				for !s.Numbered() && i+1 < len(a.Spans) && !a.Spans[i+1].Numbered() { // in no order
					i++
					s.Count += a.Spans[i].Count
					s.Bytes += a.Spans[i].Bytes
				}
				text := string(data[at : at+s.Bytes])
				at += s.Bytes
				entries += int(s.Count)
				if got := strings.Count(text, "\n"); got != int(s.Count) {
					t.Fatalf("%s: %d entries in %+v: %q", path, got, s, text)
				}
				if !s.Numbered() {
					continue
				}
				for i := range s.Count {
					want := entry(s.Category, s.Stream[0], s.First+i)
					if quoted {
						want = fmt.Sprintf("%q %s", s.Category, want)
					}
					if !strings.HasPrefix(text, want) {
						t.Fatalf("%s: entry %d of %+v is not in %q", path, i, s, text)
					}
					text = text[len(want):]
				}
			}
		}
		if at != int64(len(data)) {
			t.Errorf("%s has %d bytes, %d were told of", path, len(data), at)
		}
		if last := list[len(list)-1]; last.Open {
			t.Errorf("%s is still open", path)
		}
	}
	return entries
}

// TestAddedIsWhatIsInTheFiles writes entries of several categories and streams, marks now and then, crashes now and
// then, and compares what was said of the files with what is in them.
func TestAddedIsWhatIsInTheFiles(t *testing.T) {
	own := func(id [16]byte) bool { return id[0] == 9 }
	kinds := map[string]func(dir string, saved store.States) (store.Keeper, error){
		"plain": func(dir string, saved store.States) (store.Keeper, error) {
			return OpenPlain(PlainOptions{Dir: dir, Base: "k", MaxWrite: 200, MaxSize: 1500, NoSymlink: true, Own: own}, saved)
		},
		"shared plain": func(dir string, saved store.States) (store.Keeper, error) {
			return OpenPlain(PlainOptions{Dir: dir, Base: "k", MaxWrite: 200, MaxSize: 1500, NoSymlink: true, Own: own,
				Form: store.Form{Quote: true}}, saved)
		},
		"compressed": func(dir string, saved store.States) (store.Keeper, error) {
			return OpenCompressed(CompressedOptions{Dir: dir, Base: "k", MaxSize: 700, Own: own}, saved)
		},
		"shared compressed": func(dir string, saved store.States) (store.Keeper, error) {
			return OpenCompressed(CompressedOptions{Dir: dir, Base: "k", MaxSize: 700, Own: own, Form: store.Form{Quote: true}},
				saved)
		},
		"compressed ahead": func(dir string, saved store.States) (store.Keeper, error) {
			c, err := OpenCompressed(CompressedOptions{Dir: dir, Base: "k", MaxSize: 700, Own: own}, saved)
			return &ahead{c}, err
		},
	}
	for name, open := range kinds {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(10) {
				r := rand.New(rand.NewPCG(seed, 2))
				dir, said := t.TempDir(), make(ledgers)
				k, err := open(dir, nil)
				must(t, err)
				m, err := marking(k, nil)
				must(t, err)
				must(t, k.Publish(nil))
				var waiting []*proto.Batch
				total, next := 0, [10]int64{}
				mark := func() {
					m, err = marking(k, m.Files)
					must(t, err)
					must(t, k.Publish(nil))
					said.add(t, m.Added)
					waiting = nil
				}
				for range 60 {
					b := new(proto.Batch)
					for n := r.IntN(9); n > 0; n-- {
						category, id := fmt.Sprint("c", r.IntN(2)), []byte{0, 1, 2, 9}[r.IntN(4)]
						for count := 1 + r.IntN(5); count > 0; count-- {
							b.Append([]byte(category), []byte(entry(category, id, next[id])))
							if id != 0 {
								b.Number([16]byte{id}, next[id], 1)
							}
							next[id]++
							total++
						}
					}
					must(t, k.Append(context.Background(), b))
					waiting = append(waiting, b)
					switch r.IntN(6) {
					case 0:
						mark()
					case 1:
						must(t, k.Close())
						k, err = open(dir, m.Files)
						must(t, err)
						for _, b := range waiting {
							must(t, k.Append(context.Background(), b))
						}
					}
				}
				must(t, k.(store.Sealer).Seal())
				mark()
				must(t, k.Close())
				if got := said.check(t, strings.HasPrefix(name, "shared")); got != total {
					t.Errorf("seed %d: %d entries were told of, %d are there", seed, got, total)
				}
			}
		})
	}
}

// ahead compresses before it writes.
type ahead struct{ *Compressed }

func (a *ahead) Append(_ context.Context, b *proto.Batch) error {
	p, err := a.Prepare(b)
	if err != nil {
		return err
	}
	return a.Write(p, a.o.Now())
}

// TestEntriesWithoutNumbersAreOneSpan: categories that come in turn, without numbers or with those of this collector's
// own lanes, do not make a span of each entry.
func TestEntriesWithoutNumbersAreOneSpan(t *testing.T) {
	c, err := OpenCompressed(CompressedOptions{Dir: t.TempDir(), Base: "k",
		Own: func(id [16]byte) bool { return id[0] == 9 }}, nil)
	must(t, err)
	for range 10 {
		b := new(proto.Batch)
		for i := range 1000 {
			b.Append(fmt.Appendf(nil, "c%d", i%3), []byte("m\n"))
			if i%2 == 0 {
				b.Number([16]byte{9}, int64(i), 1)
			}
		}
		must(t, c.Append(context.Background(), b))
	}
	m, err := marking(c, nil)
	must(t, err)
	if len(m.Added) != 1 || len(m.Added[0].Spans) > 6 { // an hour may turn
		t.Fatalf("%+v", m.Added)
	}
	must(t, c.Close())
}

// TestManySpansAreAskedFor: a sender may number as it likes.
func TestManySpansAreAskedFor(t *testing.T) {
	c, err := OpenCompressed(CompressedOptions{Dir: t.TempDir(), Base: "k"}, nil)
	must(t, err)
	b := new(proto.Batch)
	for i := range manySpans {
		if c.Urgent() {
			t.Fatal("urgent before there is much")
		}
		b.Append([]byte("c"), []byte("m\n"))
		b.Number([16]byte{byte(i % 2), 1}, int64(2*i), 1)
	}
	must(t, c.Append(context.Background(), b))
	if !c.Urgent() {
		t.Error("not urgent")
	}
	for i := range 4 {
		b.Reset()
		for k := range maxSpans / 2 {
			b.Append([]byte("c"), []byte("m\n"))
			b.Number([16]byte{byte(k % 2), 2}, int64(i*maxSpans/2+k)/2, 1)
		}
		must(t, c.Append(context.Background(), b))
	}
	m, err := marking(c, nil)
	must(t, err)
	if a := m.Added[0]; !a.Unordered || len(a.Spans) > maxSpans {
		t.Errorf("%d spans, unordered %v", len(a.Spans), a.Unordered)
	}
	must(t, c.Close())
}

// TestIndexOfAFile: every block of a file, and nothing of those that a crash took back.
func TestIndexOfAFile(t *testing.T) {
	dir := t.TempDir()
	r := runCompressed(t, dir, CompressedOptions{})
	r.append("one\n", "two\n")
	r.checkpoint()
	r.append("lost\n", "with the crash\n")
	m, err := marking(r.c, r.saved) // marked, and the checkpoint is not saved
	r.check(err)
	r.crash()
	r.clock = r.clock.Add(time.Minute)
	r.append("three\n")
	r.finish()
	if len(m.Added) != 1 {
		t.Errorf("%d files were added to", len(m.Added))
	}
	d, err := faultfs.OpenDir(filepath.Join(dir, "cat"), nil)
	r.check(err)
	defer d.Close()
	blocks, bad, err := index.Read(d, "cat-2026-11-23_00000.gz")
	if err != nil || bad != 0 || len(blocks) != 2 {
		t.Fatalf("%v, %d damaged, %v", blocks, bad, err)
	}
	if blocks[0].Entries != 2 || blocks[0].Raw != 8 || blocks[1].Raw != 6 || blocks[1].Offset != blocks[0].End() ||
		blocks[1].First.Sub(blocks[0].First) != time.Minute {
		t.Errorf("%+v", blocks)
	}
	info, err := d.Lstat("cat-2026-11-23_00000.gz")
	r.check(err)
	if blocks[0].Offset != 10 || blocks[1].End()+10 != info.Size() {
		t.Errorf("blocks from %d to %d of %d bytes", blocks[0].Offset, blocks[1].End(), info.Size())
	}
}
