package test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"inkwell/test/harness"
)

// library is a logging library that rotates its log by itself, in a program of its own language which does with each
// line of its standard input what the first letter says: it logs what is behind an L, rotates for an R, and answers an S
// when all before it is done.
type library struct {
	name string
	// program is what is run, beneath testdata/loggers, to write to a log.
	program func(log string) []string
	config  string // written for the program, with LOG for the path without its extension
	rolls   bool   // there are rotated files
	timed   bool   // one for each second
}

// java runs a program with the libraries of Debian in /usr/share/java.
func java(source string, jars ...string) func(log string) []string {
	var paths []string
	for _, jar := range jars {
		paths = append(paths, filepath.Join("/usr/share/java", jar+".jar"))
	}
	return func(log string) []string {
		config := filepath.Join(filepath.Dir(log), "conf", "config.xml")
		return []string{"java", "-XX:TieredStopAtLevel=1", "-cp", strings.Join(paths, ":"), source, config}
	}
}

const log4jHead = `<Configuration status="error"><Appenders>`
const log4jTail = `</Appenders><Loggers><Root level="info"><AppenderRef ref="file"/></Root></Loggers></Configuration>`
const log4jLayout = `<PatternLayout pattern="%m%n" charset="ISO-8859-1"/>`

func log4jRolling(suffix string) string {
	return log4jHead + `<RollingFile name="file" fileName="LOG.log" filePattern="LOG-%i.log` + suffix + `">` + log4jLayout +
		`<Policies><SizeBasedTriggeringPolicy size="100MB"/></Policies><DefaultRolloverStrategy max="40"/></RollingFile>` + log4jTail
}

func logbackRolling(suffix string) string {
	return `<configuration><appender name="file" class="ch.qos.logback.core.rolling.RollingFileAppender"><file>LOG.log</file>` +
		`<rollingPolicy class="ch.qos.logback.core.rolling.FixedWindowRollingPolicy"><fileNamePattern>LOG.%i.log` + suffix + `</fileNamePattern>` +
		`<minIndex>1</minIndex><maxIndex>20</maxIndex></rollingPolicy>` +
		`<triggeringPolicy class="ch.qos.logback.core.rolling.SizeBasedTriggeringPolicy"><maxFileSize>100MB</maxFileSize></triggeringPolicy>` +
		`<encoder><pattern>%m%n</pattern><charset>ISO-8859-1</charset></encoder></appender>` +
		`<root level="info"><appender-ref ref="file"/></root></configuration>`
}

// python runs rolling.py with one of its handlers.
func python(handler string) func(log string) []string {
	return func(log string) []string { return []string{"python3", "rolling.py", handler, log} }
}

// TestLoggingLibraries has the libraries rotate that people log with, while the forwarder runs, is behind, was killed and
// is down.
func TestLoggingLibraries(t *testing.T) {
	t.Parallel()
	log4j := java("Log4j.java", "log4j-api", "log4j-core")
	logback := java("Logback.java", "logback-classic", "logback-core", "slf4j-api")
	for _, l := range []library{
		{name: "Log4j RollingFile", program: log4j, config: log4jRolling(""), rolls: true},
		{name: "Log4j RollingFile gz", program: log4j, config: log4jRolling(".gz"), rolls: true},
		{name: "Log4j MemoryMappedFile", program: log4j, config: log4jHead + `<MemoryMappedFile name="file" fileName="LOG.log" immediateFlush="true">` +
			log4jLayout + `</MemoryMappedFile>` + log4jTail},
		{name: "Logback", program: logback, config: logbackRolling(""), rolls: true},
		{name: "Logback gz", program: logback, config: logbackRolling(".gz"), rolls: true},
		{name: "Python RotatingFileHandler", program: python("sized"), rolls: true},
		{name: "Python TimedRotatingFileHandler", program: python("timed"), rolls: true, timed: true},
	} {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			l.follow(t)
		})
	}
}

// logging is a program that logs with a library.
type logging struct {
	t     *testing.T
	in    io.WriteCloser
	out   *bufio.Reader
	cmd   *exec.Cmd
	timed bool
	next  int // line
}

// start starts the program.
func (l *library) start(t *testing.T, log string) *logging {
	t.Helper()
	if l.config != "" {
		deposit(t, strings.ReplaceAll(l.config, "LOG", strings.TrimSuffix(log, ".log")), filepath.Dir(log), "conf", "config.xml")
	}
	args := l.program(log)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = filepath.Join("testdata", "loggers")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (.ci/deps installs what this test runs)", err)
	}
	g := &logging{t: t, in: in, out: bufio.NewReader(out), cmd: cmd, timed: l.timed}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) // it has ended, mostly
	return g
}

// tell gives the program something to do, and waits until it is done.
func (g *logging) tell(text string) {
	g.t.Helper()
	if _, err := io.WriteString(g.in, text+"S\n"); err != nil {
		g.t.Fatal(err)
	}
	if answer, err := g.out.ReadString('\n'); err != nil || answer != "done\n" {
		g.t.Fatalf("%v answers %q, %v", g.cmd.Args, answer, err)
	}
}

// log logs n lines.
func (g *logging) log(n int) {
	g.t.Helper()
	var text strings.Builder
	for line := range strings.Lines(string(harness.Lines("app", g.next, g.next+n))) {
		text.WriteString("L" + line)
	}
	g.next += n
	g.tell(text.String())
}

// turn rotates between lines.
func (g *logging) turn() {
	g.t.Helper()
	g.log(60)
	if g.timed {
		time.Sleep(1100 * time.Millisecond)
	}
	g.tell("R\n")
	g.log(30)
}

// end lets the program end.
func (g *logging) end() {
	g.t.Helper()
	if err := g.in.Close(); err != nil {
		g.t.Error(err)
	}
	if err := g.cmd.Wait(); err != nil {
		g.t.Errorf("%v: %v", g.cmd.Args, err)
	}
}

// follow follows the log of a library.
func (l *library) follow(t *testing.T) {
	out, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	log := filepath.Join(in, "app.log")
	c := ink.Collect(t, out)
	g := l.start(t, log)
	grow := func() {
		if l.rolls {
			g.turn()
			g.turn()
		} else {
			g.log(90)
		}
	}
	g.log(20)
	f := forward(t, c.Addr, state, "app="+log)
	c.Received(t, g.next)
	for range 3 { // it runs
		if l.rolls {
			g.turn()
		} else {
			g.log(90)
		}
		c.Received(t, g.next)
	}
	f.Signal(syscall.SIGSTOP) // it is behind
	grow()
	f.Signal(syscall.SIGCONT)
	c.Received(t, g.next)
	for _, end := range []func(){func() { f.Kill() }, func() { f.Stop(t) }} { // it is down
		end()
		grow()
		f = forward(t, c.Addr, state, "app="+log)
		c.Received(t, g.next)
	}
	g.end()
	f.Stop(t)
	forwardOnce(t, c.Addr, state, "app="+log)
	c.Stop(t)
	harness.Clean(t, out)
	harness.Audit(t, out, "app").Exactly(t, map[string]int{"app": g.next})
	auditAgrees(t, out, state)
}
