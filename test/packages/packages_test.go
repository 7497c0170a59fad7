package packages

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"inkwell/test/harness"
)

// built are the packages of two versions, each in a directory of its own; again has those of the first built once more.
var built struct{ old, again, next string }

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "inkwell-packages-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	built.old, built.again, built.next = filepath.Join(dir, "old"), filepath.Join(dir, "again"), filepath.Join(dir, "next")
	// The second build of the same has another time zone, language, mask of files and directory.
	builds := []struct{ out, version, env, umask string }{
		{built.old, "v1.0.0", "TZ=UTC", "022"},
		{built.again, "v1.0.0", "TZ=Asia/Tokyo LC_ALL=C.UTF-8 USER=other", "077"},
		{built.next, "v1.1.0", "TZ=UTC", "022"},
	}
	failed := make([]error, len(builds))
	var building sync.WaitGroup
	for i, b := range builds {
		building.Go(func() {
			cmd := exec.Command("sh", "-c", "umask "+b.umask+" && exec env OUT="+b.out+" VERSION="+b.version+
				" SOURCE_DATE_EPOCH=1700000000 "+b.env+" packaging/build")
			cmd.Dir = "../.."
			if out, err := cmd.CombinedOutput(); err != nil {
				failed[i] = fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
			}
		})
	}
	building.Wait()
	if err := errors.Join(failed...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	harness.ReportNotRun()
	return code
}

// only is the one file of a pattern.
func only(t *testing.T, dir, pattern string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(paths) != 1 {
		t.Fatalf("%s in %s: %q, %v", pattern, dir, paths, err)
	}
	return paths[0]
}

func TestTheSameBytesTwice(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"*.deb", "*.rpm", "*.tar.gz"} {
		first, second := only(t, built.old, pattern), only(t, built.again, pattern)
		a, err := os.ReadFile(first)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(second)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(first) != filepath.Base(second) || !bytes.Equal(a, b) {
			t.Errorf("%s and %s differ: diffoscope shows where", first, second)
		}
	}
}

func TestLintianFindsNoError(t *testing.T) {
	t.Parallel()
	out := harness.Tool(t, "lintian", "--allow-root", "--fail-on", "error", only(t, built.old, "*.deb"))
	t.Logf("lintian: %s", out)
}

// TestTheRPM looks at the rpm with the tools of rpm, and installs it, without the scripts, below a directory.
func TestTheRPM(t *testing.T) {
	t.Parallel()
	file, root := only(t, built.old, "*.rpm"), t.TempDir()
	if got := harness.Tool(t, "rpm", "-qp", "--qf", "%{NAME} %{VERSION} %{ARCH}", file); !strings.HasPrefix(got, "inkwell 1.0.0 ") {
		t.Errorf("rpm says %q", got)
	}
	if got, want := harness.Tool(t, "rpm", "-qp", "--configfiles", file), "/etc/inkwell/collect.conf\n/etc/inkwell/forward.conf\n"; got != want {
		t.Errorf("configurations: %q, want %q", got, want)
	}
	install := func(flag, file string) {
		t.Helper()
		harness.Tool(t, "rpm", "--root", root, "--nodeps", "--noscripts", flag, file)
	}
	install("-i", file)
	conf := filepath.Join(root, "etc/inkwell/collect.conf")
	harness.WriteFile(t, conf, "changed")
	install("-U", only(t, built.next, "*.rpm"))
	if text, err := os.ReadFile(conf); err != nil || string(text) != "changed" {
		t.Errorf("after an upgrade the configuration is %q, %v", text, err)
	}
	program := filepath.Join(root, "usr/bin/inkwell")
	if got := harness.Tool(t, program, "version"); !strings.HasPrefix(got, "inkwell v1.1.0 ") {
		t.Errorf("after an upgrade it is %q", got)
	}
	harness.Tool(t, "rpm", "--root", root, "--nodeps", "--noscripts", "-e", "inkwell")
	if _, err := os.Stat(program); !os.IsNotExist(err) {
		t.Errorf("after a removal there is a program, %v", err)
	}
	if text, err := os.ReadFile(conf + ".rpmsave"); err != nil || string(text) != "changed" {
		t.Errorf("after a removal the configuration is %q, %v", text, err)
	}
}

