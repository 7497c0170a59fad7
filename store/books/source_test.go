package books

import (
	"path/filepath"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store"
	"inkwell/store/stream"
)

// TestManifestNamesSources has a file of two streams, one of them with a name, and its line written in two parts.
func TestManifestNamesSources(t *testing.T) {
	m := newModel(t, 1)
	web := stream.Source{Host: "web1", Path: "/var/log/app.log"}
	o := m.options()
	o.Through = func(string) (uint64, bool) { return 3, true }
	o.Source = func(id [16]byte) (stream.Source, bool) { return web, id == [16]byte{1} }
	o.maxSpans = 1 // so that the open file has to be listed
	b, err := Open(o)
	must(t, err)
	defer b.Close()
	dir := filepath.Join(m.out, "app")
	first := store.Added{Dir: dir, File: "app_00000", First: 7, Last: 7, Open: true, Spans: []store.Span{
		{Category: "app", Stream: [16]byte{1}, Count: 2, Bytes: 20}, {Category: "app", Stream: [16]byte{2}, Count: 1, Bytes: 5}}}
	b.Add("app", 0, 2, []store.Added{first})
	must(t, b.Save())
	b.Publish(time.Now())
	rest := store.Added{Dir: dir, File: "app_00000", First: 7, Last: 8, Spans: []store.Span{
		{Category: "app", Count: 4, Bytes: 40}, {Category: "app", Stream: [16]byte{1}, First: 2, Count: 1, Bytes: 9}}}
	b.Add("app", 2, 3, []store.Added{rest})
	must(t, b.Save())
	b.Publish(time.Now())
	at, err := faultfs.OpenDir(dir, nil)
	must(t, err)
	defer at.Close()
	must(t, at.WriteFile("app_00000", nil))
	b.Publish(time.Now())
	files, bad, err := ReadFiles(at)
	if len(files) != 1 || bad > 0 || err != nil {
		t.Fatalf("%v, %d, %v", files, bad, err)
	}
	want := []stream.Source{web, {}, {}, web}
	for i, s := range files[0].Spans {
		if got := files[0].Sources.Of(s); i >= len(want) || got != want[i] {
			t.Errorf("span %d: %q", i, got)
		}
	}
	if len(files[0].Spans) != len(want) {
		t.Errorf("%d spans", len(files[0].Spans))
	}
}

// TestHeldNamesSources reads what the state directory of a collector says of streams in open files.
func TestHeldNamesSources(t *testing.T) {
	m := newModel(t, 1)
	o := m.options()
	names, err := stream.OpenNames(o.State, 0, o.Logger)
	must(t, err)
	names.Tell(stream.ID{1}, stream.Source{Host: "web1", Path: "journal"})
	must(t, names.Close())
	held, err := ReadHeld(o.State)
	must(t, err)
	if s := held.Sources.Of(store.Span{Stream: [16]byte{1}, Count: 1}); s.String() != "web1:journal" {
		t.Errorf("%q", s)
	}
}
