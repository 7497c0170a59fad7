package test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"inkwell/test/harness"
)

const nobodyID = 65534

// publicDir is a directory to which every user has the way.
func publicDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for path := dir; path != os.TempDir() && len(path) > 1; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// privileged is an address on which only root may listen.
func privileged(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 600+rand.IntN(400))
		if ln, err := net.Listen("tcp", addr); err == nil {
			if err := ln.Close(); err != nil {
				t.Fatal(err)
			}
			return addr
		}
	}
	t.Fatal("no free port below 1024 (this test needs root)")
	return ""
}

// isNobody looks at every thread of a process: none may have anything left of root.
func isNobody(t *testing.T, p *harness.Process) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.PID()))
	if err != nil || len(threads) == 0 {
		t.Fatalf("threads %v, %v", threads, err)
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		for _, want := range []string{"Uid:\t65534\t65534\t65534\t65534\n", "Gid:\t65534\t65534\t65534\t65534\n", "Groups:\t65534 \n", "CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s has no %q:\n%s", path, want, text)
			}
		}
	}
}

// ownedByNobody looks at a tree.
func ownedByNobody(t *testing.T, top string) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(top, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != nobodyID || st.Gid != nobodyID {
			t.Errorf("%s belongs to %d:%d", path, st.Uid, st.Gid)
		}
		seen++
		return nil
	})
	if err != nil || seen < 3 {
		t.Errorf("%d files, %v", seen, err)
	}
}

// TestDaemonsGiveUpRoot: they listen below 1024 and make their directories as root, and do the rest as nobody.
func TestDaemonsGiveUpRoot(t *testing.T) {
	t.Parallel()
	top := publicDir(t)
	conf, old, tails := filepath.Join(top, "collect.conf"), filepath.Join(top, "scribe.conf"), filepath.Join(top, "forward.conf")
	listen, port := privileged(t), privileged(t)
	harness.WriteFile(t, conf, fmt.Sprintf("inkwell 1\nlisten=%s\nstate_dir=%s/a/b/state\nuser=nobody\n<store>\ncategory=default\ntype=file\nfile_path=%s/c/d/files\n</store>\n", listen, top, top))
	harness.WriteFile(t, old, fmt.Sprintf("port=%s\n<store>\ncategory=default\ntype=file\nfile_path=%s/e/files\nadd_newlines=0\n</store>\n", port[len("127.0.0.1:"):], top))
	for _, test := range []struct {
		name, addr string
		args, dirs []string
	}{
		{"flags", privileged(t), []string{"collect", "--user", "nobody", "--dir", top + "/out/files", "--log-file", top + "/collect.log"}, []string{"out", "collect.log"}},
		{"configuration", listen, []string{"collect", "-c", conf}, []string{"a", "c"}},
		{"scribed", port, []string{"scribed", "--user", "nobody:nogroup", "--listen", "127.0.0.1", "-c", old}, []string{"e", "state"}},
	} {
		if test.name == "flags" {
			test.args = append(test.args, "--listen", test.addr)
		}
		p := ink.Start(t, harness.Command{Args: test.args, Env: []string{"INKWELL_STATE=" + map[string]string{"scribed": top + "/state"}[test.name]}})
		c := &harness.Collector{Process: p, Addr: test.addr}
		c.Listening(t)
		isNobody(t, p)
		sendTo(t, test.addr, 0, "web")
		l := newLogger(t, filepath.Join(publicDir(t), "app.log"), "app")
		l.write(t, 10, false)
		if test.name == "flags" {
			forwardAsNobody(t, test.addr, top, l.path, tails)
		}
		c.Stop(t)
		for _, dir := range test.dirs {
			if info, err := os.Stat(filepath.Join(top, dir)); err != nil {
				t.Error(err)
			} else if info.IsDir() {
				ownedByNobody(t, filepath.Join(top, dir))
			} else if info.Sys().(*syscall.Stat_t).Uid != nobodyID {
				t.Errorf("%s does not belong to nobody", dir)
			}
		}
	}
}

