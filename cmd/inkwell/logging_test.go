package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"inkwell/forwarder"
)

func TestLogFileIsOpenedAnewAfterARename(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := &logging{path: path}
	var fallback bytes.Buffer
	log, err := l.open(&fallback)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("first")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	log.Info("second")
	l.reopen(log)
	log.Info("third")
	old, err1 := os.ReadFile(path + ".1")
	now, err2 := os.ReadFile(path)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(old), "msg=second") || strings.Contains(string(old), "third") || !strings.Contains(string(now), "msg=third") || fallback.Len() > 0 {
		t.Errorf("before: %s\nafter: %s\nstandard error: %s", old, now, fallback.String())
	}
}

func TestLogLevel(t *testing.T) {
	var b bytes.Buffer
	log, err := (&logging{level: slog.LevelWarn}).open(&b)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("quiet")
	log.Warn("loud")
	if strings.Contains(b.String(), "quiet") || !strings.Contains(b.String(), "msg=loud") {
		t.Errorf("%s", b.String())
	}
}

func TestLogFormat(t *testing.T) {
	var b bytes.Buffer
	log, err := (&logging{format: jsonLog}).open(&b)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("hello", "lines", 3)
	var line struct {
		Time  time.Time
		Level string
		Msg   string
		Lines int
	}
	if err := json.Unmarshal(b.Bytes(), &line); err != nil {
		t.Fatalf("%v in %s", err, b.String())
	}
	if line.Msg != "hello" || line.Lines != 3 || line.Level != "INFO" || line.Time.IsZero() {
		t.Errorf("%+v of %s", line, b.String())
	}
	if _, err := parseLogFormat("xml"); err == nil {
		t.Error("xml is taken for a format")
	}
}

// TestLogOfSeveralErrors finds them in one line, without the \n of errors.Join.
func TestLogOfSeveralErrors(t *testing.T) {
	for format, want := range map[logFormat]string{textLog: `error="one; two"`, jsonLog: `"error":"one; two"`} {
		var b bytes.Buffer
		log, err := (&logging{format: format}).open(&b)
		if err != nil {
			t.Fatal(err)
		}
		log.Error("trouble", "error", errors.Join(errors.New("one"), errors.New("two")))
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s: %s", format, b.String())
		}
	}
}

// TestDressOfALine adds priorities for the journal and colours for a terminal, and nothing for a file.
func TestDressOfALine(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	var st syscall.Stat_t
	if err := syscall.Fstat(int(write.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	stream := fmt.Sprintf("%d:%d", st.Dev, st.Ino)
	for _, c := range []struct {
		name, env string
		terminal  bool
		want      string
	}{
		{"journal", "JOURNAL_STREAM=" + stream, false, "<3>level=ERROR msg=bad a=1\n<6>level=INFO msg=good a=1\n<3>x\n<3>y\n"},
		{"another journal", "JOURNAL_STREAM=1" + stream, false, "level=ERROR msg=bad a=1\nlevel=INFO msg=good a=1\nx\ny\n"},
		{"terminal", "TERM=xterm", true, "\x1b[31mlevel=ERROR msg=bad a=1\x1b[0m\nlevel=INFO msg=good a=1\n\x1b[31mx\x1b[0m\n\x1b[31my\x1b[0m\n"},
		{"no colour", "NO_COLOR=1", true, "level=ERROR msg=bad a=1\nlevel=INFO msg=good a=1\nx\ny\n"},
		{"dumb", "TERM=dumb", true, "level=ERROR msg=bad a=1\nlevel=INFO msg=good a=1\nx\ny\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			name, value, _ := strings.Cut(c.env, "=")
			lookup := func(n string) (string, bool) { return value, n == name }
			var out bytes.Buffer
			a := &app{screen: newScreen(&out, func() int { return 0 }), log: logging{dress: dressFor(write, c.terminal, lookup)}}
			log, err := a.log.open(&out)
			if err != nil {
				t.Fatal(err)
			}
			log = log.With("a", 1)
			log.Error("bad")
			log.Info("good")
			a.complain(slog.LevelError, "x\ny\n")
			if got := regexp.MustCompile(`time=\S+ `).ReplaceAllString(out.String(), ""); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestSignals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	a := &app{log: logging{path: path}}
	log, err := a.log.open(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := a.untilSignal(t.Context(), log, func() {})
	kill := func(s syscall.Signal) {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
	}
	log.Info("before")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	kill(syscall.SIGHUP)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), "log file reopened") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("SIGHUP did not open the log file anew")
		}
	}
	if ctx.Err() != nil {
		t.Error("SIGHUP ended the work")
	}
	kill(syscall.SIGTERM)
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Second):
		t.Error("SIGTERM did not end the work")
	}
	stop()
}

// failing is a standard output whose reader is gone.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestReaderGone(t *testing.T) {
	a := &app{stdout: failing{}}
	if _, err := a.output().Write([]byte("x")); !errors.Is(err, errReaderGone) {
		t.Errorf("error %v", err)
	}
}

func TestCountsLine(t *testing.T) {
	c := forwarder.Counts{Read: 5, Delivered: 3, Spooled: 2}
	if got, want := countsLine(c), "inkwell pipe: read 5, delivered 3, spooled 2, dropped 0"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
