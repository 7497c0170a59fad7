package pattern

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func mkdir(t testing.TB, parts ...string) string {
	t.Helper()
	path := filepath.Join(parts...)
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// found keeps the directories that a finder has told of.
type found struct {
	*Finder
	dirs map[string]bool
	now  time.Time
}

func newFound(p *Pattern) *found {
	return &found{Finder: NewFinder(p), dirs: make(map[string]bool), now: time.Now()}
}

func (f *found) look(t testing.TB) *Changes {
	t.Helper()
	f.now = f.now.Add(time.Second)
	return f.note(t, f.Look(f.now))
}

func (f *found) note(t testing.TB, c *Changes) *Changes {
	t.Helper()
	for _, path := range c.Added {
		if f.dirs[path] {
			t.Errorf("%s is added again", path)
		}
		f.dirs[path] = true
	}
	for _, path := range c.Gone {
		if !f.dirs[path] {
			t.Errorf("%s is gone, but never came", path)
		}
		delete(f.dirs, path)
	}
	return c
}

// files are those that match, as they are found by way of the directories.
func (f *found) files(t testing.TB) (list []string) {
	t.Helper()
	for dir := range f.dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if f.pattern.In(dir).Match(e.Name()) && e.Type() == 0 {
				list = append(list, filepath.Join(dir, e.Name()))
			}
		}
	}
	slices.Sort(list)
	return list
}

// TestFinderFindsWhatMatches changes a tree at random and compares what the finder leads to with a walk through
// everything.
func TestFinderFindsWhatMatches(t *testing.T) {
	root := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "b", "ab", ".h", "x.log", "y.log"}
	var finders []*found
	for _, pattern := range []string{"*.log", "**/*.log", "a/**/b/*", "{a,b/**}/x.log", "*/*/{n}.log", "**", "a/b/x.log", ".h/*"} {
		p := compileOrFail(t, filepath.Join(root, pattern), Options{Exclude: []string{"ab/a", "b/y.*"}})
		finders = append(finders, newFound(p))
	}
	for range 60 {
		for range 4 {
			path := root
			for range 1 + rng.IntN(4) {
				path = filepath.Join(path, names[rng.IntN(len(names))])
			}
			switch rng.IntN(4) {
			case 0:
				_ = os.RemoveAll(path) // as below
			case 1:
				_ = os.WriteFile(path, nil, 0o644) // what stands above it may be a file
			default:
				_ = os.MkdirAll(path, 0o755)
			}
		}
		for _, f := range finders {
			f.look(t)
			var want []string
			err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
				if _, ok := f.pattern.Match(path); ok && err == nil && e.Type() == 0 {
					want = append(want, path)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(want)
			if got := f.files(t); !slices.Equal(got, want) {
				t.Fatalf("%s: found %q, want %q", f.pattern, got, want)
			}
		}
	}
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	for _, f := range finders {
		if f.look(t); len(f.dirs) > 0 || f.Finder.dirs > 16 {
			t.Errorf("%s: %d directories are not forgotten, %v", f.pattern, f.Finder.dirs, f.dirs)
		}
	}
}

// TestLookAt looks at the directory that has changed only, and finds what is new below it.
func TestLookAt(t *testing.T) {
	root := t.TempDir()
	mkdir(t, root, "a/x")
	f := newFound(compileOrFail(t, root+"/*/*/*.log", Options{}))
	if c := f.look(t); !slices.Equal(c.Lists, []string{root, root + "/a"}) {
		t.Errorf("the directories whose names matter: %q", c.Lists)
	}
	mkdir(t, root, "b/y")
	mkdir(t, root, "a/z")
	if err := os.RemoveAll(root + "/a/x"); err != nil {
		t.Fatal(err)
	}
	c := f.note(t, f.LookAt(root, f.now))
	if !slices.Equal(c.Added, []string{root + "/b/y"}) || !slices.Equal(c.Lists, []string{root + "/b"}) || len(c.Gone) > 0 {
		t.Errorf("a look at the root: %+v", c)
	}
	c = f.note(t, f.LookAt(root+"/a", f.now))
	if !slices.Equal(c.Added, []string{root + "/a/z"}) || !slices.Equal(c.Gone, []string{root + "/a/x"}) {
		t.Errorf("a look at a: %+v", c)
	}
	for _, path := range []string{root + "/b/y", "/nowhere"} {
		if c := f.note(t, f.LookAt(path, f.now)); len(c.Added)+len(c.Gone) > 0 {
			t.Errorf("a look at %s: %+v", path, c)
		}
	}
}

