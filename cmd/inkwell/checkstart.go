package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"inkwell/forwarder"
	"inkwell/internal/config"
	"inkwell/internal/rpc"
)

// startCheck examines what a start with a configuration depends on: the user, certificates, directories, ports, the
// files to be read and the next hops. It changes nothing: it binds each port only for a moment and makes no file.
type startCheck struct {
	a    *app
	c    *config.Config
	acc  *account // whom the daemon becomes; nil = it stays who it is
	out  io.Writer
	name string // of the configuration

	errs, warnings int
	err            error // of out
}

// checkStart prints what would keep a daemon with this configuration from starting or from working properly, and
// returns an error if the start would fail. The user who runs the check stands for the one who would start the daemon.
func (a *app) checkStart(w io.Writer, c *config.Config, name string) error {
	s := &startCheck{a: a, c: c, out: w, name: name}
	s.user()
	s.certificates()
	if s.forwards() {
		s.inputs()
	} else {
		s.ports()
	}
	s.directories()
	s.hops()
	s.topic()
	s.targets()
	if s.err != nil {
		return s.err
	}
	if s.errs > 0 {
		return fmt.Errorf("a start with %s would fail: see the errors above", name)
	}
	_, err := fmt.Fprintf(w, "%s: a start would succeed, %s\n", name, count(s.warnings, "warning"))
	return err
}

// forwards reports whether the configuration is one of a forwarder or a pipe.
func (s *startCheck) forwards() bool {
	return len(s.c.Tails)+len(s.c.Pipes)+len(s.c.Journals)+len(s.c.Syslogs) > 0
}

// bad reports something that would prevent the start.
func (s *startCheck) bad(format string, args ...any) {
	s.errs++
	s.tell("error", format, args...)
}

// odd reports something with which the daemon would start but not work well.
func (s *startCheck) odd(format string, args ...any) {
	s.warnings++
	s.tell("warning", format, args...)
}

func (s *startCheck) tell(kind, format string, args ...any) {
	_, err := fmt.Fprintf(s.out, "%s: start: %s: %s\n", s.name, kind, printable(fmt.Sprintf(format, args...)))
	s.err = errors.Join(s.err, err)
}

func (s *startCheck) user() {
	acc, err := s.a.account(s.c.User)
	if err != nil {
		s.bad("%v", err)
		return
	}
	s.acc = acc
}

// certificateSoon is how long before its end a certificate is worth a warning.
const certificateSoon = 14 * 24 * time.Hour

// certificates reads the TLS files of the listeners and of each network store.
func (s *startCheck) certificates() {
	all := []config.TLS{s.c.TLS}
	for _, st := range s.c.Stores {
		for _, n := range networks(st.Sink) {
			all = append(all, n.TLS)
		}
	}
	seen := make(map[rpc.TLSFiles]bool)
	for _, one := range all {
		files := rpc.TLSFiles(one)
		files.ServerName = ""
		if files == (rpc.TLSFiles{}) || seen[files] {
			continue
		}
		seen[files] = true
		credentials, err := rpc.OpenTLS(files, nil)
		if err != nil {
			s.bad("%v", err)
			continue
		}
		for _, path := range []string{files.Cert, files.Key, files.CA} {
			s.readable(path, "the TLS file")
		}
		if file, leaf := credentials.Certificate(); leaf != nil && time.Until(leaf.NotAfter) < certificateSoon {
			s.odd("the certificate %s expires on %s: renew it", file, leaf.NotAfter.UTC().Format(time.DateOnly))
		}
	}
}

// networks returns the network stores of a sink.
func networks(s config.Sink) (all []config.Network) {
	config.Walk(s, func(s config.Sink) {
		if n, ok := s.(config.Network); ok {
			all = append(all, n)
		}
	})
	return all
}

// served returns the server that the configuration is for.
func (s *startCheck) served() *configured {
	if s.c.New {
		return &configured{name: "collect"}
	}
	return &configured{name: "scribed", tolerant: true}
}

// ports binds each address for a moment.
func (s *startCheck) ports() {
	for _, addr := range s.served().listen(s.c, cmp.Or(s.c.Port, listened(s.c), defaultPort)) {
		at, err := rpc.ParseAddress(addr)
		if err != nil {
			s.bad("listen on %s: %v", addr, err)
			continue
		}
		if at.Network == "unix" {
			s.writable(filepath.Dir(at.Text), "the directory of the socket")
			continue
		}
		ln, err := net.Listen("tcp", at.Text)
		switch {
		case err == nil:
			err = ln.Close()
		case errors.Is(err, syscall.EADDRINUSE):
			s.bad("port %s is taken%s: end the program that has it (ss -ltnp shows which), or choose another", addr,
				s.owner(at.Text))
			continue
		case errors.Is(err, syscall.EACCES):
			s.bad("port %s is for root: choose one above 1023, or start it as root with user= in the file", addr)
			continue
		}
		if err != nil {
			s.bad("listen on %s: %v", addr, err)
		}
	}
}

// owner says which server already uses a port, if it answers as a Scribe server.
func (s *startCheck) owner(addr string) string {
	if host, port, err := net.SplitHostPort(addr); err == nil && (host == "" || host == "0.0.0.0" || host == "::") {
		addr = net.JoinHostPort("localhost", port)
	}
	client, conn, err := rpc.FB303(addr, time.Second, nil)
	if err != nil {
		return ""
	}
	defer conn.Close()
	if _, err := client.GetStatus(context.Background()); err != nil {
		return ""
	}
	return " by a Scribe server, perhaps this one that runs already"
}

