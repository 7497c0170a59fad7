package test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// audited is what a test reads of `inkwell audit --json`.
type audited struct {
	Sums struct{ Received, Written, Duplicated, Missing int64 }
}

func audit(t *testing.T, args ...string) (a audited, code int) {
	t.Helper()
	r := ink.Run(t, append([]string{"audit", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(r.Stdout), &a); err != nil {
		t.Fatalf("%v: %s%s", err, r.Stdout, r.Stderr)
	}
	return a, r.Code
}

// auditConfigured audits collectors by their configurations.
func auditConfigured(t *testing.T, list ...*harness.Scribed) (a audited, code int) {
	t.Helper()
	args := []string{"--verify"}
	for _, s := range list {
		state := filepath.Join(filepath.Dir(s.Conf), "state", "scribed-"+s.Port)
		args = append(args, s.Conf, "--collector-state", s.Conf+"="+state)
	}
	return audit(t, args...)
}

// TestAuditOfTwoCollectors lets a forwarder move from one collector to the other, and then takes lines away: from what it has sent, the
// audit knows how many.
func TestAuditOfTwoCollectors(t *testing.T) {
	t.Parallel()
	const each = 5000
	first, second, state, in := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	a := ink.Collect(t, first, "--max-size", "20000")
	b := ink.Collect(t, second, "--max-size", "20000")
	input := "app=" + filepath.Join(in, "app.log")
	log := filepath.Join(in, "app.log")
	write := func(from int) {
		t.Helper()
		f, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(harness.Lines("app", from, from+each)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write(0)
	forwardOnce(t, a.Addr, state, input)
	write(each)
	forwardOnce(t, b.Addr, state, input)
	write(2 * each)
	forwardOnce(t, a.Addr, state, input)
	a.Stop(t)
	b.Stop(t)
	got, code := audit(t, "--verify", "--state", state, first, second)
	if code != 0 || got.Sums.Written != 3*each || got.Sums.Missing != 0 {
		t.Fatalf("ends with %d: %+v", code, got)
	}
	if got, code := audit(t, "--state", state, first); code != 1 || got.Sums.Missing != each {
		t.Errorf("without the second collector it ends with %d: %+v", code, got)
	}
	r := ink.Run(t, "cat", "--dedupe", filepath.Join(first, "app"), filepath.Join(second, "app"), filepath.Join(first, "app"))
	if n := strings.Count(r.Stdout, "\n"); n != 3*each {
		t.Errorf("cat --dedupe prints %d lines, want %d", n, 3*each)
	}
	// Take a line of the manifest away, and what the state would make it anew from: as if nobody had written that file.
	if err := os.Remove(filepath.Join(first, ".inkwell", "books")); err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(first, "app", ".manifest")
	text, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	if len(lines) < 4 {
		t.Fatalf("a manifest of %d lines", len(lines))
	}
	if err := os.WriteFile(manifest, []byte(strings.Join(append(lines[:2:2], lines[3:]...), "")), 0o640); err != nil {
		t.Fatal(err)
	}
	if got, code := audit(t, "--state", state, first, second); code != 1 || got.Sums.Missing == 0 {
		t.Errorf("with a line of the manifest taken away it ends with %d: %+v", code, got)
	}
}
