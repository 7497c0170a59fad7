package test

import (
	"path/filepath"
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
