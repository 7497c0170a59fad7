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

// Disks looks now and then how full the file systems of some directories are. A file system that hangs, as one of a network can, holds up
// nobody: its figures grow old, and say so. Safe for concurrent use.
type Disks struct {
	mu   sync.Mutex
	list []*disk
}

// disk is one of them.
type disk struct {
	Disk
	asked time.Time // when the look in progress began; zero = none is
}

// Watch adds a directory, unless it is watched already, and looks at it once. "" is none.
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

// List tells what was seen last.
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

// run looks until ctx ends.
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

// statfs asks for the file system of a directory, or of where it will be made.
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

// look asks a disk, unless it owes an answer, and waits no longer than diskWait. A question that hangs keeps its goroutine, one for each
// disk, until the kernel answers.
func (d *Disks) look(one *disk, now time.Time) {
	d.mu.Lock()
	owes := !one.asked.IsZero()
	if !owes {
		one.asked = now
	}
	d.mu.Unlock()
	if owes {
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
		one.Free, one.Total = int64(st.Bavail)*st.Bsize, int64(st.Blocks)*st.Bsize
	}()
	timer := time.NewTimer(diskWait)
	defer timer.Stop()
	select {
	case <-answered:
	case <-timer.C:
	}
}
