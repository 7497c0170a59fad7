package test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"inkwell/test/harness"
)

// asked is what a forwarder or a pipe tells as JSON.
type asked struct {
	Error, Status, Details string
	Counters               map[string]int64
	Detail                 struct {
		Hops []struct {
			Address   string
			Connected string `json:"connected_since"`
			LastError string `json:"last_error"`
		}
		Spool struct{ Bytes, Entries, Age int64 }
		Files []struct {
			Path, Category, State string
			Size, Position, Lag   int64
			Age                   int64 `json:"oldest_unsent_age"`
		}
		Matched int   `json:"file_count"`
		Lag     int64 `json:"lag_bytes"`
	}
}

func ask(t *testing.T, state string) (a asked) {
	t.Helper()
	r := ink.Run(t, "ctl", "status", "--json", state)
	if err := json.Unmarshal([]byte(r.Stdout), &a); err != nil {
		t.Fatalf("%v in %s\n%s", err, r.Stdout, r.Stderr)
	}
	return a
}

// TestForwarderIsAsked: what it follows, how far it is, what is wrong, who it sends to, with the collector away and
// there again; its socket is its own, outlives a kill, and goes away with it.
func TestForwarderIsAsked(t *testing.T) {
	t.Parallel()
	in, state := t.TempDir(), t.TempDir()
	c := ink.NewCollector(t, t.TempDir(), bulk...)
	l := newLogger(t, filepath.Join(in, "app.log"), "app")
	l.write(t, 100, false)
	args := []string{"forward", "--to", c.Addr, "--state", state, "app=" + filepath.Join(in, "*.log")}
	f := ink.Start(t, harness.Command{Args: args})
	socket := filepath.Join(state, "control")
	harness.Until(t, "the lines are in the spool", func() bool {
		info, err := os.Lstat(socket)
		return err == nil && info.Mode() == fs.ModeSocket|0o600 && ask(t, state).Detail.Spool.Entries == 100
	})
	a := ask(t, state)
	if d := a.Detail; a.Status != "WARNING" || !strings.Contains(a.Details, c.Addr) || d.Spool.Bytes == 0 || d.Spool.Age == 0 || len(d.Hops) != 1 ||
		d.Hops[0].Address != c.Addr || d.Hops[0].LastError == "" || d.Hops[0].Connected != "" {
		t.Errorf("with the collector away: %+v", a)
	}
	f.Kill()
	if _, err := os.Lstat(socket); err != nil {
		t.Fatalf("a killed forwarder has removed its socket: %v", err)
	}
	if r := ink.Run(t, "ctl", "status", state); r.Code != 3 {
		t.Errorf("status of a killed forwarder: %+v", r)
	}
	f = ink.Start(t, harness.Command{Args: args})
	c.Restart(t)
	c.Received(t, 100)
	size := fileSize(t, l.path)
	harness.Until(t, "all is well", func() bool {
		a = ask(t, state)
		return a.Status == "ALIVE" && len(a.Detail.Files) == 1 && a.Detail.Spool.Entries == 0 && a.Detail.Hops[0].Connected != ""
	})
	if d := a.Detail; d.Files[0].Path != l.path || d.Files[0].Category != "app" || d.Files[0].State != "following" || d.Files[0].Size != size ||
		d.Files[0].Position != size || d.Lag != 0 || d.Matched != 1 || a.Counters["scribe_overall:sent"] != 100 {
		t.Errorf("with the collector there: %+v", a)
	}
	r := ink.Run(t, "ctl", "status", "-v", state)
	if r.Code != 2 || !strings.HasPrefix(r.Stdout, "ALIVE\n") || !strings.Contains(r.Stdout, "connected for") || !strings.Contains(r.Stdout, "following") ||
		!strings.Contains(r.Stdout, l.path) {
		t.Errorf("status -v: %+v", r)
	}
	if r := ink.Run(t, "ctl", "counters", state, state); r.Code != 0 || strings.Count(r.Stdout, "scribe_overall:sent: 100\n") != 2 {
		t.Errorf("counters: %+v", r)
	}
	if r := ink.Run(t, "cat-to", socket, "app"); r.Code == 0 {
		t.Errorf("the control socket takes entries: %+v", r)
	}
	if r := ink.Run(t, "ctl", "stop", state); r.Code != 0 {
		t.Errorf("stop: %+v", r)
	}
	f.Expect(t, 0)
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// TestForwarderTellsWhatIsUnsent: a forwarder whose hop is away, and whose spool is full, tells what is unsent and
// how old that is.
func TestForwarderTellsWhatIsUnsent(t *testing.T) {
	t.Parallel()
	in, state := t.TempDir(), t.TempDir()
	c := ink.NewCollector(t, t.TempDir(), bulk...)
	l := newLogger(t, filepath.Join(in, "app.log"), "app")
	l.write(t, 100, false)
	f := ink.Start(t, harness.Command{Args: []string{"forward", "--to", c.Addr, "--state", state, "--spool-max", "1MiB", "app=" + l.path}})
	for fileSize(t, l.path) < 16<<20 { // more than the memory and the spool hold
		l.write(t, 10_000, false)
	}
	harness.Until(t, "something is unsent", func() bool {
		a := ask(t, state)
		return len(a.Detail.Files) == 1 && a.Detail.Files[0].Lag > 0 && a.Detail.Files[0].Age > 0 &&
			a.Detail.Files[0].Position+a.Detail.Files[0].Lag == a.Detail.Files[0].Size && a.Detail.Lag == a.Detail.Files[0].Lag
	})
	c.Restart(t)
	// A call that a busy machine answers too late is sent again.
	harness.Until(t, "the collector has every line", func() bool { return c.Distinct(t) == l.next })
	harness.Until(t, "all is sent", func() bool { a := ask(t, state); return a.Detail.Lag == 0 && a.Detail.Spool.Entries == 0 })
	f.Stop(t)
}

// TestControlSocketFollowsNoPlantedLink: what stands in the way of the socket is left alone, told, and keeps no line
// from arriving; another user cannot connect.
func TestControlSocketFollowsNoPlantedLink(t *testing.T) {
	t.Parallel()
	top := publicDir(t)
	c := ink.Collect(t, t.TempDir(), bulk...)
	l := newLogger(t, filepath.Join(t.TempDir(), "app.log"), "app")
	l.write(t, 10, false)
	for _, plant := range []func(path string) error{
		func(path string) error { return os.Symlink(filepath.Join(top, "target"), path) },
		func(path string) error { return os.WriteFile(path, []byte("precious"), 0o600) },
		func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		state := t.TempDir()
		path := filepath.Join(state, "control")
		if err := plant(path); err != nil {
			t.Fatal(err)
		}
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		r := ink.Run(t, "forward", "--once", "--to", c.Addr, "--state", state, "app="+l.path)
		after, err := os.Lstat(path)
		if err != nil || !os.SameFile(before, after) || r.Code != 0 || !strings.Contains(r.Stderr, "the control socket cannot be opened") {
			t.Errorf("%v, %v, %+v", after, err, r)
		}
	}
	if _, err := os.Lstat(filepath.Join(top, "target")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link was followed: %v", err)
	}
	c.Received(t, 30)
	state := filepath.Join(top, "state")
	f := forward(t, c.Addr, state, "app="+l.path)
	harness.Until(t, "it can be asked", func() bool { return ask(t, state).Status == "ALIVE" })
	if err := os.Chmod(state, 0o755); err != nil {
		t.Fatal(err)
	}
	r := ink.RunCommand(t, harness.Command{Args: []string{"ctl", "status", state}, UID: nobodyID})
	if r.Code != 3 || !strings.Contains(r.Stderr, "permission denied") {
		t.Errorf("as another user: %+v", r)
	}
	f.Stop(t)
}

// TestPipeIsAsked: a pipe with a spool has a socket there, and its successor takes over.
func TestPipeIsAsked(t *testing.T) {
	t.Parallel()
	spool := filepath.Join(t.TempDir(), strings.Repeat("a-long-name-", 12)) // longer than a socket's path may be
	to := harness.FreeAddr(t)
	var first *os.File
	for i := range 2 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		p := ink.Start(t, harness.Command{Args: []string{"pipe", "--to", to, "--spool", spool, "app"}, Stdin: r})
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := w.WriteString("a line\n"); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			harness.Until(t, "the line is in the spool", func() bool {
				a := ask(t, spool)
				return a.Status == "WARNING" && a.Detail.Spool.Entries == 1 && a.Counters["scribe_overall:lines read"] == 1
			})
			first = w
			continue
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		harness.Until(t, "the successor is asked", func() bool { return ask(t, spool).Detail.Spool.Entries == 2 })
		if r := ink.Run(t, "ctl", "stop", spool); r.Code != 0 {
			t.Errorf("stop: %+v", r)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		p.Expect(t, 75)
	}
}
