package books

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/store"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// writer is one outlet of the model: what its files hold, and what it has not said of them.
type writer struct {
	key     string
	through uint64
	files   []written
	unsaid  []store.Added
	posted  uint64 // through of what was said
	numbers int64
}

// written is a file: each entry is "category stream number", in order.
type written struct {
	dir, name string
	entries   []string
	bytes     int64
	done      bool
}

func (w *writer) clone() *writer {
	c := *w
	c.files, c.unsaid = nil, nil
	for _, f := range w.files {
		f.entries = slices.Clone(f.entries)
		c.files = append(c.files, f)
	}
	return &c
}

// model is an engine of which only the books are real.
type model struct {
	t     *testing.T
	r     *rand.Rand
	state string
	out   string
	books *Books
	now   map[string]*writer
	posts map[string]*writer // what the books were told
	saved map[string]*writer // what the checkpoint has
	begun int
	many  int // spans that make it crowded
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{t: t, r: rand.New(rand.NewPCG(seed, 3)), state: t.TempDir(), out: t.TempDir(), now: map[string]*writer{},
		posts: map[string]*writer{}, saved: map[string]*writer{}, many: 40}
	for i := range 4 {
		key := fmt.Sprintf("c%d → out", i)
		m.now[key] = &writer{key: key}
		m.saved[key], m.posts[key] = &writer{key: key}, &writer{key: key}
	}
	m.open()
	return m
}

func (m *model) options() Options {
	dir, err := faultfs.OpenDir(m.state, nil)
	must(m.t, err)
	m.t.Cleanup(func() { dir.Close() })
	return Options{State: dir, Logger: slog.New(slog.DiscardHandler),
		Health: stats.NewHealth(slog.New(slog.DiscardHandler)), Destinations: []Destination{{Root: m.out}},
		Through: func(outlet string) (uint64, bool) { w := m.saved[outlet]; return w.through, true }, maxSpans: m.many}
}

func (m *model) open() {
	b, err := Open(m.options())
	must(m.t, err)
	m.books = b
}

// write adds entries to the open file of an outlet, or begins one.
func (m *model) write(w *writer) {
	k := len(w.files) - 1
	if k < 0 || w.files[k].done {
		m.begun++
		dir := filepath.Join(m.out, w.key[:2])
		if w.key[1] >= '2' { // these share a directory
			dir = filepath.Join(m.out, "shared")
		}
		w.files = append(w.files, written{dir: dir, name: fmt.Sprintf("%s_%05d", w.key[:2], m.begun)})
		k++
	}
	f := &w.files[k]
	if n := len(w.unsaid) - 1; n < 0 || w.unsaid[n].File != f.name {
		w.unsaid = append(w.unsaid, store.Added{Dir: f.dir, File: f.name, Start: f.bytes, First: 1000, Open: true})
	}
	a := &w.unsaid[len(w.unsaid)-1]
	var spans store.Spans
	for _, s := range a.Spans {
		spans.Add(s)
	}
	for range 1 + m.r.IntN(5) {
		s := store.Span{Category: w.key[:2], Hour: 7, Stream: [16]byte{byte(m.r.IntN(3))}, Count: 1, Bytes: 10}
		if s.Numbered() {
			s.First = w.numbers
		}
		w.numbers++
		f.entries = append(f.entries, fmt.Sprintf("%s %d %d", s.Category, s.Stream[0], s.First))
		f.bytes += s.Bytes
		spans.Add(s)
	}
	a.Spans, a.Last = spans.List(), 2000
	w.through += uint64(1 + m.r.IntN(100))
	if m.r.IntN(6) == 0 {
		f.done, a.Open = true, false
	}
}

// finish ends the open file of an outlet.
func (w *writer) finish() {
	k := len(w.files) - 1
	if k < 0 || w.files[k].done {
		return
	}
	f := &w.files[k]
	f.done = true
	if n := len(w.unsaid) - 1; n >= 0 && w.unsaid[n].File == f.name {
		w.unsaid[n].Open = false
		return
	}
	w.unsaid = append(w.unsaid, store.Added{Dir: f.dir, File: f.name, Start: f.bytes})
}

// checkpoint makes one of what some outlets say; it dies behind some step, unless that is 0.
func (m *model) checkpoint(dies int, which func() bool) {
	for key, w := range m.now {
		if !which() {
			continue
		}
		m.books.Add(key, w.posted, w.through, w.unsaid)
		w.unsaid, w.posted = nil, w.through
		m.posts[key] = w.clone()
	}
	next := maps.Clone(m.posts)
	if dies == 1 {
		return
	}
	must(m.t, m.books.Save())
	if dies == 2 {
		return
	}
	m.saved = next
	if dies == 3 {
		return
	}
	m.books.Publish(time.Now())
	if text := m.books.o.Health.Status(); text != "" {
		m.t.Fatal(text)
	}
}

