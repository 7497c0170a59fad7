package test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// sources are where the entries of each category come from, as an audit says: CATEGORY HOST:PATH.
func sources(t *testing.T, args ...string) (list []string) {
	t.Helper()
	r := ink.Run(t, append([]string{"audit", "--json"}, args...)...)
	var a struct {
		Categories map[string]struct {
			Streams map[string]struct{ Host, Path string }
		}
	}
	if err := json.Unmarshal([]byte(r.Stdout), &a); err != nil || r.Code != 0 {
		t.Fatalf("%v, ends with %d: %s%s", err, r.Code, r.Stdout, r.Stderr)
	}
	for category, c := range a.Categories {
		for _, s := range c.Streams {
			list = append(list, category+" "+s.Host+":"+s.Path)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// TestStreamsAreNamedThroughARelay: a followed file, a pipe and a client that numbers nothing send through a relay to
// a collector, and each of the processes is killed in between. The collector knows where every entry comes from, and
// has each once.
func TestStreamsAreNamedThroughARelay(t *testing.T) {
	t.Parallel()
	out, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, out, bulk...)
	relay := ink.Scribed(t, globals+"host=hub\n<store>\ncategory=default\ntype=buffer\nretry_interval=1\n<primary>\ntype=network\nservice_list="+c.Addr+
		"\n</primary>\n<secondary>\ntype=file\nfile_path={DIR}/buffer\n</secondary>\n</store>\n")
	l := newLogger(t, filepath.Join(in, "app one.log"), "app")
	args := []string{"forward", "--to", relay.Addr, "--state", state, "--host", "web1", "app=" + in + "/*.log"}
	f := ink.Start(t, harness.Command{Args: args})
	pipe := func(source string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "in")
		harness.WriteFile(t, path, string(harness.Lines(source, 0, 100)))
		input, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer input.Close()
		if r := ink.RunCommand(t, harness.Command{Args: []string{"pipe", "--to", relay.Addr, "--host", "web2", source}, Stdin: input}); r.Code != 0 {
			t.Fatalf("pipe: %+v", r)
		}
	}
	old := func(line string) {
		t.Helper()
		s := dialScribe(t, relay.Addr)
		mustLog(t, s, harness.Entry{Category: "old", Message: line + "\n"})
	}
	for round, kill := range []func(){f.Kill, relay.Kill, c.Kill, func() {}} {
		l.write(t, 200, round%2 == 1)
		old("line " + string('0'+rune(round)))
		pipe("piped" + string('0'+rune(round)))
		kill()
		switch round {
		case 0:
			f = ink.Start(t, harness.Command{Args: args})
		case 1:
			relay.Restart(t)
		case 2:
			c.Restart(t)
		}
	}
	harness.Until(t, "all lines arrive", func() bool {
		return len(linesSoFar(t, out, "app")) >= l.next && len(linesSoFar(t, out, "piped3")) >= 100
	})
	f.Stop(t)
	relay.Stop(t)
	c.Stop(t)
	harness.Audit(t, out, "app").Exactly(t, map[string]int{"app": l.next})
	self := "pipe:" + programName(t)
	want := []string{"app web1:" + l.path, "old hub:client:127.0.0.1", "piped0 web2:" + self, "piped1 web2:" + self, "piped2 web2:" + self, "piped3 web2:" + self}
	if got := sources(t, "--state", state, out); !slices.Equal(got, want) {
		t.Errorf("sources %q, want %q", got, want)
	}
	// What is missing is told by name: the collector that is asked here has nothing of the forwarder.
	empty := t.TempDir()
	other := ink.Collect(t, empty, bulk...)
	mustLog(t, dialScribe(t, other.Addr), harness.Entry{Category: "x", Message: "x\n"})
	other.Stop(t)
	if r := ink.Run(t, "audit", "--state", state, empty); r.Code != 1 || !strings.Contains(r.Stdout, "(web1:"+l.path+"): ") {
		t.Errorf("the audit of another collector: %+v", r)
	}
}

// programName is what the kernel calls this process.
func programName(t *testing.T) string {
	t.Helper()
	name, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(name))
}

