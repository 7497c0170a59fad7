package test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"inkwell/test/harness"
)

// TestRebootWithoutWarning copies what a collector and a forwarder have on disk while they work, all at one moment, as the page cache has
// it, and starts both on the copies: what was acknowledged is there once, nothing that was published has changed, and what the
// forwarder follows comes to its end. What a power cut leaves, whose unsynced bytes are lost, is TestFilesModel's and TestModel's.
func TestRebootWithoutWarning(t *testing.T) {
	for _, codec := range []string{"gzip", "none"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			rebooted(t, codec)
		})
	}
}

// callOne sends lines of one source, a few a call, until stop is closed, and counts those that were acknowledged.
func callOne(t *testing.T, addr string, stop chan struct{}, acked *atomic.Int64) {
	conn, err := harness.DialScribe(addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	for next := 0; ; next += 20 {
		select {
		case <-stop:
			return
		default:
		}
		var entries []harness.Entry
		for i := range 20 {
			entries = append(entries, harness.Entry{Category: "raw", Message: string(harness.AppendLine(nil, "raw", next+i))})
		}
		if code, err := conn.Log(entries...); err != nil || code != harness.OK {
			t.Errorf("call: %v %v", code, err)
			return
		}
		acked.Add(20)
	}
}

func rebooted(t *testing.T, codec string) {
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	flags := []string{"--compress", codec, "--max-size", "100000", "--rotate", "never"}
	c := ink.Collect(t, at("data"), append(flags, "--state", at("state"))...)
	in := filepath.Join(t.TempDir(), "app.log")
	f := forward(t, c.Addr, at("forwarder"), "app="+in)
	stop, acked := make(chan struct{}), new(atomic.Int64)
	var work sync.WaitGroup
	work.Go(func() { callOne(t, c.Addr, stop, acked) })
	l := newLogger(t, in, "app")
	const reboots = 4
	var copies []string
	var least []int64
	for n := range reboots {
		for until := time.Now().Add(time.Duration(700+900*n) * time.Millisecond); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
			l.write(t, 50, true)
		}
		to := filepath.Join(t.TempDir(), "copy")
		before := acked.Load()
		frozen(t, []*harness.Process{c.Process, f}, func() { harness.Tool(t, "cp", "-a", root, to) })
		copies, least = append(copies, to), append(least, before)
	}
	close(stop)
	work.Wait()
	f.Stop(t)
	c.Stop(t)
	sent := int(acked.Load())
	for i, dir := range copies {
		reboot(t, dir, append(flags, "--state", filepath.Join(dir, "state")), in, l.next, int(least[i]), sent)
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