// goBack has an outlet go back to the checkpoint.
func (m *model) goBack(key string) {
	m.now[key], m.posts[key] = m.saved[key].clone(), m.saved[key].clone()
}

// crash goes back to the checkpoint.
func (m *model) crash() {
	for key := range m.now {
		m.goBack(key)
	}
	must(m.t, m.books.Close())
	m.open()
}

// said is what the manifests say of each file, entry by entry; those without numbers that are neighbours are in no
// order.
func said(t *testing.T, root string) map[string][]string {
	all := make(map[string][]string)
	walk(root, func(dir *faultfs.Dir, _ []os.DirEntry) {
		files, bad, err := ReadFiles(dir)
		must(t, err)
		if bad > 0 {
			t.Errorf("%s: %d damaged lines", dir.Path(), bad)
		}
		for _, f := range files {
			if f.Open {
				t.Errorf("%s is still open", f.Name)
			}
			var list []string
			for _, s := range f.Spans {
				for i := range s.Count {
					number := s.First
					if s.Numbered() {
						number += i
					}
					list = append(list, fmt.Sprintf("%s %d %d", s.Category, s.Stream[0], number))
				}
			}
			if int64(len(list)) != f.Entries || 10*f.Entries != f.Raw {
				t.Errorf("%s: %d entries, %d in its spans, %d bytes", f.Name, f.Entries, len(list), f.Raw)
			}
			all[f.Name] = list
		}
	})
	return all
}

// TestBooksFollowTheCheckpoints writes, breaks, crashes and makes checkpoints at random: in the end the manifests say
// what the files hold.
func TestBooksFollowTheCheckpoints(t *testing.T) {
	for seed := range uint64(60) {
		m := newModel(t, seed)
		for range 150 {
			keys := slices.Sorted(maps.Keys(m.now))
			w := m.now[keys[m.r.IntN(len(keys))]]
			switch n := m.r.IntN(20); {
			case n < 10:
				m.write(w)
			case n < 11:
				w.finish()
			case n < 12: // it breaks
				m.goBack(w.key)
			case n < 13: // no checkpoint can be saved
				m.checkpoint(1+m.r.IntN(2), func() bool { return m.r.IntN(2) == 0 })
			case n < 14:
				m.crash()
			case n < 15:
				m.checkpoint(1+m.r.IntN(3), func() bool { return m.r.IntN(2) == 0 })
				m.crash()
			default:
				m.checkpoint(0, func() bool { return m.r.IntN(2) == 0 })
			}
		}
		for _, w := range m.now {
			w.finish()
		}
		m.checkpoint(0, func() bool { return true })
		if len(m.books.accounts) > 0 || m.books.spans != 0 {
			t.Errorf("seed %d: %d accounts with %d spans are left", seed, len(m.books.accounts), m.books.spans)
		}
		must(t, m.books.Close())
		got := said(t, m.out)
		for _, w := range m.now {
			for _, f := range w.files {
				if !slices.Equal(got[f.name], f.entries) {
					t.Fatalf("seed %d: %s holds %q, the manifest says %q", seed, f.name, f.entries, got[f.name])
				}
				delete(got, f.name)
			}
		}
		for name, list := range got {
			if len(list) > 0 {
				t.Errorf("seed %d: the manifest knows %s, which is not there: %q", seed, name, list)
			}
		}
	}
}

// TestFilesOfAnOutletThatIsGone: when the checkpoint knows nothing of it any more, its files are as finished as they
// will ever be.
func TestFilesOfAnOutletThatIsGone(t *testing.T) {
	m := newModel(t, 1)
	w := m.now["c0 → out"]
	for len(w.files) == 0 || w.files[0].done {
		w.files, w.unsaid = nil, nil
		m.write(w)
	}
	m.checkpoint(0, func() bool { return true })
	must(t, m.books.Close())
	o := m.options()
	o.Through = func(string) (uint64, bool) { return 1 << 40, false }
	b, err := Open(o)
	must(t, err)
	must(t, b.Save())
	b.Publish(time.Now())
	must(t, b.Close())
	if got := said(t, m.out); !slices.Equal(got[w.files[0].name], w.files[0].entries) {
		t.Errorf("%q, want %q", got, w.files[0].entries)
	}
}