// forwardAsNobody runs the forwarder with a flag and with a key.
func forwardAsNobody(t *testing.T, addr, top, path, conf string) {
	t.Helper()
	f := ink.Start(t, harness.Command{Args: []string{"forward", "--user", "nobody", "--to", addr, "--state", filepath.Join(top, "forward", "state"), "app=" + path}})
	harness.Until(t, "positions are written", func() bool {
		_, err := os.Stat(filepath.Join(top, "forward", "state", "positions"))
		return err == nil
	})
	isNobody(t, f)
	f.Stop(t)
	ownedByNobody(t, filepath.Join(top, "forward"))
	harness.WriteFile(t, conf, fmt.Sprintf("inkwell 1\nstate_dir=%s/tails\nuser=nobody\n<tail>\ncategory=app\npath=%s\n</tail>\n<store>\ncategory=default\ntype=network\nservice_list=%s\n</store>\n", top, path, addr))
	if r := ink.Run(t, "forward", "--once", "-c", conf); r.Code != 0 {
		t.Errorf("ends with %d\n%s", r.Code, r.Stderr)
	}
	ownedByNobody(t, filepath.Join(top, "tails"))
}

func TestWhoCannotBecomeAUser(t *testing.T) {
	t.Parallel()
	top := publicDir(t)
	harness.WriteFile(t, filepath.Join(top, "app.log"), "x\n")
	if err := os.Mkdir(filepath.Join(top, "locked"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		uid        uint32
		user, want string
		code       int
	}{
		{0, "no-such-user", "there is no user no-such-user (create it: useradd", 1},
		{0, "nobody:no-such-group", "there is no group no-such-group (create it: groupadd", 1},
		{0, "root", "nothing would be given up", 1},
		{0, "0", "nothing would be given up", 1},
		{0, "nobody", "permission denied", 1}, // a directory that is there stays whose it is
		{1, "nobody", "only root can become another user", 1},
		{nobodyID, "root", "nothing would be given up", 1},
	} {
		dir := filepath.Join(top, "new")
		if test.want == "permission denied" {
			dir = filepath.Join(top, "locked")
		}
		for _, args := range [][]string{
			{"collect", "--listen", "127.0.0.1:0", "--dir", dir},
			{"forward", "--once", "--to", "127.0.0.1:1", "--state", dir, "x=" + filepath.Join(top, "app.log")},
		} {
			r := ink.RunCommand(t, harness.Command{UID: test.uid, Args: append(args, "--user", test.user)})
			if r.Code != test.code || !strings.Contains(r.Stderr, test.want) {
				t.Errorf("%q as %d ends with %d, want %d and %q\n%s", args, test.uid, r.Code, test.code, test.want, r.Stderr)
			}
			if _, err := os.Stat(filepath.Join(top, "new")); err == nil {
				t.Errorf("%q as %d made a directory", args, test.uid)
			}
		}
	}
	// Who is the user already has nothing to give up.
	r := ink.RunCommand(t, harness.Command{UID: nobodyID, Args: []string{"collect", "--user", "nobody", "--listen", "127.0.0.1:0", "--dir", filepath.Join(top, "locked")}})
	if r.Code != 1 || !strings.Contains(r.Stderr, "permission denied") {
		t.Errorf("ends with %d\n%s", r.Code, r.Stderr)
	}
}

// TestUserReadsTheTLSFiles: a key that only root can read could not be read again when it is renewed, which is better told at the start.
func TestUserReadsTheTLSFiles(t *testing.T) {
	t.Parallel()
	top := publicDir(t)
	cert, key := harness.NewAuthority(t, top).Issue(t, "localhost")
	args := []string{"collect", "--user", "nobody", "--dir", filepath.Join(top, "files"), "--listen", "tls://127.0.0.1:0", "--tls-cert", cert, "--tls-key", key}
	if err := errors.Join(os.Chmod(cert, 0o644), os.Chmod(key, 0o600)); err != nil {
		t.Fatal(err)
	}
	if r := ink.Run(t, args...); r.Code != 1 || !strings.Contains(r.Stderr, "permission denied") || !strings.Contains(r.Stderr, key) {
		t.Errorf("ends with %d\n%s", r.Code, r.Stderr)
	}
	if err := os.Chown(key, nobodyID, nobodyID); err != nil {
		t.Fatal(err)
	}
	p := ink.Start(t, harness.Command{Args: args})
	harness.Until(t, "it listens", func() bool { return strings.Contains(p.Stderr(), "collecting") })
	isNobody(t, p)
	p.Stop(t)
}
