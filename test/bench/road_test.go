package bench

import (
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"inkwell/test/harness"
)

// road is how a collector is told what to do.
type road int

const (
	flags      road = iota // collect --dir …
	configured             // collect -c with the configuration that those flags stand for
)

func (r road) String() string { return [...]string{"flags", "conf"}[r] }

// both roads.
var both = []road{flags, configured}

// manyFiles is a program that gives another one room for as many open files as thousands of categories need, where that is allowed.
var manyFiles = sync.OnceValue(func() []string {
	prefix := []string{"prlimit", "--nofile=400000:400000"}
	if exec.Command(prefix[0], prefix[1], "true").Run() != nil {
		return nil
	}
	return prefix
})

// collect starts a collector that writes to dir, and waits until it listens.
func (r road) collect(b *testing.B, dir string, env []string, more ...string) *server {
	b.Helper()
	c := &server{Collector: harness.Collector{Addr: harness.FreeAddr(b), Dir: dir}}
	args := append([]string{"collect", "--dir", dir, "--listen", c.Addr}, more...)
	if r == configured {
		printed := ink.Run(b, append([]string{"check", "--print", "--"}, args...)...)
		if printed.Code != 0 {
			b.Fatalf("check --print -- %q: %s", args, printed.Stderr)
		}
		path := filepath.Join(b.TempDir(), "collect.conf")
		// No queue bound, as with flags: the journal is the queue.
		harness.WriteFile(b, path, strings.Replace(printed.Stdout, "inkwell 1\n", "inkwell 1\nmax_queue_size=4000000000\n", 1))
		args = []string{"collect", "-c", path}
	}
	c.args, c.Process = args, r.start(b, args, env)
	c.Listening(b)
	return c
}

// server is a collector, and how it was started.
type server struct {
	harness.Collector
	args []string
}

func (r road) start(b *testing.B, args, env []string) *harness.Process {
	b.Helper()
	all := append(append(append([]string{}, manyFiles()...), ink.Path), args...)
	return ink.Start(b, harness.Command{Program: all[0], Args: all[1:], Env: env})
}
