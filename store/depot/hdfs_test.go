package depot

import (
	"errors"
	"io"
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
	attempts := 0
	began = time.Now()
	for ; attempts < 100; attempts++ {
		if err = d.Put(t.Context(), "large", io.NewSectionReader(killed, 0, int64(len(large)))); err == nil {
			break
		}
		if attempts == 0 {
			t.Logf("a DataNode was killed: %v", err)
		}
		time.Sleep(200 * time.Millisecond)
	}
	must(t, err)
	t.Logf("it is there after %d further attempts and %v", attempts, time.Since(began).Round(time.Millisecond))
	if got := read(t, d, "large", Whole); got != large {
		t.Errorf("%d bytes came back", len(got))
	}
	if err := d.Put(t.Context(), "large", section("x"+large[1:])); !errors.Is(err, ErrTaken) {
		t.Errorf("it was replaced: %v", err)
	}
	if left := names(t, d, "_inkwell/stage"); len(left) > 0 {
		t.Errorf("staged files are left: %q", left)
	}
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