// TestSpoolKeepsNames: what waits in a spool is named when it is delivered, also by another run that does not know the
// file any more, after the run that read it was killed.
func TestSpoolKeepsNames(t *testing.T) {
	t.Parallel()
	out, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.NewCollector(t, out, bulk...)
	l := newLogger(t, filepath.Join(in, "gone.log"), "gone")
	l.write(t, 100, false)
	args := []string{"forward", "--to", c.Addr, "--state", state, "--host", "web1"}
	f := ink.Start(t, harness.Command{Args: append(args, "gone="+l.path)})
	harness.Until(t, "the lines are in the spool", func() bool {
		_, err := os.Lstat(filepath.Join(state, "control"))
		return err == nil && ask(t, state).Detail.Spool.Entries == 100
	})
	f.Kill()
	if err := os.Remove(l.path); err != nil {
		t.Fatal(err)
	}
	f = ink.Start(t, harness.Command{Args: append(args, "other="+filepath.Join(in, "other.log"))})
	c.Restart(t)
	c.Received(t, 100)
	f.Stop(t)
	c.Stop(t)
	if got := sources(t, out); !slices.Equal(got, []string{"gone web1:" + l.path}) {
		t.Errorf("sources %q", got)
	}
}

// TestSpoolOfAKilledPipeKeepsNames: what a killed pipe left in its spool is named when the next one delivers it.
func TestSpoolOfAKilledPipeKeepsNames(t *testing.T) {
	t.Parallel()
	out, spool := t.TempDir(), t.TempDir()
	c := ink.NewCollector(t, out, bulk...)
	args := []string{"pipe", "--to", c.Addr, "--spool", spool, "app"}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := ink.Start(t, harness.Command{Args: append(args, "--host", "before"), Stdin: r})
	if _, err := w.Write(harness.Lines("app", 0, 100)); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, "the lines are in the spool", func() bool {
		_, err := os.Lstat(filepath.Join(spool, "control"))
		return err == nil && ask(t, spool).Detail.Spool.Entries == 100
	})
	p.Kill()
	if err := errors.Join(r.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	c.Restart(t)
	if r := ink.RunCommand(t, harness.Command{Args: append(args, "--host", "after")}); r.Code != 0 {
		t.Errorf("the next pipe: %+v", r)
	}
	c.Stop(t)
	if got := sources(t, out); !slices.Equal(got, []string{"app before:pipe:" + programName(t)}) {
		t.Errorf("sources %q", got)
	}
}

// TestPrefix puts host and path before lines of a file and of a pipe, once before a line that is split, by flags and by
// a configuration.
func TestPrefix(t *testing.T) {
	t.Parallel()
	out, in := t.TempDir(), t.TempDir()
	c := ink.Collect(t, out, append(bulk, "--compress", "none")...)
	path := filepath.Join(in, "a.log")
	long := strings.Repeat("x", 1024)
	harness.WriteFile(t, path, "one\n"+long+"y\nlast")
	input := func() *os.File {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	conf := filepath.Join(t.TempDir(), "f.conf")
	network := "<store>\ncategory=default\ntype=network\nservice_list=" + c.Addr + "\n</store>\n"
	harness.WriteFile(t, conf, "inkwell 1\nstate="+t.TempDir()+"\nhost=web3\n<tail>\ncategory=configured\npath="+path+"\nprefix='{host} {path} '\n</tail>\n"+network)
	for _, args := range [][]string{
		{"forward", "--once", "--to", c.Addr, "--state", t.TempDir(), "--host", "web1", "--prefix", "{host} {path} ", "--max-line", "1KiB", "file=" + path},
		{"pipe", "--to", c.Addr, "--host", "web2", "--prefix", "[{host}] ", "pipe"},
		{"forward", "--once", "-c", conf},
	} {
		if r := ink.RunCommand(t, harness.Command{Args: args, Stdin: input()}); r.Code != 0 {
			t.Fatalf("%q: %+v", args, r)
		}
	}
	c.Stop(t)
	for category, prefix := range map[string]string{"file": "web1 " + path + " ", "pipe": "[web2] ", "configured": "web3 " + path + " "} {
		got := ink.Run(t, "cat", filepath.Join(out, category)).Stdout
		if want := prefix + "one\n" + prefix + long + "y\n" + prefix + "last\n"; got != want {
			t.Errorf("%s: %q", category, got)
		}
	}
	if r := ink.Run(t, "forward", "--to", c.Addr, "--state", t.TempDir(), "--prefix", "{unit} ", "a="+path); r.Code != 2 || !strings.Contains(r.Stderr, "{unit} is not known") {
		t.Errorf("an unknown name: %+v", r)
	}
}
