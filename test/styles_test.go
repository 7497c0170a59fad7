package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"inkwell/test/harness"
)

// styled is a log that is written and rotated as one style has it.
type styled struct {
	*logger
	dir     string
	rotated int
	turn    func(t *testing.T, s *styled) // rotates; the writer has the file open
}

// run runs a real tool in the directory of the log.
func (s *styled) run(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s %q: %v\n%s", name, args, err, out)
	}
}

// reopen is what a daemon does when it is told to, late: it has written to the old file meanwhile.
func (s *styled) reopen(t *testing.T) {
	t.Helper()
	s.write(t, 20, true)
	s.switchOver(t)
}

// switchOver is that without delay: what is written to a file that was removed is lost when nobody has it open.
func (s *styled) switchOver(t *testing.T) {
	t.Helper()
	s.close(t)
	s.open(t)
}

// The writers of a style: one that is told to open its log anew, one that is told at once, and one that keeps it.
const (
	late = iota
	prompt
	keeps
)

// logrotate rotates with these options, as the real one does.
func logrotate(writer int, options ...string) func(*testing.T, *styled) {
	return func(t *testing.T, s *styled) {
		t.Helper()
		etc := t.TempDir()
		conf := fmt.Sprintf("%s {\n\trotate 40\n\t%s\n}\n", s.path, strings.Join(options, "\n\t"))
		if err := os.WriteFile(filepath.Join(etc, "conf"), []byte(conf), 0o644); err != nil {
			t.Fatal(err)
		}
		s.run(t, "/usr/sbin/logrotate", "-f", "-s", filepath.Join(etc, "state"), filepath.Join(etc, "conf"))
		switch writer {
		case late:
			s.reopen(t)
		case prompt:
			s.switchOver(t)
		}
	}
}

// dated makes each rotated file have a name of its own, also within a second.
func dated(format func(*testing.T, *styled)) func(*testing.T, *styled) {
	return func(t *testing.T, s *styled) {
		time.Sleep(1100 * time.Millisecond)
		format(t, s)
	}
}

// move renames the log as tools do that rename by themselves, and has the writer open it anew.
func move(name func(s *styled) string) func(*testing.T, *styled) {
	return func(t *testing.T, s *styled) {
		t.Helper()
		time.Sleep(2 * time.Millisecond) // the names have milliseconds
		if err := os.Rename(s.path, filepath.Join(s.dir, name(s))); err != nil {
			t.Error(err)
		}
		s.reopen(t)
	}
}

