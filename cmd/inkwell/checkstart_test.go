package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckStart has a case for each thing that can prevent a start, with a word of the message.
func TestCheckStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	collector := func(listen, files string) string {
		return fmt.Sprintf("inkwell 1\nlisten=%s\nstate=%s/state\n<store>\ncategory=default\ntype=file\nfile_path=%s\n</store>\n", listen, dir, files)
	}
	forwarder := func(tail, to, spool string) string {
		return fmt.Sprintf("inkwell 1\nstate=%s/fstate\n<tail>\ncategory=a\npath=%s\n</tail>\n<store>\ncategory=default\ntype=buffer\nspool_dir=%s\n<primary>\ntype=network\nservice_list=%s\n</primary>\n</store>\n",
			dir, tail, spool, to)
	}
	for name, c := range map[string]struct {
		text, want string
		code       int
	}{
		"well":            {collector("127.0.0.1:0", dir+"/logs"), "a start would succeed, 0 warnings", 0},
		"port":            {collector(taken.Addr().String(), dir+"/logs"), "error: port " + taken.Addr().String() + " is taken: end the program", 1},
		"files":           {collector("127.0.0.1:0", file+"/below"), "error: the directory of the files", 1},
		"user":            {"inkwell 1\nuser=nosuchuser\n" + strings.TrimPrefix(collector("127.0.0.1:0", dir+"/logs"), "inkwell 1\n"), "error: there is no user nosuchuser", 1},
		"certificate":     {strings.Replace(collector("tls://127.0.0.1:0", dir+"/logs"), "state=", "tls_cert=/none.pem\ntls_key=/none.key\nstate=", 1), "error: find a TLS file, as tls_cert, tls_key or tls_ca (--tls-cert …) names it: stat /none.pem", 1},
		"nothing to read": {forwarder(dir+"/none*.log", taken.Addr().String(), dir+"/spool"), "warning: " + dir + "/none*.log: there is no such file now", 0},
		"next hop":        {forwarder(file, closedAddr, dir+"/spool"), "warning: the next hop " + closedAddr + " cannot be reached", 0},
		"spool":           {forwarder(file, closedAddr, file+"/spool"), "error: the directory of the spool", 1},
		"mistake":         {collector("127.0.0.1:0", dir+"/logs") + "colour=red\n", "colour is not known", 1},
	} {
		t.Run(name, func(t *testing.T) {
			conf := filepath.Join(t.TempDir(), "f.conf")
			if err := os.WriteFile(conf, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if r := inkwellAs(t, os.Getuid(), "check", "--start", conf); r.code != c.code || !strings.Contains(r.stdout, c.want) {
				t.Errorf("%+v, want code %d and %q", r, c.code, c.want)
			}
		})
	}
	if r := inkwellAs(t, os.Getuid(), "check", "--start", "--", "collect", "--dir", dir+"/logs", "--listen", taken.Addr().String()); r.code != 1 || !strings.Contains(r.stdout, "is taken") {
		t.Errorf("of flags: %+v", r)
	}
	for _, path := range []string{dir + "/logs", dir + "/state", dir + "/spool", dir + "/fstate"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("a check made %s", path)
		}
	}
}

// TestAccountMay judges by the mode for a user that the daemon will become.
func TestAccountMay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	uid, gid := os.Getuid(), os.Getgid()
	for _, c := range []struct {
		acc  *account
		mode os.FileMode
		want bool
	}{
		{&account{uid: uid}, 0o400, true},
		{&account{uid: uid}, 0o044, false},
		{&account{uid: uid + 1, groups: []int{gid}}, 0o040, true},
		{&account{uid: uid + 1, groups: []int{gid}}, 0o404, false},
		{&account{uid: uid + 1, groups: []int{gid + 1}}, 0o004, true},
		{&account{uid: uid + 1, groups: []int{gid + 1}}, 0o660, false},
	} {
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := (&startCheck{acc: c.acc}).may(info, path, 4); got != c.want {
			t.Errorf("mode %v, %+v: %v", c.mode, c.acc, got)
		}
	}
}
