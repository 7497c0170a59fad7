package journal

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store"
)

// noCopy is a disk on which a checkpoint can be written but, for a while, not its copy.
type noCopy struct {
	on       atomic.Bool
	attempts atomic.Int64 // to write the copy
}

func (n *noCopy) Inject(op faultfs.Op, name string, size int) (int, error) {
	if n.on.Load() && op == faultfs.OpWrite && strings.Contains(name, checkpointName+".copy") {
		n.attempts.Add(1)
		return 0, syscall.ENOSPC
	}
	return size, nil
}

// TestNoStoreIsOpenedBehindTheCheckpointOnDisk breaks a store while it is unknown whether the last checkpoint was
// saved. The store must not be truncated below the states that the next process may find.
func TestNoStoreIsOpenedBehindTheCheckpointOnDisk(t *testing.T) {
	dir, disk := t.TempDir(), new(noCopy)
	j, err := Open(Options{StateDir: dir, Injector: disk,
		Tuning: Tuning{SaveEvery: 20 * time.Millisecond, Retry: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	onDisk := func() (mark string) {
		var c checkpoint
		data, err := os.ReadFile(filepath.Join(dir, checkpointName))
		if err == nil {
			err = json.NewDecoder(strings.NewReader(string(data))).Decode(&c)
		}
		if err != nil {
			return ""
		}
		return string(c.Outlets["a\x00file a"].Files["a"])
	}
	var breaks atomic.Bool
	var opens atomic.Int64
	s, w := newShelf(), &writer{next: make(map[string]int), acked: make(map[string]int)}
	l := &life{j: j, shelf: s}
	var a *Outlet
	j.Start(routes(func() {
		a = j.NewOutlet(OutletOptions{Name: "a", Category: "a", Store: "file a", Target: 1, Interval: time.Millisecond,
			Check: time.Second,
			Open: func(saved store.States) (store.Store, error) {
				if found := onDisk(); found != string(saved["a"]) {
					t.Errorf("opened at %q, on disk is %q", saved["a"], found)
				}
				opens.Add(1)
				return s.open("a", saved, func(op string) error {
					if op == "append" && breaks.CompareAndSwap(true, false) {
						return store.ErrBroken
					}
					return nil
				})
			}})
	}, func([]byte) []*Outlet { return []*Outlet{a} }))
	w.write(t, l, "a", 3)
	until(t, "a checkpoint", func() bool { return string(l.saved().Outlets["a\x00file a"].Files["a"]) == "12" })

	disk.on.Store(true)
	w.write(t, l, "a", 3)
	until(t, "half a checkpoint", func() bool { return onDisk() == "24" })
	breaks.Store(true)
	w.write(t, l, "a", 3)
	until(t, "the store to break", func() bool { return !breaks.Load() })
	then := disk.attempts.Load()
	until(t, "more attempts to save a checkpoint",
		func() bool { return disk.attempts.Load() > then+2 || opens.Load() > 1 })
	disk.on.Store(false)
	until(t, "the store to be opened again", func() bool { return opens.Load() > 1 })
	l.end(t)
	check(t, s, w)
}
