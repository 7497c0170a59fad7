package test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inkwell/test/harness"
)

// failingDisk is a file system whose fsyncs or writes fail while the test says so (the program test/fusefs).
type failingDisk struct{ at, control string }

// newFailingDisk mounts one; ok is false where there is no FUSE.
func newFailingDisk(t *testing.T) (d failingDisk, ok bool) {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		harness.NotRun(t, "%v. The same faults are injected below the program by TestFilesModel, TestModel and TestFaults.", err)
		return d, false
	}
	root := t.TempDir()
	program := filepath.Join(root, "fusefs")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = "fusefs"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build test/fusefs: %v\n%s", err, out)
	}
	d = failingDisk{filepath.Join(root, "disk"), filepath.Join(root, "control")}
	backing := filepath.Join(root, "backing")
	for _, dir := range []string{d.at, d.control, backing} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	cmd := exec.Command(program, backing, d.at, d.control)
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("fusefs: %v: %s", err, said.String())
		}
	})
	harness.Until(t, "the file system is mounted", func() bool {
		var st unix.Statfs_t
		err := unix.Statfs(d.at, &st)
		return err == nil && st.Type == unix.FUSE_SUPER_MAGIC
	})
	return d, true
}

// fail lets every fsync ("fsync") or write ("write") fail until heal.
func (d failingDisk) fail(t *testing.T, what string) {
	harness.WriteFile(t, filepath.Join(d.control, what), "")
}

func (d failingDisk) heal(t *testing.T, what string) {
	t.Helper()
	if err := os.Remove(filepath.Join(d.control, what)); err != nil {
		t.Fatal(err)
	}
}

// TestDiskThatFails lets a disk fail every fsync, and then every write, below a running collector and a forwarder: nothing is answered OK
// meanwhile, the status says why, and both go on by themselves when the disk works again.
func TestDiskThatFails(t *testing.T) {
	t.Parallel()
	d, ok := newFailingDisk(t)
	if !ok {
		return
	}
	in := filepath.Join(t.TempDir(), "app.log")
	l := newLogger(t, in, "app")
	l.write(t, 100, false)
	dir := filepath.Join(d.at, "data")
	c := ink.Collect(t, dir, "--rotate", "never")
	state := filepath.Join(d.at, "forwarder")
	f := forward(t, c.Addr, state, "app="+in)
	harness.Until(t, "the forwarder works", func() bool { return c.Counter(t, "app:received good") >= 100 })
	conn := dialScribe(t, c.Addr)
	next, acked := 0, map[int]bool{}
	send := func() bool {
		code, err := conn.Log(harness.Entry{Category: "raw", Message: string(harness.AppendLine(nil, "raw", next))})
		if err != nil {
			t.Fatal(err)
		}
		acked[next] = code == harness.OK
		next++
		return code == harness.OK
	}
	for _, fault := range []struct{ what, says string }{{"fsync", "input/output error"}, {"write", "no space left"}, {"fsync", "input/output error"}} {
		for range 20 {
			if !send() {
				t.Fatal("refused by a disk that works")
			}
		}
		d.fail(t, fault.what)
		for range 20 {
			if send() {
				t.Errorf("%s fails: entry %d was answered OK", fault.what, next-1)
			}
		}
		l.write(t, 100, false)
		if _, details, err := conn.Status(); err != nil || !strings.Contains(details, fault.says) {
			t.Errorf("%s fails: the status says %q, %v", fault.what, details, err)
		}
		if r := ink.Run(t, "ctl", "status", c.Addr); r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, fault.says) {
			t.Errorf("%s fails: ctl status ends with %d and says %q", fault.what, r.Code, r.Stdout+r.Stderr)
		}
		time.Sleep(300 * time.Millisecond)
		d.heal(t, fault.what)
		harness.Until(t, "entries are taken again", send)
		harness.Until(t, "the status is clean", func() bool { _, details, err := conn.Status(); return err == nil && details == "" })
	}
	f.Stop(t)
	forwardOnce(t, c.Addr, state, "app="+in)
	c.Stop(t)
	harness.Clean(t, dir)
	raw := harness.Audit(t, dir, "raw").Of("raw")
	for n := range next {
		if count := raw.Count(n); acked[n] && count != 1 || count > 1 {
			t.Errorf("entry %d (answered OK: %v) is there %d times", n, acked[n], count)
		}
	}
	harness.Audit(t, dir, "app").All(t, "app", l.next)
}
