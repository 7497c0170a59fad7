package test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"inkwell/test/harness"
)

// TestKilledWithManyCategories kills a configured collector, and once the forwarder, while 300 categories come in: the audit
// and the files have each line once. There are so many that a checkpoint syncs the file system as a whole.
func TestKilledWithManyCategories(t *testing.T) {
	t.Parallel()
	const categories, rounds, each = 300, 6, 25
	dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.NewConfigured(t, dir, "<store>\ncategory=default\ntype=file\nfile_path={DIR}\ncompress=gzip\nmax_size=3000\n</store>\n")
	c.Restart(t)
	write := func(round int) {
		t.Helper()
		for i := range categories {
			name := fmt.Sprintf("c%03d", i)
			f, err := os.OpenFile(filepath.Join(in, name+".log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(harness.Lines(name, round*each, (round+1)*each)); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	input := "{name}=" + filepath.Join(in, "{name}.log")
	follow := func() *harness.Process {
		return ink.Start(t, harness.Command{Args: []string{"forward", "--to", c.Addr, "--state", state, input}})
	}
	tail := follow()
	for round := range rounds {
		write(round)
		harness.Until(t, "the collector takes some of a round", func() bool {
			return c.Counter(t, "received good") > int64(categories*each/(2+round%4))
		})
		if round == rounds/2 {
			tail.Kill()
			tail = follow()
		}
		if round < rounds-1 {
			c.Kill()
			c.Restart(t)
		}
	}
	tail.Stop(t)
	forwardOnce(t, c.Addr, state, input)
	c.Stop(t)
	if a, code := audit(t, c.Config(), "--state", state, "--verify"); code != 0 || a.Sums.Missing != 0 || a.Sums.Written != categories*rounds*each {
		t.Errorf("the audit ends with %d and says %+v", code, a.Sums)
	}
	for i := range categories {
		name := fmt.Sprintf("c%03d", i)
		harness.Audit(t, dir, name).Exactly(t, map[string]int{name: rounds * each})
	}
}
