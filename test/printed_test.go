package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// printedConfig is a file with the configuration that a command line stands for.
func printedConfig(t *testing.T, args ...string) string {
	t.Helper()
	r := ink.Run(t, append([]string{"check", "--print", "--"}, args...)...)
	if r.Code != 0 {
		t.Fatalf("check --print -- %q ends with %d:\n%s", args, r.Code, r.Stderr)
	}
	path := filepath.Join(t.TempDir(), "printed.conf")
	harness.WriteFile(t, path, r.Stdout)
	return path
}

// TestPrintedCollectorGoesOn changes between flags and the file that is printed for them, with kills in between: both find the same
// journal and the same files.
func TestPrintedCollectorGoesOn(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{{"--keep-open"}, {"--compress", "none", "--state", filepath.Join(t.TempDir(), "state #1")}} {
		dir := filepath.Join(t.TempDir(), "logs #1")
		c := ink.NewCollector(t, dir, flags...)
		file := printedConfig(t, append([]string{"collect", "--dir", dir, "--listen", c.Addr}, flags...)...)
		for i := range 4 {
			if c.Begin(t); i%2 == 1 {
				c.Process.Kill()
				c.Process = ink.Start(t, harness.Command{Args: []string{"collect", "-c", file}})
			}
			c.Listening(t)
			s, err := harness.DialScribe(c.Addr)
			if err != nil {
				t.Fatal(err)
			}
			for k := range 10 {
				lines := harness.Lines("app", 1000*i+100*k, 1000*i+100*(k+1))
				if code, err := s.Log(harness.Entry{Category: "app", Message: string(lines)}); code != 0 || err != nil {
					t.Fatalf("code %d, %v", code, err)
				}
			}
			s.Close()
			c.Process.Kill()
		}
		c.Restart(t)
		c.Stop(t)
		if open := harness.Unfinished(t, dir); (len(open) == 1) != (flags[0] == "--keep-open") {
			t.Errorf("%q left %q", flags, open)
		}
		ink.Collect(t, dir, append(flags, "--keep-open=false")...).Stop(t)
		harness.Audit(t, dir, "app").Exactly(t, map[string]int{"app": 4000})
	}
}

// TestCollectorFindsTheJournalByEitherRoad changes between flags and a file that an older Inkwell printed for them, with kills in between:
// whichever came first, what waits in its journal is written, and the next start goes on with the same.
func TestCollectorFindsTheJournalByEitherRoad(t *testing.T) {
	t.Parallel()
	for first := range 2 {
		dir := t.TempDir()
		c := ink.NewCollector(t, dir)
		earlier := filepath.Join(t.TempDir(), "earlier.conf")
		harness.WriteFile(t, earlier, fmt.Sprintf("inkwell 1\nlisten=%s\nstate_dir=%s/.inkwell\n<store>\ncategory=default\ntype=file\nfile_path=%[2]s\ncompress=gzip\nlevel=0\n"+
			"rotate_period=daily\nrotate_hour=0\nrotate_minute=0\nmax_size=1GB\n</store>\n", c.Addr, dir))
		for i := range 4 {
			if i%2 == first {
				c.Begin(t)
			} else {
				c.Process = ink.Start(t, harness.Command{Args: []string{"collect", "-c", earlier}})
			}
			c.Listening(t)
			s, err := harness.DialScribe(c.Addr)
			if err != nil {
				t.Fatal(err)
			}
			if code, err := s.Log(harness.Entry{Category: "app", Message: string(harness.Lines("app", 100*i, 100*i+100))}); code != 0 || err != nil {
				t.Fatalf("code %d, %v", code, err)
			}
			s.Close()
			c.Process.Kill()
		}
		c.Restart(t)
		c.Stop(t)
		harness.Audit(t, dir, "app").Exactly(t, map[string]int{"app": 400})
		one, _ := filepath.Glob(filepath.Join(dir, ".inkwell", "journal"))
		other, _ := filepath.Glob(filepath.Join(dir, ".inkwell", "*", "journal"))
		if journals := append(one, other...); len(journals) != 1 {
			t.Errorf("journals %q, want one", journals)
		}
	}
}

// earlierForward is a file with what an older Inkwell printed for the flags of a forwarder. It keeps positions in STATE/forward and its
// spool in STATE/spool/forward.spool.
func earlierForward(t *testing.T, to, state, input string) string {
	t.Helper()
	category, glob, _ := strings.Cut(input, "=")
	path := filepath.Join(t.TempDir(), "earlier.conf")
	harness.WriteFile(t, path, fmt.Sprintf("inkwell 1\nstate_dir=%s\n\n<tail>\ncategory=%s\npath=%s\nmax_line=16MiB\n</tail>\n\n"+
		"<store>\ncategory=default\ntype=buffer\nspool_max=8GiB\n<primary>\ntype=network\nservice_list=%s\nservice_order=listed\n</primary>\n"+
		"<secondary>\ntype=file\nfile_path=%s/spool\n</secondary>\n</store>\n", state, category, glob, to, state))
	return path
}

