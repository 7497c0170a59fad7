package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"inkwell/test/harness"
)

// tool runs a program to its end, with text on its standard input.
func tool(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestMultilog: multilog (daemontools) and svlogd (runit) rename `current` several times a second; the path of that alone is followed.
func TestMultilog(t *testing.T) {
	t.Parallel()
	for _, logger := range [][]string{{"multilog", "s20000", "n900"}, {"svlogd"}} {
		t.Run(logger[0], func(t *testing.T) {
			t.Parallel()
			out, state, logs := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "logs")
			if err := os.Mkdir(logs, 0o755); err != nil {
				t.Fatal(err)
			}
			if logger[0] == "svlogd" {
				if err := os.WriteFile(filepath.Join(logs, "config"), []byte("s20000\nn900\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			c := ink.Collect(t, out)
			input := "app=" + filepath.Join(logs, "current")
			next := 0
			write := func(n int) {
				tool(t, string(harness.Lines("app", next, next+n)), logger[0], append(logger[1:], logs)...)
				next += n
			}
			f := forward(t, c.Addr, state, input)
			write(10)
			c.Received(t, next)
			write(3000)
			c.Received(t, next)
			f.Stop(t)
			write(3000)
			f = forward(t, c.Addr, state, input)
			c.Received(t, next)
			f.Kill()
			write(3000)
			forwardOnce(t, c.Addr, state, input)
			c.Stop(t)
			harness.Audit(t, out, "app").Exactly(t, map[string]int{"app": next})
		})
	}
}

// TestVolumeUnderAnotherDeviceNumber: the file system is mounted through another device, as after a reboot. What was read is not read
// again.
func TestVolumeUnderAnotherDeviceNumber(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		harness.NotRun(t, "%v. TestDecide has the decision.", err)
		return
	}
	dir := t.TempDir()
	image, other, at := filepath.Join(dir, "image"), filepath.Join(dir, "other"), filepath.Join(dir, "mnt")
	for _, name := range []string{image, other} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, 16<<20); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	tool(t, "", "mkfs.ext4", "-q", image)
	first := tool(t, "", "losetup", "-f", "--show", image)
	tool(t, "", "mount", first, at)
	out, state, log := t.TempDir(), t.TempDir(), filepath.Join(at, "app.log")
	c := ink.Collect(t, out)
	addTo(t, log, string(harness.Lines("app", 0, 5)))
	addTo(t, filepath.Join(at, "big.log"), string(harness.Lines("big", 0, 5000)))
	input := "app=" + filepath.Join(at, "*.log")
	f := forward(t, c.Addr, state, input)
	c.Received(t, 5005)
	f.Stop(t)
	tool(t, "", "umount", at)
	tool(t, "", "losetup", "-d", first)
	taken := tool(t, "", "losetup", "-f", "--show", other) // the number that it had, as a rule
	second := tool(t, "", "losetup", "-f", "--show", image)
	f = forward(t, c.Addr, state, input) // before it is mounted
	harness.Until(t, "it has looked", func() bool { return strings.Contains(f.Stderr(), "no file matches") })
	tool(t, "", "mount", second, at)
	t.Cleanup(func() {
		tool(t, "", "umount", at)
		tool(t, "", "losetup", "-d", second, taken)
	})
	if first == second {
		t.Errorf("the volume is on %s again: the test shows nothing", first)
	}
	addTo(t, log, string(harness.Lines("app", 5, 6)))
	addTo(t, filepath.Join(at, "big.log"), string(harness.Lines("big", 5000, 5001)))
	c.Received(t, 5007)
	f.Stop(t)
	addTo(t, log, string(harness.Lines("app", 6, 7)))
	f = forward(t, c.Addr, state, input)
	c.Received(t, 5008)
	f.Stop(t)
	c.Stop(t)
	harness.Audit(t, out, "app").Exactly(t, map[string]int{"app": 7, "big": 5001})
}

// TestRotatedFilesThatCannotBeRead: logrotate makes them for root alone, and the forwarder runs as nobody. They are told, and read when
// that is possible, long after their rotation.
func TestRotatedFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		harness.NotRun(t, "it needs root. TestDecide has the decision.")
		return
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("", "inkwell-unreadable-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	logs, state := filepath.Join(dir, "logs"), filepath.Join(dir, "state")
	for _, d := range []string{dir, logs, state} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(state, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	out, log := t.TempDir(), filepath.Join(logs, "app.log")
	c := ink.Collect(t, out)
	s := &styled{dir: logs, logger: newLogger(t, log, "app")}
	s.write(t, 10, false)
	f := ink.Start(t, harness.Command{UID: nobody, Args: []string{"forward", "--to", c.Addr, "--state", state, "app=" + log}})
	c.Received(t, 10)
	rotate := logrotate(prompt, "create 0600 root root")
	rotate(t, s)
	s.write(t, 10, false)
	harness.Until(t, "the first is told", func() bool { return strings.Count(f.Stderr(), "permission denied") >= 1 })
	rotate(t, s)
	s.write(t, 10, false)
	harness.Until(t, "the second is told", func() bool { return strings.Count(f.Stderr(), "permission denied") >= 2 })
	for _, name := range []string{"app.log", "app.log.1", "app.log.2"} {
		if err := os.Chmod(filepath.Join(logs, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c.Received(t, 30)
	s.write(t, 10, false)
	c.Received(t, 40)
	f.Stop(t)
	if strings.Contains(f.Stderr(), `"files unreadable"`) {
		t.Error("files still count as unreadable")
	}
	c.Stop(t)
	ledger := harness.Audit(t, out, "app")
	if ledger.Lines() != 40 || ledger.Of("app").Twice > 0 {
		t.Errorf("%d lines, %d twice", ledger.Lines(), ledger.Of("app").Twice)
	}
}

// TestFIFOWhereAPatternLeads: nothing but regular files is opened: neither does a reader of a FIFO come to its writer, nor does anything
// wait for a writer.
func TestFIFOWhereAPatternLeads(t *testing.T) {
	t.Parallel()
	out, logs := t.TempDir(), t.TempDir()
	for _, name := range []string{"xconsole", "nginx/fifo.log"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(logs, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(filepath.Join(logs, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	writer := exec.Command("sh", "-c", "echo a message > "+filepath.Join(logs, "xconsole"))
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	c := ink.Collect(t, out)
	log := filepath.Join(logs, "nginx", "access.log")
	addTo(t, log, string(harness.Lines("web", 0, 5)))
	f := forward(t, c.Addr, t.TempDir(), "web="+filepath.Join(logs, "*", "*.log"), "all="+filepath.Join(logs, "*"))
	c.Received(t, 5)
	for i := range 3 { // time enough to look several times
		addTo(t, log, string(harness.Lines("web", 5+i, 6+i)))
		c.Received(t, 6+i)
	}
	if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", writer.Process.Pid)); err != nil || !strings.Contains(string(state), "partner") {
		t.Errorf("the writer of the FIFO does not wait for a reader any more: %s, %v", state, err)
	}
	if err := writer.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = writer.Wait() // it was killed
	f.Stop(t)
	c.Stop(t)
	harness.Clean(t, out)
}

// TestWorkersWhoseLogsBeginAlike: pm2, supervisord and others give each worker a log, told apart by a number, and each begins with the
// same line.
func TestWorkersWhoseLogsBeginAlike(t *testing.T) {
	t.Parallel()
	out, logs := t.TempDir(), t.TempDir()
	c := ink.Collect(t, out)
	f := forward(t, c.Addr, t.TempDir(), "node="+filepath.Join(logs, "*.log"))
	names := []string{"api-out.log", "api-out-1.log", "api-out-2.log"}
	for _, name := range names {
		addTo(t, filepath.Join(logs, name), "listening on port 3000\n")
	}
	c.Received(t, 3)
	for _, name := range names {
		addTo(t, filepath.Join(logs, name), "GET / from "+name+"\n")
	}
	c.Received(t, 6)
	f.Stop(t)
	c.Stop(t)
	text := string(harness.Contents(t, out, "node"))
	for _, name := range names {
		if strings.Count(text, "from "+name) != 1 || strings.Count(text, "listening") != 3 {
			t.Errorf("the lines are %q", text)
		}
	}
}
