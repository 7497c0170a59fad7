package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
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
	if err := l.reopen(); err != nil {
		t.Fatal(err)
	}
	log.Info("third")
	if err := l.reopen(); err != nil {
		t.Fatal(err)
	}
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
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), "opened anew") {
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
	if err := a.log.reopen(); err != nil {
		t.Error(err)
	}
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