// TestTheTarball: everything of it is below one directory, and the program needs nothing but the kernel: it runs in a root directory
// where nothing else is, as in the image of packaging/Containerfile.
func TestTheTarball(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := only(t, built.old, "*.tar.gz")
	harness.Tool(t, "tar", "-xzf", file, "-C", dir)
	top := only(t, dir, "*")
	if want := strings.TrimSuffix(filepath.Base(file), ".tar.gz"); filepath.Base(top) != want {
		t.Errorf("the directory is %s, want %s", top, want)
	}
	root := filepath.Join(dir, "scratch")
	text, err := os.ReadFile(filepath.Join(top, "usr/local/bin/inkwell"))
	if err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, filepath.Join(root, "inkwell"), string(text))
	if err := os.Chmod(filepath.Join(root, "inkwell"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := harness.Tool(t, "chroot", root, "/inkwell", "version"); !strings.HasPrefix(got, "inkwell v1.0.0 ") {
		t.Errorf("in an empty root directory it says %q", got)
	}
	// localhost is known without /etc/hosts.
	out, err := exec.Command("chroot", root, "/inkwell", "health", "localhost:9").Output()
	if failed := (*exec.ExitError)(nil); !errors.As(err, &failed) || failed.ExitCode() != 2 || !strings.Contains(string(out), "refused") {
		t.Errorf("in an empty root directory health says %q, %v", out, err)
	}
}

// TestTheImage builds the Containerfile, and runs the program in what comes of it.
func TestTheImage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	harness.Tool(t, "tar", "-xzf", only(t, built.old, "*.tar.gz"), "-C", dir)
	program := filepath.Join(only(t, dir, "inkwell-*"), "usr/local/bin/inkwell")
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(program, filepath.Join(dir, "bin/inkwell")); err != nil {
		t.Fatal(err)
	}
	buildah := func(args ...string) string {
		t.Helper()
		all := append([]string{"--storage-driver", "vfs", "--root", filepath.Join(dir, "storage"), "--runroot", filepath.Join(dir, "run")}, args...)
		return harness.Tool(t, "buildah", all...)
	}
	buildah("build", "--isolation", "chroot", "--file", "../../packaging/Containerfile", "--tag", "inkwell", dir)
	buildah("from", "--name", "one", "inkwell")
	// What it prints is not looked at: buildah loses it now and then when the program ends at once.
	buildah("run", "--isolation", "chroot", "one", "--", "/inkwell", "version")
	got := buildah("inspect", "--format", "{{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.User}}", "one")
	if want := "[/inkwell] 65532:65532"; strings.TrimSpace(got) != want {
		t.Errorf("the image is for %q, want %q", got, want)
	}
}

// TestExamplesOfPuppetAndAnsible has both programs read theirs.
func TestExamplesOfPuppetAndAnsible(t *testing.T) {
	t.Parallel()
	harness.Tool(t, "puppet", "parser", "validate", "../../examples/puppet/inkwell.pp")
	harness.Tool(t, "ansible-playbook", "--syntax-check", "-i", "logs,web,", "../../examples/ansible/inkwell.yml")
}

// TestInstall: make install puts everything below its two directories, with the units that start what was installed, and does not
// replace a configuration that is there.
func TestInstall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	harness.Tool(t, "tar", "-xzf", only(t, built.old, "*.tar.gz"), "-C", dir)
	program := filepath.Join(only(t, dir, "inkwell-*"), "usr/local/bin/inkwell")
	install := func() {
		t.Helper()
		harness.Tool(t, "make", "-C", "../..", "--no-print-directory", "--assume-old=build", "install",
			"PROGRAM="+program, "DESTDIR="+root, "PREFIX=/opt/inkwell", "SYSCONFDIR=/opt/etc")
	}
	install()
	conf := filepath.Join(root, "opt/etc/inkwell/collect.conf")
	harness.WriteFile(t, conf, "changed")
	install()
	if text, err := os.ReadFile(conf); err != nil || string(text) != "changed" {
		t.Errorf("the configuration is %q, %v", text, err)
	}
	text, err := os.ReadFile(filepath.Join(root, "opt/inkwell/lib/systemd/system/inkwell-collect.service"))
	if err != nil || !strings.Contains(string(text), "ExecStart=/opt/inkwell/bin/inkwell collect -c /opt/etc/inkwell/collect.conf") {
		t.Errorf("the unit starts something else: %v\n%s", err, text)
	}
	for _, name := range []string{"bin/inkwell", "share/man/man1/inkwell-collect.1.gz", "share/bash-completion/completions/inkwell", "share/zsh/site-functions/_inkwell", "share/doc/inkwell/README.md"} {
		if _, err := os.Stat(filepath.Join(root, "opt/inkwell", name)); err != nil {
			t.Error(err)
		}
	}
	if names, err := filepath.Glob(filepath.Join(root, "*")); err != nil || len(names) != 1 {
		t.Errorf("below the root directory: %q, %v", names, err)
	}
}
