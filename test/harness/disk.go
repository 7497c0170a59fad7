package harness

import (
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Disk is a small file system that can be made full.
type Disk struct {
	Path    string
	mounted bool
	full    atomic.Int64 // when it was full the last time, Unix nanoseconds
}

const diskSize = "size=1g" // never reached: a full disk is a smaller one

// NewDisk mounts a small file system. Without the right to do so the disk is a directory that is never full.
func NewDisk(t testing.TB, path string) *Disk {
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	d := &Disk{Path: path}
	if err := unix.Mount("inkwell-test", path, "tmpfs", 0, diskSize); err != nil {
		t.Logf("no full disk at %s: %v", path, err)
		return d
	}
	d.mounted = true
	return d
}

// LastFull returns when the disk was full the last time.
func (d *Disk) LastFull() time.Time { return time.Unix(0, d.full.Load()) }

// Fill leaves no room for a while, and reports whether it did.
func (d *Disk) Fill(t testing.TB, hold time.Duration) bool {
	if !d.mounted {
		return false
	}
	var st unix.Statfs_t
	if err := unix.Statfs(d.Path, &st); err != nil {
		t.Error(err)
		return false
	}
	used := (st.Blocks - st.Bfree) * uint64(st.Bsize)
	err := unix.Mount("", d.Path, "", unix.MS_REMOUNT, "size="+strconv.FormatUint(used+4096, 10))
	if err != nil { // it has grown meanwhile
		return false
	}
	for end := time.Now().Add(hold); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		d.full.Store(time.Now().UnixNano())
	}
	if err := unix.Mount("", d.Path, "", unix.MS_REMOUNT, diskSize); err != nil {
		t.Error(err)
	}
	d.full.Store(time.Now().UnixNano())
	return true
}

// Release unmounts the disk.
func (d *Disk) Release() {
	if d.mounted {
		_ = unix.Unmount(d.Path, unix.MNT_DETACH) // the test has nothing to do with it any more
	}
}
