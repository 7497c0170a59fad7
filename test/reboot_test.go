package test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"inkwell/test/harness"
)

// TestRebootWithoutWarning copies what a collector and a forwarder have on disk while they work, all at one moment, as the page cache has
// it, and starts both on the copies: what was acknowledged is there once, nothing that was published has changed, and what the
// forwarder follows comes to its end. What a power cut leaves, whose unsynced bytes are lost, is TestFilesModel's and TestModel's.
func TestRebootWithoutWarning(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"gzip", "none"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			rebooted(t, codec)
		})
	}
}

func rebooted(t *testing.T, codec string) {
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	flags := []string{"--compress", codec, "--max-size", "100000", "--rotate", "never"}
	c := ink.Collect(t, at("data"), append(flags, "--state", at("state"))...)
	in := filepath.Join(t.TempDir(), "app.log")
	f := forward(t, c.Addr, at("forwarder"), "app="+in)
	stop := make(chan struct{})
	caller := &harness.Caller{Addr: c.Addr, Source: "raw", Category: "raw", Most: 20}
	var work sync.WaitGroup
	work.Go(func() { caller.Run(t.Context(), stop) })
	l := newLogger(t, in, "app")
	const reboots = 4
	var copies []string
	var answered []int64 // calls, before each copy
	for n := range reboots {
		for until := time.Now().Add(time.Duration(700+900*n) * time.Millisecond); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
			l.write(t, 50, true)
		}
		to := filepath.Join(t.TempDir(), "copy")
		before := caller.Answered.Load()
		frozen(t, []*harness.Process{c.Process, f}, func() { harness.Tool(t, "cp", "-a", root, to) })
		copies, answered = append(copies, to), append(answered, before)
	}
	close(stop)
	work.Wait()
	f.Stop(t)
	c.Stop(t)
	if caller.Lost > 0 || caller.Later > 0 {
		t.Errorf("of the calls %d were not answered, %d with TRY_LATER", caller.Lost, caller.Later)
	}
	for i, dir := range copies {
		least := 0
		for _, call := range caller.Calls[:answered[i]] {
			least += call.Lines
		}
		reboot(t, dir, append(flags, "--state", filepath.Join(dir, "state")), in, l.next, least, caller.Next())
	}
}

// frozen does do while the processes stand still.
func frozen(t *testing.T, all []*harness.Process, do func()) {
	t.Helper()
	signal := func(s syscall.Signal) {
		for _, p := range all {
			if err := syscall.Kill(p.PID(), s); err != nil {
				t.Errorf("signal %v: %v", s, err)
			}
		}
	}
	signal(syscall.SIGSTOP)
	defer signal(syscall.SIGCONT)
	for _, p := range all {
		harness.Until(t, "the process stands still", func() bool {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
			return err == nil && bytes.Contains(stat, []byte(") T "))
		})
	}
	do()
}

// reboot starts collector and forwarder on a copy. Of the raw lines those below least were acknowledged before it was made.
func reboot(t *testing.T, dir string, flags []string, in string, lines, least, sent int) {
	t.Helper()
	data := filepath.Join(dir, "data")
	published := map[string][32]byte{}
	for _, category := range []string{"raw", "app"} {
		for _, path := range harness.Published(t, data, category) {
			if filepath.Ext(path) != "" { // a plain one grows
				published[path] = digest(t, path)
			}
		}
	}
	c := ink.Collect(t, data, flags...)
	forwardOnce(t, c.Addr, filepath.Join(dir, "forwarder"), "app="+in)
	c.Stop(t)
	harness.Clean(t, data)
	for path, sum := range published {
		if digest(t, path) != sum {
			t.Errorf("%s has changed", path)
		}
	}
	if strings.Contains(c.Stderr(), "damaged") || strings.Contains(c.Stderr(), "cannot be continued") {
		t.Errorf("the copy is not whole: %s", c.Stderr())
	}
	raw := harness.Audit(t, data, "raw").Of("raw")
	for i := range sent {
		if n := raw.Count(i); n > 1 || n == 0 && i < least {
			t.Fatalf("line %d of %d acknowledged before the copy is there %d times", i, least, n)
		}
	}
	app := harness.Audit(t, data, "app")
	app.All(t, "app", lines)
	if a := app.Of("app"); a.Twice > 0 { // the answer to a call was on its way, perhaps
		t.Errorf("%d lines came twice: %v", a.Twice, a.Resent)
	}
	t.Logf("%d lines were acknowledged before the copy, %d files published; %d lines followed", least, len(published), lines)
}

func digest(t *testing.T, path string) [32]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return sha256.Sum256(data)
}
