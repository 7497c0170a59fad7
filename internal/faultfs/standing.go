package faultfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Standing fails when the path does not lead to the directory any more: it was removed, moved away or replaced, or
// another file system was mounted over it.
func (d *Dir) Standing() error {
	var there unix.Stat_t
	switch err := unix.Stat(d.path, &there); {
	case err != nil:
		err = &fs.PathError{Op: "stat", Path: d.path, Err: err}
		return fmt.Errorf("the directory was removed or moved away: %w", err)
	case d.id != ID{there.Dev, there.Ino}:
		return fmt.Errorf("the directory %s was moved away, and another one is in its place", d.path)
	}
	return nil
}

// StillThere fails unless at path there is the file with that ID, with at least so many bytes. It looks from the top:
// the directory may be another one now.
func StillThere(path string, own ID, size int64) error {
	var there unix.Stat_t
	switch err := unix.Lstat(path, &there); {
	case err != nil:
		err = &fs.PathError{Op: "lstat", Path: path, Err: err}
		return fmt.Errorf("it was removed or moved away: %w", err)
	case own != ID{there.Dev, there.Ino}:
		return errors.New("another file was put in its place")
	case there.Size < size:
		return fmt.Errorf("somebody cut it: it has %d bytes, %d were written", there.Size, size)
	}
	return nil
}

// Writable fails when the file system was mounted read-only, before anybody tries to write. The directories that are
// beside each other share the answer for a moment.
func (d *Dir) Writable() error {
	key := pathID{filepath.Dir(d.path), d.id.Dev}
	now := time.Now()
	if last, known := writable.Load(key); known && now.Sub(last.(time.Time)) < writableFor {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(d.path, &st); err != nil {
		return &fs.PathError{Op: "statfs", Path: d.path, Err: err}
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		return &fs.PathError{Op: "write", Path: d.path, Err: errors.Join(unix.EROFS,
			errors.New("the file system was mounted read-only"))}
	}
	writable.Store(key, now)
	return nil
}

// writable has the times at which Writable last succeeded, by directory above and file system.
var writable sync.Map

// writableFor is how long an answer of Writable holds.
const writableFor = 200 * time.Millisecond

// Identity identifies the directory, also against one that gets the same inode number later: "inode.birth time". It
// survives renames, mounts and reboots. It is empty if the file system has no birth times.
func (d *Dir) Identity() string {
	var st unix.Statx_t
	const wanted = unix.STATX_INO | unix.STATX_BTIME
	err := d.at("statx", ".", func(fd int, _ string) error {
		return unix.Statx(fd, "", unix.AT_EMPTY_PATH, wanted, &st)
	})
	if err != nil || st.Mask&wanted != wanted {
		return ""
	}
	return fmt.Sprintf("%d.%d.%09d", st.Ino, st.Btime.Sec, st.Btime.Nsec)
}
