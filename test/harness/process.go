package harness

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Command says how to start a process.
type Command struct {
	Program string // "" = the inkwell it is started from
	Args    []string
	Stdin   *os.File // nil = empty
	Stdout  io.Writer
	Env     []string // beside the test's own, without any INKWELL_ variable
	UID     uint32   // the user to run as, 0 = the test's
	Group   bool     // in a process group of its own, for programs that signal their group
}

// Process is a running program whose standard error is kept in a file.
type Process struct {
	Started time.Time
	cmd     *exec.Cmd
	log     string
	killed  bool // by the test, on purpose
	done    chan struct{}
}

// Start starts a process, which ends when the test ends at the latest.
func (k Inkwell) Start(tb testing.TB, c Command) *Process {
	tb.Helper()
	c.Program = cmp.Or(c.Program, k.Path)
	log, err := os.CreateTemp(tb.TempDir(), "stderr-")
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(c.Program, c.Args...)
	cmd.Stdout, cmd.Stderr = c.Stdout, log
	if c.Stdin != nil {
		cmd.Stdin = c.Stdin
	}
	cmd.Env = append(environment(), c.Env...)
	cmd.WaitDelay = 10 * time.Second // a reader of the output cannot hold up the end
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: c.Group}
	if c.UID != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.UID, Gid: c.UID}
	}
	p := &Process{cmd: cmd, log: log.Name(), done: make(chan struct{}), Started: time.Now()}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	if err := log.Close(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // its state says how it ended
	}()
	tb.Cleanup(func() {
		p.Signal(syscall.SIGKILL)
		<-p.done
		p.judge(tb)
	})
	return p
}

// environment returns the test's own environment without variables that would change the program under test. The race
// detector would delay every exit of a process by a second.
func environment() (env []string) {
	env = append(env, "GORACE=atexit_sleep_ms=20")
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "INKWELL_") && !strings.HasPrefix(e, "GORACE=") {
			env = append(env, e)
		}
	}
	return env
}

var broken = regexp.MustCompile(`(?m)^(WARNING: DATA RACE|panic: |fatal error: |SIGSEGV)`)

// judge fails the test if the process broke, and shows the end of its output if the test failed. Processes that were
// killed on purpose are not shown, because there can be many.
func (p *Process) judge(tb testing.TB) {
	text := p.Stderr()
	if at := broken.FindStringIndex(text); at != nil {
		tb.Errorf("%s\n%s", p, text[at[0]:min(at[0]+6000, len(text))])
	} else if tb.Failed() && !p.killed {
		tb.Logf("%s, its last words:\n%s", p, text[max(0, len(text)-3000):])
	}
}

// String describes the process and how it ended.
func (p *Process) String() string {
	state := "running"
	if p.Ended() {
		state = p.cmd.ProcessState.String()
	}
	args := p.cmd.Args[1:]
	return fmt.Sprintf("%s %q (pid %d, %s)", filepath.Base(p.cmd.Path), args[:min(len(args), 12)], p.PID(), state)
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stderr returns what the process has written to standard error so far.
func (p *Process) Stderr() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Signal sends a signal if the process still runs.
func (p *Process) Signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// Kill ends the process with SIGKILL and waits for it.
func (p *Process) Kill() {
	p.killed = true
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Died reports whether the process ended by a SIGKILL that did not come from the test, as at a kill point.
func (p *Process) Died() bool {
	if !p.Ended() || p.killed {
		return false
	}
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	p.killed = ok && status.Signaled() && status.Signal() == syscall.SIGKILL
	return p.killed
}

// Ended reports whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Wait waits for the end and returns the exit code, -1 after a signal. A process that does not end is made to print
// what it waits for.
func (p *Process) Wait(tb testing.TB) int {
	tb.Helper()
	select {
	case <-p.done:
	case <-time.After(Patience):
		p.Signal(syscall.SIGQUIT)
		time.Sleep(2 * time.Second)
		tb.Fatalf("%s does not end\n%s", p, p.Stderr())
	}
	return p.cmd.ProcessState.ExitCode()
}

// Stop ends the process with SIGTERM; it must end with 0.
func (p *Process) Stop(tb testing.TB) {
	tb.Helper()
	p.Signal(syscall.SIGTERM)
	p.Expect(tb, 0)
}

// Expect waits for the end; the exit code must be code.
func (p *Process) Expect(tb testing.TB, code int) {
	tb.Helper()
	if got := p.Wait(tb); got != code {
		tb.Fatalf("%s ended with %d, want %d\n%s", p, got, code, p.Stderr())
	}
}

// Usage returns the CPU time and the peak memory, in bytes, of an ended process.
func (p *Process) Usage() (cpu time.Duration, rss int64) {
	<-p.done
	state := p.cmd.ProcessState
	return state.UserTime() + state.SystemTime(), state.SysUsage().(*syscall.Rusage).Maxrss << 10
}

// Result is the outcome of a process that ran to its end.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// Run runs the program to its end.
func (k Inkwell) Run(tb testing.TB, args ...string) Result {
	tb.Helper()
	return k.RunCommand(tb, Command{Args: args})
}

// RunCommand is Run with all options for a process; its Stdout is not used.
func (k Inkwell) RunCommand(tb testing.TB, c Command) Result {
	tb.Helper()
	var out bytes.Buffer
	c.Stdout = &out
	p := k.Start(tb, c)
	code := p.Wait(tb)
	return Result{Code: code, Stdout: out.String(), Stderr: p.Stderr()}
}

// StopAnyhow ends the process with SIGTERM. It must exit with 0 or, if something could not be done, with 1.
func (p *Process) StopAnyhow(tb testing.TB) {
	tb.Helper()
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(tb); code != 0 && code != 1 {
		tb.Fatalf("%s ended with %d\n%s", p, code, p.Stderr())
	}
}