// TestForwarderByEitherRoadGoesOn changes between flags, the file that is printed for them and one that an older Inkwell printed, with
// lines in the spool each time: whichever came first, the others go on from its positions and deliver its spool.
func TestForwarderByEitherRoadGoesOn(t *testing.T) {
	t.Parallel()
	for first := range 3 {
		dir, in, state := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "state")
		c := ink.Collect(t, dir)
		l := newLogger(t, filepath.Join(in, "app.log"), "app")
		flags := []string{"forward", "--to", c.Addr, "--state", state, "app=" + l.path}
		roads := [][]string{
			flags,
			{"forward", "-c", earlierForward(t, c.Addr, state, "app="+l.path)},
			{"forward", "-c", printedConfig(t, flags...)},
		}
		for i := range 6 {
			road := roads[(first+i)%3]
			l.write(t, 500, false)
			f := ink.Start(t, harness.Command{Args: road})
			want := int64(500)
			if i > 0 {
				want = 1000 // with what waited in the spool
			}
			harness.Until(t, "all comes", func() bool { return c.Counter(t, "received good") >= want })
			c.Stop(t)
			l.write(t, 500, false)
			harness.Until(t, "the lines wait in the spool", func() bool {
				return strings.Count(ink.Run(t, "spool", "cat", spoolBelow(t, state)).Stdout, "\n") >= 500
			})
			f.Kill()
			c.Restart(t)
		}
		ink.Start(t, harness.Command{Args: append(roads[first], "--once")}).Expect(t, 0)
		c.Stop(t)
		harness.Audit(t, dir, "app").Exactly(t, map[string]int{"app": l.next})
	}
}

// spoolBelow is the spool of a forwarder, wherever below its state it is.
func spoolBelow(t *testing.T, state string) string {
	t.Helper()
	for _, path := range []string{"spool", "spool/forward.spool"} {
		if _, err := os.Stat(filepath.Join(state, path, "ack")); err == nil {
			return filepath.Join(state, path)
		}
	}
	return state
}

// TestPositionsInBothPlaces are not chosen from without a word of the operator.
func TestPositionsInBothPlaces(t *testing.T) {
	t.Parallel()
	dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir)
	l := newLogger(t, filepath.Join(in, "app.log"), "app")
	l.write(t, 100, false)
	forwardOnce(t, c.Addr, state, "app="+l.path)
	l.write(t, 100, false)
	if err := os.Rename(state, state+".flags"); err != nil {
		t.Fatal(err)
	}
	earlier := earlierForward(t, c.Addr, state, "app="+l.path)
	ink.Start(t, harness.Command{Args: []string{"forward", "--once", "-c", earlier}}).Expect(t, 0)
	if err := os.Rename(filepath.Join(state+".flags", "positions"), filepath.Join(state, "positions")); err != nil {
		t.Fatal(err)
	}
	flags := []string{"forward", "--once", "--to", c.Addr, "--state", state, "app=" + l.path}
	if r := ink.Run(t, flags...); r.Code != 1 || !strings.Contains(r.Stderr, "write state="+state+"/forward") {
		t.Errorf("ends with %d:\n%s", r.Code, r.Stderr)
	}
	flags[5] += "/forward"
	ink.Start(t, harness.Command{Args: flags}).Expect(t, 0)
	if n := c.Counter(t, "received good"); n != 300 {
		t.Errorf("%d lines came, want 300: 100 of the first run, 200 of the second, and none again", n)
	}
	c.Stop(t)
}

// TestForwardersSideBySide have states below each other, and neither takes that of the other for its own.
func TestForwardersSideBySide(t *testing.T) {
	t.Parallel()
	dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir)
	one, two := newLogger(t, filepath.Join(in, "one.log"), "one"), newLogger(t, filepath.Join(in, "two.log"), "two")
	earlier := earlierForward(t, c.Addr, state, "two="+two.path)
	one.write(t, 100, false)
	forwardOnce(t, c.Addr, state, "one="+one.path)
	for range 2 {
		one.write(t, 100, false)
		two.write(t, 100, false)
		forwardOnce(t, c.Addr, state, "one="+one.path)
		ink.Start(t, harness.Command{Args: []string{"forward", "--once", "-c", earlier}}).Expect(t, 0)
	}
	if _, err := os.Stat(filepath.Join(state, "forward", "positions")); err != nil {
		t.Error(err)
	}
	c.Stop(t)
	harness.Audit(t, dir, "one").Exactly(t, map[string]int{"one": 300})
	harness.Audit(t, dir, "two").Exactly(t, map[string]int{"two": 200})
}

// TestPipeByEitherRoadDelivers leaves lines in the spool by one road and delivers them by another.
func TestPipeByEitherRoadDelivers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := ink.NewCollector(t, dir)
	for i, order := range [][2]int{{0, 1}, {1, 2}, {2, 0}, {1, 0}} {
		spool := filepath.Join(t.TempDir(), "spool #1")
		flags := []string{"pipe", "--to", c.Addr, "--spool", spool, "--drain-timeout", "0s", "app"}
		earlier := filepath.Join(t.TempDir(), "earlier.conf")
		harness.WriteFile(t, earlier, fmt.Sprintf("inkwell 1\n<pipe>\ncategory=app\ndrain_timeout=0s\n</pipe>\n<store>\ncategory=app\ntype=buffer\nspool_max=1GiB\n<primary>\n"+
			"type=network\nservice_list=%s\n</primary>\n<secondary>\ntype=file\nfile_path=\"%s\"\n</secondary>\n</store>\n", c.Addr, spool))
		roads := [][]string{flags, {"pipe", "-c", earlier}, {"pipe", "-c", printedConfig(t, flags...)}}
		input, err := os.Create(filepath.Join(t.TempDir(), "input"))
		if err != nil {
			t.Fatal(err)
		}
		defer input.Close()
		if _, err := input.WriteAt(harness.Lines("app", 100*i, 100*i+100), 0); err != nil {
			t.Fatal(err)
		}
		ink.Start(t, harness.Command{Args: roads[order[0]], Stdin: input}).Expect(t, 75)
		c.Restart(t)
		last := roads[order[1]]
		harness.Until(t, "all is delivered", func() bool { return ink.Run(t, last...).Code == 0 })
		c.Stop(t)
	}
	harness.Audit(t, dir, "app").Exactly(t, map[string]int{"app": 400})
}
