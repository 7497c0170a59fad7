package faultfs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Standing fails when the path does not lead to the directory any more: it was removed, moved away or replaced, or
// another file system was mounted over it.
func (d *Dir) Standing() error {
	own, err := d.root.Stat(".")
	if err != nil {
		return err
	}
	there, err := os.Stat(d.path)
	if err != nil {
		return fmt.Errorf("the directory was removed or moved away: %w", err)
	}
	if !os.SameFile(own, there) {
		return fmt.Errorf("the directory %s was moved away, and another one is in its place", d.path)
	}
	return nil
}

// Writable fails when the file system was mounted read-only, before anybody tries to write.
func (d *Dir) Writable() error {
	var st unix.Statfs_t
	if err := unix.Statfs(d.path, &st); err != nil {
		return &os.PathError{Op: "statfs", Path: d.path, Err: err}
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		return &os.PathError{Op: "write", Path: d.path, Err: errors.Join(unix.EROFS,
			errors.New("the file system was mounted read-only"))}
	}
	return nil
}

// Identity identifies the directory, also against one that gets the same inode number later: "inode.birth time". It
// survives renames, mounts and reboots. It is empty if the file system has no birth times.
func (d *Dir) Identity() string {
	f, err := d.root.Open(".")
	if err != nil {
		return ""
	}
	defer f.Close() // nothing was written
	var st unix.Statx_t
	const wanted = unix.STATX_INO | unix.STATX_BTIME
	err = unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, wanted, &st)
	if err != nil || st.Mask&wanted != wanted {
		return ""
	}
	return fmt.Sprintf("%d.%d.%09d", st.Ino, st.Btime.Sec, st.Btime.Nsec)
}