// TestAPlainFileIsGoneOnWith: a run finished it, the next one, without a state, goes on with it.
func TestAPlainFileIsGoneOnWith(t *testing.T) {
	m := newModel(t, 1)
	key, dir := "c0 → out", filepath.Join(m.out, "c0")
	span := func(first int64) []store.Span {
		return []store.Span{{Category: "c0", Hour: 7, Stream: [16]byte{1}, First: first, Count: 2, Bytes: 20}}
	}
	for i := range int64(3) {
		m.books.Add(key, uint64(i), uint64(i+1), []store.Added{{Dir: dir, File: "c0_00000", Start: 20 * i, First: 1000 + i,
			Last: 1000 + i, Spans: span(2 * i)}})
		must(t, m.books.Save())
		m.saved[key].through = uint64(i + 1)
		m.books.Publish(time.Now())
		if i == 1 { // the manifest line is written, and the process dies
			must(t, m.books.Close())
			m.open()
			must(t, m.books.Save())
			m.books.Publish(time.Now())
		}
	}
	if got, want := said(t, m.out)["c0_00000"], []string{"c0 1 0", "c0 1 1", "c0 1 2", "c0 1 3", "c0 1 4",
		"c0 1 5"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	dirs, err := faultfs.OpenDir(dir, nil)
	must(t, err)
	defer dirs.Close()
	files, _, err := ReadFiles(dirs)
	if err != nil || len(files) != 1 || files[0].First.Unix() != 1000 || files[0].Last.Unix() != 1002 {
		t.Errorf("%+v, %v", files, err)
	}
	if name := Newest(dirs, "c0"); name != "c0_00000" {
		t.Errorf("the newest is %q", name)
	}
	if name := Newest(dirs, "c"); name != "" {
		t.Errorf("the newest of another series is %q", name)
	}
}

// TestBooksOfBefore: what a collector of before knew of its open files is in the manifest with what comes behind it.
func TestBooksOfBefore(t *testing.T) {
	m := newModel(t, 1)
	must(t, m.books.Close())
	body := func(category, file string, from, through uint64, first, count int64) []byte {
		data, err := json.Marshal(map[string]any{"category": category, "file": file, "from": from, "through": through,
			"first": 1000, "last": 1000 + from,
			"streams": []string{strings.Repeat("01", 16)}, "spans": [][]int64{{7, 0, first, count, 10 * count}}})
		must(t, err)
		return data
	}
	state, err := faultfs.OpenDir(m.state, nil)
	must(t, err)
	defer state.Close()
	must(t, faultfs.AppendLines(state, beforeName, beforeHeader,
		body("c0", "c0_00001", 0, 10, 0, 2), body("c0", "c0_00001", 10, 20, 2, 1), body("c0", "c0_00002", 20, 30, 3, 1),
		body("c0", "c0_00002", 30, 99, 4, 9), // no checkpoint has that
		body("c1", "c1_00001", 0, 40, 0, 5)))
	o := m.options()
	o.Before = func(category string) Takeover {
		return Takeover{Outlet: category + " → out", Dir: filepath.Join(m.out, category),
			Open:    map[string]string{"c0": "c0_00002"}[category],
			Through: map[string]uint64{"c0": 30, "c1": 40}[category]}
	}
	m.saved["c0 → out"].through, m.saved["c1 → out"].through = 30, 40
	for range 3 { // dies before, and after, the first Save
		b, err := Open(o)
		must(t, err)
		m.books = b
		must(t, b.Save())
		must(t, b.Close())
	}
	if _, err := state.Lstat(beforeName); err == nil {
		t.Error("the books of before are still there")
	}
	o.Before = nil
	m.books, err = Open(o)
	must(t, err)
	m.books.Add("c0 → out", 30, 50, []store.Added{{Dir: filepath.Join(m.out, "c0"), File: "c0_00002", Start: 10,
		First: 2000, Last: 2000,
		Spans: []store.Span{{Category: "c0", Hour: 7, Stream: [16]byte{1}, First: 4, Count: 1, Bytes: 10}}}})
	must(t, m.books.Save())
	m.saved["c0 → out"].through = 50
	m.books.Publish(time.Now())
	must(t, m.books.Close())
	got := said(t, m.out)
	want := map[string][]string{"c0_00001": {"c0 1 0", "c0 1 1", "c0 1 2"}, "c0_00002": {"c0 1 3", "c0 1 4"},
		"c1_00001": {"c1 1 0", "c1 1 1", "c1 1 2", "c1 1 3", "c1 1 4"}}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%q, want %q", got, want)
	}
}
