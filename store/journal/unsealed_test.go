package journal

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store"
	"inkwell/store/series"
)

// hangingDisk holds up everything that makes files durable from the moment at which it hangs until it is free.
type hangingDisk struct {
	hangs atomic.Bool
	free  chan struct{}
}

func (d *hangingDisk) Inject(op faultfs.Op, _ string, n int) (int, error) {
	if d.hangs.Load() && (op == faultfs.OpSync || op == faultfs.OpSyncAll) {
		<-d.free
	}
	return n, nil
}

// startFiles starts a run in which each category has compressed files below a directory.
func (l *life) startFiles(root string, inj faultfs.Injector) {
	l.known = make(map[string][]*Outlet)
	l.j.Start(routes(func() {}, func(category []byte) []*Outlet {
		l.mu.Lock()
		defer l.mu.Unlock()
		name := string(category)
		if l.known[name] == nil {
			dir := filepath.Join(root, name)
			l.known[name] = []*Outlet{l.j.NewOutlet(OutletOptions{Name: name, Category: name, Store: "file " + dir,
				Single: true, Target: 1, Interval: time.Millisecond, Check: time.Second,
				Open: func(saved store.States) (store.Store, error) {
					return series.OpenCompressed(series.CompressedOptions{Root: root, Dir: dir, Base: name, Injector: inj},
						saved)
				}})}
		}
		return l.known[name]
	}))
}

// published returns the content of the finished files of a category, and fails if a file was set aside.
func published(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, e := range list {
		switch {
		case strings.HasSuffix(e.Name(), ".orphan"):
			t.Errorf("%s was set aside", filepath.Join(dir, e.Name()))
		case strings.HasSuffix(e.Name(), ".gz"):
			f, err := os.Open(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			r, err := gzip.NewReader(f)
			if err == nil {
				_, err = io.Copy(&text, r)
			}
			if err != nil {
				t.Errorf("read %s: %v", f.Name(), err)
			}
			f.Close()
		}
	}
	return text.String()
}

// A collector of many categories is told to end while their files are being synced, and its time is over before that is
// done. It does not finish the files then, so that the last checkpoint has to list them: the next run continues them.
func TestStoppedWhileManyFilesAreSynced(t *testing.T) {
	const outlets = 60
	root, state := t.TempDir(), t.TempDir()
	open := func() *life {
		l := opened(t, state)
		l.j.o.SaveEvery, l.j.o.Retry = 20*time.Millisecond, 2*time.Millisecond
		return l
	}
	l, w := open(), &writer{next: make(map[string]int), acked: make(map[string]int)}
	disk := &hangingDisk{free: make(chan struct{})}
	l.startFiles(root, disk)
	write := func() {
		for i := range outlets {
			w.write(t, l, fmt.Sprint("c", i), 5)
		}
	}
	all := func(ok func(o *Outlet) bool) bool {
		r := l.j.current()
		n := 0
		for _, o := range r.all() {
			if ok(o) {
				n++
			}
		}
		return n == outlets
	}
	listed := func(o *Outlet) bool {
		for _, file := range l.saved().Outlets[o.key].Files {
			return strings.Contains(string(file), `"open"`)
		}
		return false
	}
	write()
	until(t, "a checkpoint lists an open file of each category", func() bool { return all(listed) })
	disk.hangs.Store(true)
	write()
	until(t, "the files are being synced", func() bool { return all((*Outlet).unsynced) })

	go func(r *run) {
		r.left.Wait() // the outlets have done what they can
		disk.hangs.Store(false)
		close(disk.free)
	}(l.j.current())
	last := l.j.current()
	if n := l.j.Stop(time.Millisecond); n != outlets {
		t.Errorf("Stop tells of %d unfinished files, want %d", n, outlets)
	}
	for _, o := range last.all() {
		if !listed(o) {
			t.Errorf("%s: the last checkpoint has %+v", o.Name(), l.saved().Outlets[o.key])
		}
	}
	if err := l.j.Close(); err != nil {
		t.Fatal(err)
	}

	l = open()
	l.startFiles(root, nil)
	write()
	l.end(t)
	for i := range outlets {
		name := fmt.Sprint("c", i)
		if got, want := published(t, filepath.Join(root, name)), lines(name, 0, w.acked[name]); got != want {
			t.Errorf("the files of %s hold %d bytes, want %d; they differ at %d", name, len(got), len(want),
				differ(got, want))
		}
	}
}
