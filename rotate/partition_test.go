package rotate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/internal/faultfs"
)

func TestPartition(t *testing.T) {
	for name, want := range map[string]string{
		"web-2026-11-25_00000.gz": "dt=2026-11-25", "web-2026-11-25T04_00012.zst": "dt=2026-11-25/hr=04", "web_00000.gz": "",
		"web-2026-11-25T04.gz": "", "a-2026-11-24-2026-11-25T23_00000": "dt=2026-11-25/hr=23",
	} {
		if got := Partition(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	for name, want := range map[string]bool{
		"dt=2026-11-25": true, "hr=04": true, "hr=4": false, "hr=24": false, "dt=2026-13-25": false, "dt=": false,
		"dt=2026-11-25T04": false, "web": false, "": false, "a=b": false,
	} {
		if got := IsPartition(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	for path, want := range map[string]string{
		"/l/web/dt=2026-11-25/hr=04": "/l/web", "/l/web/dt=2026-11-25": "/l/web", "/l/web": "/l/web", "hr=04": ".",
	} {
		if got := Home(path); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// tree lists all files beneath a directory.
func tree(t *testing.T, path string) string {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(path, func(sub string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			all = append(all, strings.TrimPrefix(sub, path+"/"))
		}
		return err
	}))
	return strings.Join(all, " ")
}

// TestHive publishes into partitions, goes on with what a flat layout left, and back.
func TestHive(t *testing.T) {
	path := t.TempDir()
	enc := newEncoder(t, Gzip)
	c := &clock{noon}
	o := Options{Now: c.now, Period: Period{kind: hourly}}
	write := func(text string, st *State) *State {
		t.Helper()
		s := openSeries(t, path, o, st)
		must(t, s.Append(enc, []byte(text)))
		must(t, s.Seal())
		must(t, s.Append(enc, []byte(text+"\n")))
		saved := checkpoint(t, s)
		must(t, s.Close())
		return &saved
	}
	st := write("flat", nil)
	o.Hive = true
	st = write("hive", st)
	want := ".web-2026-11-23T12_00002.gz.open dt=2026-11-23/hr=12/web-2026-11-23T12_00001.gz web-2026-11-23T12_00000.gz"
	if got := tree(t, path); got != want {
		t.Errorf("hive: %s", got)
	}
	c.t = noon.Add(time.Hour)
	st = write("next", st)
	o.Hive = false
	st = write("flat again", st)
	c.t = noon
	o.Hive, st = true, &State{Newest: st.Newest} // numbers go on behind those in both places, whatever is known of them
	s := openSeries(t, path, o, st)
	must(t, s.Append(enc, []byte("clock set back")))
	if got := s.Current(); got != "web-2026-11-23T12_00003.gz" {
		t.Errorf("it is called %s", got)
	}
	must(t, s.Close())
	dir := openDir(t, path, nil)
	files, err := Files(dir, "web")
	must(t, err)
	var got []string
	for _, f := range files {
		got = append(got, f.Name)
	}
	want = "web-2026-11-23T12_00000.gz dt=2026-11-23/hr=12/web-2026-11-23T12_00001.gz dt=2026-11-23/hr=12/web-2026-11-23T12_00002.gz " +
		".web-2026-11-23T12_00003.gz.open dt=2026-11-23/hr=13/web-2026-11-23T13_00000.gz web-2026-11-23T13_00001.gz"
	if strings.Join(got, " ") != want {
		t.Errorf("in order: %s\nwant %s", strings.Join(got, " "), want)
	}
}

// TestHiveReplacesNothing: a name that is taken in either place is not used, and no link is followed.
func TestHiveReplacesNothing(t *testing.T) {
	for _, at := range []string{"", "dt=2026-11-23"} {
		path := t.TempDir()
		s := openSeries(t, path, Options{Hive: true}, nil)
		must(t, s.Append(newEncoder(t, Gzip), []byte("x")))
		must(t, s.Seal())
		st := syncState(t, s)
		must(t, os.MkdirAll(filepath.Join(path, at), 0o750))
		must(t, os.WriteFile(filepath.Join(path, at, "web-2026-11-23_00000.gz"), []byte("another's"), 0o640))
		if err := s.Publish(st, nil); err == nil || !strings.Contains(err.Error(), "was not written here") {
			t.Errorf("%q: %v", at, err)
		}
		if got := string(readFile(t, path, at, "web-2026-11-23_00000.gz")); got != "another's" {
			t.Errorf("%q: replaced by %q", at, got)
		}
		must(t, s.Close())
	}
	path, other := t.TempDir(), t.TempDir()
	must(t, os.Symlink(other, filepath.Join(path, "dt=2026-11-23")))
	s := openSeries(t, path, Options{Hive: true}, nil)
	if err := s.Append(newEncoder(t, Gzip), []byte("x")); !errors.Is(err, faultfs.ErrSymlink) {
		t.Errorf("a link was followed: %v", err)
	}
	must(t, os.Remove(filepath.Join(path, "dt=2026-11-23")))
	must(t, s.Append(newEncoder(t, Gzip), []byte("x")))
	must(t, s.Seal())
	must(t, os.Symlink(other, filepath.Join(path, "dt=2026-11-23")))
	if err := s.Publish(syncState(t, s), nil); err == nil {
		t.Error("a file was published through a link")
	}
	if got := names(t, other); got != "" {
		t.Errorf("beyond the link there is %s", got)
	}
	must(t, s.Close())
}

// TestHourlyBecomesDaily: the files of that day keep their order.
func TestHourlyBecomesDaily(t *testing.T) {
	path := t.TempDir()
	enc := newEncoder(t, Gzip)
	c := &clock{noon}
	var st *State
	for _, of := range []struct {
		o    Options
		want string
	}{
		{Options{}, "web-2026-11-23_00000.gz"},
		{Options{Period: Period{kind: hourly}}, "web-2026-11-23T12_00000.gz"},
		{Options{}, "web-2026-11-23T12_00001.gz"},
	} {
		of.o.Now = c.now
		s := openSeries(t, path, of.o, st)
		must(t, s.Append(enc, []byte("x")))
		if got := s.Current(); got != of.want {
			t.Errorf("it is called %s, want %s", got, of.want)
		}
		must(t, s.Seal())
		saved := checkpoint(t, s)
		st = &saved
		must(t, s.Close())
	}
	c.t = noon.AddDate(0, 0, 1)
	s := openSeries(t, path, Options{Now: c.now}, st)
	must(t, s.Append(enc, []byte("x")))
	if got := s.Current(); got != "web-2026-11-24_00000.gz" {
		t.Errorf("the day after: %s", got)
	}
	must(t, s.Close())
}