func TestFinderTellsWhatIsInTheWay(t *testing.T) {
	root := t.TempDir()
	f := newFound(compileOrFail(t, root+"/a/b/*/x.log", Options{}))
	issues := func(want ...Issue) {
		t.Helper()
		if got := f.look(t).Issues; !slices.Equal(got, want) {
			t.Errorf("issues %v, want %v", got, want)
		}
	}
	issues(Issue{Path: root + "/a", Kind: Missing})
	mkdir(t, root, "a")
	issues(Issue{Path: root + "/a/b", Kind: Missing})
	if err := unix.Mkfifo(root+"/a/b", 0o644); err != nil {
		t.Fatal(err)
	}
	issues(Issue{Path: root + "/a/b", Kind: NoDir})
	if err := os.Remove(root + "/a/b"); err != nil {
		t.Fatal(err)
	}
	mkdir(t, root, "a/b/c")
	if err := unix.Mkfifo(root+"/a/b/fifo", 0o644); err != nil {
		t.Fatal(err)
	}
	issues()
	if !f.dirs[root+"/a/b/c"] || len(f.dirs) != 1 {
		t.Errorf("directories %v", f.dirs)
	}
}

// asNobody makes the rest of the test be refused what is not for everybody; root is refused nothing.
func asNobody(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	user := os.Geteuid()
	if err := unix.Setfsuid(65534); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setfsuid(user); err != nil {
			t.Error(err)
		}
		runtime.UnlockOSThread()
	})
}

// A directory that may be searched but not listed still leads to what is named below it.
func TestDirectoryThatMayNotBeListed(t *testing.T) {
	root := t.TempDir()
	mkdir(t, root, "closed/named")
	for path, mode := range map[string]os.FileMode{filepath.Dir(root): 0o755, root: 0o755, root + "/closed": 0o711} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	asNobody(t)
	named := newFound(compileOrFail(t, root+"/closed/named/*.log", Options{}))
	if c := named.look(t); len(c.Issues) > 0 || !named.dirs[root+"/closed/named"] {
		t.Errorf("named: %v, %v", named.dirs, c.Issues)
	}
	any := newFound(compileOrFail(t, root+"/closed/*/*.log", Options{}))
	for range 2 {
		if c := any.look(t); len(c.Issues) != 1 || c.Issues[0].Kind != Unreadable || c.Issues[0].Path != root+"/closed" {
			t.Errorf("any: %v", c.Issues)
		}
	}
}

// Links to directories are followed where a part stands for one directory, and never where ** does: that would go in
// circles.
func TestLinksToDirectories(t *testing.T) {
	root := t.TempDir()
	mkdir(t, root, "real")
	for link, to := range map[string]string{"link": "real", "real/up": root} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	one := newFound(compileOrFail(t, root+"/*/*.log", Options{}))
	one.look(t)
	deep := newFound(compileOrFail(t, root+"/**/*.log", Options{}))
	deep.look(t)
	if !one.dirs[root+"/link"] || !one.dirs[root+"/real"] || len(one.dirs) != 2 {
		t.Errorf("*: %v", one.dirs)
	}
	if !deep.dirs[root] || !deep.dirs[root+"/real"] || len(deep.dirs) != 2 {
		t.Errorf("**: %v", deep.dirs)
	}
}

func TestLiteralNames(t *testing.T) {
	p := compileOrFail(t, "/l/{a,*}/{x,y}.log", Options{Exclude: []string{"y.log"}})
	for dir, only := range map[string]bool{"/l/a": true, "/l/b": true} {
		if names, o := p.In(dir).Literal(); !slices.Equal(names, []string{"x.log"}) || o != only {
			t.Errorf("%s: %v, %t", dir, names, o)
		}
	}
	if names, only := compileOrFail(t, "/l/{x.log,*.txt}", Options{}).In("/l").Literal(); !slices.Equal(names, []string{"x.log"}) || only {
		t.Errorf("%v, %t", names, only)
	}
}

// BenchmarkLook looks at directories in which nothing has changed.
func BenchmarkLook(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		root := b.TempDir()
		for i := range n {
			mkdir(b, root, fmt.Sprintf("ns_pod%05d_uid", i), "main")
		}
		for _, pattern := range []string{"/*/*/*.log", "/**/*.log"} {
			b.Run(fmt.Sprintf("%d%s", n, pattern), func(b *testing.B) {
				f := NewFinder(compileOrFail(b, root+pattern, Options{}))
				now := time.Now().Add(time.Minute)
				f.Look(now)
				for b.Loop() {
					f.Look(now)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(f.dirs), "ns/dir")
			})
		}
	}
}
