package packages

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// bookworm is a Debian 12 with systemd and nothing that it does not need, made by .ci/deps.
const bookworm = "/usr/local/lib/inkwell-test/bookworm.tar"

// unit runs the script when systemd has started what it starts, and stops the machine behind it.
const unit = `[Unit]
After=multi-user.target
[Service]
Type=oneshot
StandardOutput=append:/out
StandardError=inherit
ExecStart=/bin/sh /lifecycle.sh booted
ExecStopPost=/bin/systemctl poweroff --no-block
TimeoutStartSec=300
`

// machine is a root directory with a fresh Debian, the two debs and the script in it.
func machine(t *testing.T) string {
	t.Helper()
	shm := "/dev/shm" // dpkg syncs each file, which takes a minute on a disk
	if _, err := os.Stat(shm); err != nil {
		shm = ""
	}
	root, err := os.MkdirTemp(shm, "inkwell-lifecycle-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	harness.Tool(t, "tar", "-xf", bookworm, "-C", root)
	for name, dir := range map[string]string{"old": built.old, "new": built.next} {
		deb, err := os.ReadFile(only(t, dir, "*.deb"))
		if err != nil {
			t.Fatal(err)
		}
		harness.WriteFile(t, filepath.Join(root, "packages", name+".deb"), string(deb))
	}
	script, err := os.ReadFile("lifecycle.sh")
	if err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, filepath.Join(root, "lifecycle.sh"), string(script))
	return root
}

// judge fails the test by what the script said.
func judge(t *testing.T, out string) {
	t.Helper()
	if strings.Contains(out, "FAIL") || !strings.Contains(out, "\nEND\n") || strings.Count(out, "ok: ") < 20 {
		t.Errorf("what lifecycle.sh said:\n%s", out)
	}
	t.Logf("%d expectations held", strings.Count(out, "ok: "))
}

func TestLifeInAChroot(t *testing.T) {
	t.Parallel()
	root := machine(t)
	// A Debian that installs packages has /dev; what systemd's own tools want of /proc is not needed.
	cmd := exec.Command("chroot", root, "/bin/sh", "/lifecycle.sh", "")
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("lifecycle.sh: %v", err)
	}
	judge(t, string(out))
}

func TestLifeUnderSystemd(t *testing.T) {
	t.Parallel()
	root := machine(t)
	harness.WriteFile(t, filepath.Join(root, "etc/systemd/system/lifecycle.service"), unit)
	wants := filepath.Join(root, "etc/systemd/system/multi-user.target.wants")
	if err := errors.Join(os.MkdirAll(wants, 0o755), os.Symlink("../lifecycle.service", filepath.Join(wants, "lifecycle.service"))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	boot := exec.CommandContext(ctx, "systemd-nspawn", "--quiet", "--directory="+root, "--register=no", "--keep-unit", "--private-network", "--boot")
	console, err := boot.CombinedOutput()
	out, missing := os.ReadFile(filepath.Join(root, "out"))
	if missing != nil {
		harness.NotRun(t, "systemd-nspawn cannot boot a system here (%v); TestLifeInAChroot has all that needs no systemd", err)
		t.Logf("%s", console)
		return
	}
	judge(t, string(out))
}