// kubelet renames the log and compresses all rotated ones but the newest, into a temporary file that it renames.
func kubelet(t *testing.T, s *styled) {
	t.Helper()
	move(func(s *styled) string { return "app.log." + time.Now().Format("20060102-150405.000") })(t, s)
	names, err := filepath.Glob(filepath.Join(s.dir, "app.log.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names[:len(names)-1] {
		if filepath.Ext(name) != ".gz" {
			s.run(t, "sh", "-c", fmt.Sprintf("gzip -c %[1]s > %[1]s.tmp && mv %[1]s.tmp %[1]s.gz && rm %[1]s", name))
		}
	}
}

// TestStylesOfRotation has every style of rotation done by the tool that does it, with the forwarder running, behind,
// killed and down.
func TestStylesOfRotation(t *testing.T) {
	t.Parallel()
	for _, style := range []struct {
		name string
		turn func(*testing.T, *styled)
		down bool // nothing is lost while the forwarder is down, either
	}{
		{"create", logrotate(late, "create"), true},
		{"nocreate", logrotate(late, "nocreate"), true},
		{"create delaycompress compress", logrotate(late, "create", "compress", "delaycompress"), true},
		{"create compress", logrotate(prompt, "create", "compress"), true},
		{"create compress dateext", dated(logrotate(prompt, "create", "compress", "dateext", "dateformat -%Y%m%d-%s")), true},
		{"create compress by zstd", logrotate(prompt, "create", "compress", "compresscmd /usr/bin/zstd", "compressext .zst"), true},
		{"create compress by bzip2", logrotate(prompt, "create", "compress", "compresscmd /usr/bin/bzip2", "compressext .bz2"), true},
		{"create compress by xz", logrotate(prompt, "create", "compress", "compresscmd /usr/bin/xz", "compressext .xz"), true},
		{"create compress olddir", logrotate(prompt, "create", "compress", "olddir old"), true},
		{"create dateext", dated(logrotate(late, "create", "dateext", "dateformat -%Y%m%d-%s")), true},
		{"create dateext extension", dated(logrotate(late, "create", "dateext", "dateformat -%Y%m%d-%s", "extension .log")), true},
		{"create sharedscripts", logrotate(late, "create", "sharedscripts", "postrotate\n\t\t/bin/true\n\tendscript"), true},
		{"create olddir", logrotate(late, "create", "olddir old"), true},
		{"renamecopy", logrotate(prompt, "renamecopy"), true},
		{"copytruncate", logrotate(keeps, "copytruncate"), true},
		{"copytruncate compress", logrotate(keeps, "copytruncate", "compress"), true},
		{"copytruncate compress delaycompress", logrotate(keeps, "copytruncate", "compress", "delaycompress"), true},
		{"copytruncate dateext", dated(logrotate(keeps, "copytruncate", "dateext", "dateformat -%Y%m%d-%s")), true},
		{"copytruncate olddir", logrotate(keeps, "copytruncate", "olddir old"), false},
		{"copy", logrotate(keeps, "copy"), true},
		{"kubelet", kubelet, true},
		{"log4j2, logback: a date and a number", move(func(s *styled) string { return fmt.Sprintf("app-11-29-2026-%d.log", s.rotated) }), true},
		{"lumberjack", move(func(s *styled) string { return "app-" + time.Now().Format("2006-01-02T15-04-05.000") + ".log" }), true},
		{"winston, tailable", func(t *testing.T, s *styled) {
			for i := s.rotated; i > 0; i-- {
				if err := os.Rename(filepath.Join(s.dir, fmt.Sprintf("app%d.log", i)), filepath.Join(s.dir, fmt.Sprintf("app%d.log", i+1))); err != nil {
					t.Error(err)
				}
			}
			move(func(*styled) string { return "app1.log" })(t, s)
		}, true},
		{"docker, Python, supervisord: .1 to .n", func(t *testing.T, s *styled) { s.rotate(t, 0, false) }, true},
		{"rsync", func(t *testing.T, s *styled) {
			src := filepath.Join(s.dir, "src")
			if err := os.MkdirAll(src, 0o755); err != nil {
				t.Fatal(err)
			}
			s.run(t, "cp", "-p", s.path, src)
			from := s.path
			s.path = filepath.Join(src, "app.log")
			s.close(t)
			s.open(t)
			s.write(t, 30, false)
			s.path = from
			s.run(t, "rsync", "-a", "src/app.log", ".")
			s.switchOver(t)
		}, true},
		{"sed -i", func(t *testing.T, s *styled) { s.run(t, "sed", "-i", "s/no such text/x/", s.path); s.switchOver(t) }, true},
		{"an editor with a backup", func(t *testing.T, s *styled) {
			s.run(t, "sh", "-c", "mv app.log app.log~ && cp -p app.log~ app.log && rm app.log~")
			s.switchOver(t)
		}, true},
	} {
		t.Run(style.name, func(t *testing.T) {
			t.Parallel()
			styleRun(t, &styled{turn: style.turn}, style.down)
		})
	}
}

// styleRun follows a log through rotations.
func styleRun(t *testing.T, s *styled, down bool) {
	out, state := t.TempDir(), t.TempDir()
	s.dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(s.dir, "old"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.logger = newLogger(t, filepath.Join(s.dir, "app.log"), "app")
	c := ink.Collect(t, out)
	input := "app=" + s.path
	rotate := func(n int) {
		t.Helper()
		s.write(t, n, true)
		s.turn(t, s)
		s.rotated++
		s.write(t, n/2, true)
	}
	f := forward(t, c.Addr, state, input)
	s.write(t, 50, false)
	c.Received(t, s.next)
	for range 3 {
		rotate(60)
		c.Received(t, s.next) // at rest: what is written between the copy and the truncation is in no file
	}
	f.Signal(syscall.SIGSTOP) // it is behind
	rotate(60)
	if down {
		rotate(60)
	}
	f.Signal(syscall.SIGCONT)
	c.Received(t, s.next)
	rotations := []func(){func() { f.Kill() }, func() { f.Stop(t) }}
	for _, end := range rotations {
		end()
		if down {
			rotate(60)
			rotate(60)
		} else {
			s.write(t, 60, true)
		}
		f = forward(t, c.Addr, state, input)
		c.Received(t, s.next)
	}
	if down {
		rotate(60)
	}
	f.Kill() // in the middle of it
	s.write(t, 20, false)
	forwardOnce(t, c.Addr, state, input)
	c.Stop(t)
	harness.Clean(t, out)
	ledger := harness.Audit(t, out, "app")
	ledger.All(t, "app", s.next)
	if twice := ledger.Of("app").Twice; twice > 0 {
		t.Errorf("%d lines are there twice", twice)
	}
}
