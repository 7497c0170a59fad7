package status

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	diskEvery = 30 * time.Second // between two looks at a disk
	diskWait  = 5 * time.Second  // how long a look may take before the disk counts as one that does not answer
)

// Disks checks at intervals how full the file systems of some directories are. A file system that hangs, as a network
// file system can, blocks nobody: its figures keep the time at which they were read. Safe for concurrent use.
type Disks struct {
	mu   sync.Mutex
	list []*disk
}

// disk is the file system of one watched directory.
type disk struct {
	Disk
	asked time.Time // when the look in progress began; zero = none is
}

// Watch adds a directory, unless it is watched already, and checks it once. "" adds nothing.
func (d *Disks) Watch(path, use string) {
	if path == "" {
		return
	}
	d.mu.Lock()
	for _, known := range d.list {
		if known.Path == path {
			d.mu.Unlock()
			return
		}
	}
	one := &disk{Disk: Disk{Path: path, Use: use}}
	d.list = append(d.list, one)
	d.mu.Unlock()
	d.look(one, time.Now())
}

// List returns the latest figures.
func (d *Disks) List() []Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]Disk, 0, len(d.list))
	for _, one := range d.list {
		seen := one.Disk
		if late := time.Since(one.asked); !one.asked.IsZero() && late > diskWait {
			seen.Error = fmt.Sprintf("it has not answered for %v", late.Round(time.Second))
		}
		list = append(list, seen)
	}
	return list
}

// run checks the disks until ctx ends.
func (d *Disks) run(ctx context.Context) {
	tick := time.NewTicker(diskEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			d.mu.Lock()
			list := append([]*disk(nil), d.list...)
			d.mu.Unlock()
			for _, one := range list {
				d.look(one, now)
			}
		case <-ctx.Done():
			return
		}
	}
}

// statfs queries the file system of a directory or, if that does not exist yet, of its nearest existing parent.
func statfs(path string) (st unix.Statfs_t, err error) {
	for {
		err = unix.Statfs(path, &st)
		if parent := filepath.Dir(path); errors.Is(err, unix.ENOENT) && parent != path {
			path = parent
			continue
		}
		return st, err
	}
}

// look queries a disk, unless its previous query is still unanswered, and waits no longer than diskWait. A query that
// hangs keeps its goroutine until the kernel answers, but there is never more than one for each disk.
func (d *Disks) look(one *disk, now time.Time) {
	d.mu.Lock()
	unanswered := !one.asked.IsZero()
	if !unanswered {
		one.asked = now
	}
	d.mu.Unlock()
	if unanswered {
		return
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		st, err := statfs(one.Path)
		d.mu.Lock()
		defer d.mu.Unlock()
		one.asked, one.Error = time.Time{}, ""
		if err != nil {
			one.Error = err.Error()
			return
		}
		// As df counts it: blocks that are free but reserved for root are neither used nor free, and no part of the
		// size. On a file system that reserves many, the free share of all blocks would be far too small.
		one.Free = int64(st.Bavail) * st.Bsize
		one.Total = one.Free + int64(st.Blocks-st.Bfree)*st.Bsize
	}()
	timer := time.NewTimer(diskWait)
	defer timer.Stop()
	select {
	case <-answered:
	case <-timer.C:
	}
}
