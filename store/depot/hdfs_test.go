package depot

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"inkwell/test/harness"
)

// disturbed calls a function when half of its bytes were read.
type disturbed struct {
	io.ReaderAt
	half int64
	once sync.Once
	do   func()
}

func (d *disturbed) ReadAt(p []byte, off int64) (int, error) {
	if off >= d.half {
		d.once.Do(d.do)
	}
	return d.ReaderAt.ReadAt(p, off)
}

// TestHDFS runs a NameNode and two DataNodes. One DataNode is killed while a file is written, and then the NameNode.
func TestHDFS(t *testing.T) {
	h, ok := harness.NewHDFS(t, 2)
	if !ok {
		return
	}
	d, err := Open("hdfs://"+h.Addr+"/logs/prod?user=inkwell", Options{})
	must(t, err)
	defer func() { must(t, d.Close()) }()
	t.Run("contract", func(t *testing.T) { contract(t, d) })

	large := noise(48 << 20)
	began := time.Now()
	must(t, d.Put(t.Context(), "speed", section(large)))
	t.Logf("48 MiB in %v", time.Since(began).Round(time.Millisecond))

	killed := &disturbed{ReaderAt: strings.NewReader(large), half: 24 << 20, do: func() { h.KillData(0) }}
	began = time.Now()
	must(t, d.Put(t.Context(), "large", io.NewSectionReader(killed, 0, int64(len(large)))))
	t.Logf("it is there %v after its DataNode was killed", time.Since(began).Round(time.Millisecond))
	if got := read(t, d, "large", Whole); got != large {
		t.Errorf("%d bytes came back", len(got))
	}
	if err := d.Put(t.Context(), "large", section("x"+large[1:])); !errors.Is(err, ErrTaken) {
		t.Errorf("it was replaced: %v", err)
	}
	mover := d.(Mover)
	must(t, mover.Move(t.Context(), "large", "moved/dt=2026-11-30/large"))
	if err := mover.Move(t.Context(), "speed", "moved/dt=2026-11-30/large"); !errors.Is(err, ErrTaken) {
		t.Errorf("it was replaced: %v", err)
	}
	if err := mover.Move(t.Context(), "large", "again"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something that is gone was moved: %v", err)
	}
	if got := read(t, d, "moved/dt=2026-11-30/large", Whole); got != large {
		t.Errorf("%d bytes came back", len(got))
	}
	if left := names(t, d, "_inkwell/stage"); len(left) > 0 {
		t.Errorf("staged files are left: %q", left)
	}
	began = time.Now()
	silentNameNode(t, h)
	t.Logf("a NameNode that is silent was left, and came back, in %v", time.Since(began).Round(time.Millisecond))
	h.KillName()
	if err := d.Put(t.Context(), "again", section("x")); err == nil {
		t.Error("a NameNode that is away took a file")
	} else {
		t.Logf("the NameNode was killed: %v", err)
	}
	h.BeginName(t)
	h.Operational(t)
	for range 100 {
		if err = d.Put(t.Context(), "again", section("x")); err == nil {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	must(t, err)
}

// silentNameNode has a NameNode take requests and answer nothing, as one that collects garbage or was cut off. The
// operation ends with its context, and the next one has a connection of its own.
func silentNameNode(t *testing.T, h *harness.HDFS) {
	t.Helper()
	link := harness.NewProxy(t, h.Addr)
	d, err := Open("hdfs://"+link.Addr+"/logs/silent?user=inkwell", Options{})
	must(t, err)
	must(t, d.Put(t.Context(), "before", section("x")))
	link.Cut() // as a NameNode does with connections that are idle
	must(t, d.Put(t.Context(), "after", section("x")))
	began, cause := make(chan struct{}), errors.New("the partition is lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	swallowed := &disturbed{ReaderAt: strings.NewReader("x"), do: func() { link.Set(harness.Swallow); close(began) }}
	ended := make(chan error, 1)
	go func() { ended <- d.Put(ctx, "during", io.NewSectionReader(swallowed, 0, 1)) }()
	<-began
	cancel(cause)
	select {
	case err := <-ended:
		if err == nil {
			t.Error("it was put without an answer of the NameNode")
		}
	case <-time.After(silence):
		t.Error("it does not end with its context")
	}
	link.Set(harness.Pass)
	must(t, d.Put(t.Context(), "during", section("x")))
}