// directories checks the directories of state, files and spools.
func (s *startCheck) directories() {
	var state string
	if s.forwards() {
		state = s.c.State
		if root, err := stateRoot(s.c, s.a.lookup); state == "" && len(s.c.Pipes) == 0 {
			if err != nil {
				s.bad("%v", err)
				return
			}
			state = filepath.Join(root, "forward")
		}
	} else {
		dir, err := s.served().stateOf(s.c, cmp.Or(s.c.Port, listened(s.c), defaultPort), s.a.lookup)
		if err != nil {
			s.bad("%v", err)
			return
		}
		state = dir.dir
	}
	s.writable(state, "the state directory")
	var files, spools []string
	for _, st := range s.c.Stores {
		files, spools = append(files, fileDirs(st.Sink)...), append(spools, config.Spools(st.Sink)...)
	}
	for _, dir := range distinct(files) {
		s.writable(dir, "the directory of the files")
	}
	for _, dir := range distinct(spools) {
		if !slices.Contains(files, dir) {
			s.writable(dir, "the directory of the spool")
		}
	}
}

func distinct(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// writable checks that files can be made in dir or, if dir is missing, that it can be made.
func (s *startCheck) writable(dir, what string) {
	if dir == "" {
		return
	}
	at := filepath.Clean(dir)
	info, err := os.Stat(at)
	for errors.Is(err, os.ErrNotExist) && at != filepath.Dir(at) {
		at = filepath.Dir(at)
		info, err = os.Stat(at)
	}
	missing := at != filepath.Clean(dir)
	switch {
	case err != nil:
		s.bad("%s: %v", what, err)
		return
	case !info.IsDir():
		s.bad("%s: %s is no directory", what, at)
		return
	case missing && s.acc != nil && s.a.uid() == 0: // root creates it and gives it to the user
	case !s.may(info, at, unix.W_OK|unix.X_OK):
		s.bad("%s: %s must not write in %s: change its owner or mode (chown), or run as another user", what, s.who(),
			at)
		return
	}
	var st unix.Statfs_t
	if unix.Statfs(at, &st) == nil && st.Blocks > 0 && st.Bavail == 0 {
		s.odd("%s: there is no room left on the file system of %s", what, at)
	}
}

// readable checks that the user can read a file.
func (s *startCheck) readable(path, what string) {
	if path == "" {
		return
	}
	info, err := os.Stat(path)
	if err != nil {
		s.bad("%s: %v", what, err)
	} else if !s.may(info, path, unix.R_OK) {
		s.bad("%s: %s must not read %s: change its owner or mode", what, s.who(), path)
	}
}

// who returns the user that the daemon will run as.
func (s *startCheck) who() string {
	if s.acc != nil {
		return "user " + s.acc.name
	}
	return fmt.Sprintf("user %d", os.Geteuid())
}

// may reports whether the user may access a file in the way that bits say. For a user other than the one who runs the
// check it judges by the mode alone: it does not know an ACL, nor the permissions of the directories above the file.
func (s *startCheck) may(info os.FileInfo, path string, bits uint32) bool {
	if s.acc == nil {
		return unix.Access(path, bits) == nil
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	mode := uint32(info.Mode().Perm())
	switch {
	case int(st.Uid) == s.acc.uid:
		mode >>= 6
	case slices.Contains(s.acc.groups, int(st.Gid)):
		mode >>= 3
	}
	return mode&bits == bits
}

// inputs checks that there is something to read.
func (s *startCheck) inputs() {
	for _, t := range s.c.Tails {
		in := forwarder.Input{Category: t.Category, Glob: t.Glob, Exclude: t.Exclude, FromEnd: t.FromEnd,
			Lines: t.Lines}
		if found, err := in.Finds(); err != nil {
			s.bad("%s: %v", t.Glob, err)
		} else if !found {
			s.odd("%s: there is no such file now, or its directory cannot be read; it is followed when it is there",
				t.Glob)
		}
		if info, err := os.Stat(t.Glob); err == nil && !s.may(info, t.Glob, unix.R_OK) {
			s.odd("%s: %s must not read it (on Debian logs are for the group adm: usermod -aG adm USER)", t.Glob,
				s.who())
		}
	}
	if len(s.c.Journals) > 0 {
		if _, err := exec.LookPath("journalctl"); err != nil {
			s.bad("<journal> needs the program journalctl, which is not there: %v", err)
		}
	}
	for _, y := range s.c.Syslogs {
		for _, addr := range y.Listen {
			s.syslogPort(addr)
		}
	}
}

// syslogPort binds an address of syslog for a moment.
func (s *startCheck) syslogPort(addr string) {
	network, at, _ := strings.Cut(addr, "://")
	var err error
	switch network {
	case "udp":
		var pc net.PacketConn
		if pc, err = net.ListenPacket("udp", at); err == nil {
			err = pc.Close()
		}
	case "tcp":
		var ln net.Listener
		if ln, err = net.Listen("tcp", at); err == nil {
			err = ln.Close()
		}
	}
	if err != nil {
		s.bad("syslog on %s: %v (another program takes syslog there, or the port is for root)", addr, err)
	}
}
