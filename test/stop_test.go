package test

import (
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"inkwell/test/harness"
)

// TestStopUnderLoad stops collector and forwarder with SIGTERM while they are at work: nothing is lost, and nothing is there twice,
// because calls in progress are finished and answered.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	dir, in, state := t.TempDir(), t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir, append(bulk, "--max-size", "1MiB")...)
	l := newLogger(t, filepath.Join(in, "app.log"), "app")
	var stopped atomic.Bool
	var writer sync.WaitGroup
	writer.Go(func() {
		for !stopped.Load() {
			l.write(t, 100, true)
			time.Sleep(5 * time.Millisecond)
		}
	})
	f := forward(t, c.Addr, state, "app="+l.path)
	for range 5 {
		before := c.Counter(t, "app:received good")
		harness.Until(t, "lines arrive", func() bool { return c.Counter(t, "app:received good") > before+500 })
		f.Stop(t)
		f = forward(t, c.Addr, state, "app="+l.path)
	}
	for range 5 {
		harness.Until(t, "lines arrive", func() bool { return c.Counter(t, "app:received good") > 500 })
		c.Stop(t)
		harness.Clean(t, dir)
		c.Restart(t)
	}
	harness.Until(t, "lines arrive", func() bool { return c.Counter(t, "app:received good") > 500 })
	stopped.Store(true)
	writer.Wait()
	f.Stop(t)
	forwardOnce(t, c.Addr, state, "app="+l.path)
	c.Stop(t)
	harness.Clean(t, dir)
	harness.Audit(t, dir, "app").Exactly(t, map[string]int{"app": l.next})
}

// TestSecondSignal ends a collector at once that cannot end in order, and loses nothing that was answered OK.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	d := newDisk(t, 4)
	c := ink.Collect(t, d.at("out"), "--state", t.TempDir(), "--compress", "none")
	s, n := dialScribe(t, c.Addr), 0
	for range 100 { // some 20 MB: more than the disk of the output holds
		logLines(t, s, "cat", "src", n, n+1000)
		n += 1000
	}
	c.Signal(syscall.SIGTERM)
	select {
	case <-time.After(500 * time.Millisecond):
		c.Signal(syscall.SIGINT) // a second SIGTERM within a second would be the first
	case <-ended(c.Process):
	}
	if code := c.Wait(t); code != 130 && code != 1 && code != 0 { // without room it may give up before
		t.Errorf("ended with %d, want 130, or 0 or 1 if it gave up first\n%s", code, c.Stderr())
	}
	d.grow(t, 200)
	c.Restart(t)
	c.Stop(t)
	harness.Clean(t, d.at("out"))
	harness.Audit(t, d.at("out"), "cat").Exactly(t, map[string]int{"src": n})
}

// ended is closed when the process has ended.
func ended(p *harness.Process) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !p.Ended() {
			time.Sleep(10 * time.Millisecond)
		}
	}()
	return done
}
