package forwarder

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// identity is the device and inode of a file. They stay when it is renamed, but are reused once it is deleted: see
// fingerprint.
type identity struct{ dev, ino uint64 }

// stat is the result of stat(2). Only those of paths have born, and devices that can be compared: see statPath.
type stat struct {
	id      identity
	size    int64
	mtime   time.Time
	changed time.Time // ctime: written, renamed, linked, or chmod
	born    time.Time // birth time; zero where the file system has none
	regular bool
	gone    bool // it has no name any more: link count 0
}

func newStat(st *unix.Stat_t) stat {
	return stat{
		id:      identity{uint64(st.Dev), st.Ino},
		size:    st.Size,
		mtime:   time.Unix(st.Mtim.Unix()),
		changed: time.Unix(st.Ctim.Unix()),
		regular: st.Mode&unix.S_IFMT == unix.S_IFREG,
		gone:    st.Nlink == 0,
	}
}

// same says whether nothing was done to the file between two scans.
func (l stat) same(o stat) bool {
	return l.id == o.id && l.size == o.size && l.mtime.Equal(o.mtime) && l.changed.Equal(o.changed)
}

// statPath looks at what path names, with links followed.
func statPath(path string) (stat, error) { return statAt(path, 0) }

// lstatPath looks at path itself, which may be a link.
func lstatPath(path string) (stat, error) { return statAt(path, unix.AT_SYMLINK_NOFOLLOW) }

func statAt(path string, flags int) (stat, error) {
	l, err := statx(unix.AT_FDCWD, path, flags)
	if err != nil {
		return stat{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return l, nil
}

func statx(fd int, path string, flags int) (stat, error) {
	var st unix.Statx_t
	err := retry(func() error { return unix.Statx(fd, path, flags, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &st) })
	if err != nil {
		return stat{}, err
	}
	l := stat{
		id:      identity{unix.Mkdev(st.Dev_major, st.Dev_minor), st.Ino},
		size:    int64(st.Size),
		mtime:   time.Unix(st.Mtime.Sec, int64(st.Mtime.Nsec)),
		changed: time.Unix(st.Ctime.Sec, int64(st.Ctime.Nsec)),
		regular: st.Mode&unix.S_IFMT == unix.S_IFREG,
		gone:    st.Nlink == 0,
	}
	if st.Mask&unix.STATX_BTIME != 0 {
		l.born = time.Unix(st.Btime.Sec, int64(st.Btime.Nsec))
	}
	return l, nil
}

func statFile(fd int) (stat, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	for err == unix.EINTR {
		err = unix.Fstat(fd, &st)
	}
	if err != nil {
		return stat{}, os.NewSyscallError("fstat", err)
	}
	return newStat(&st), nil
}

// openFile opens a regular file for reading, and never anything else: opening a FIFO or a device has side effects. It
// returns a bare descriptor instead of an os.File, because that is cheap enough for thousands of followed files: a look
// or a read is one system call.
func openFile(path string) (fd int, l stat, err error) {
	if l, err = statPath(path); err != nil {
		return -1, stat{}, err
	}
	if !l.regular {
		return -1, stat{}, &fs.PathError{Op: "open", Path: path, Err: errNotRegular}
	}
	err = retry(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
		return err
	})
	if err != nil {
		return -1, stat{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	if l, err = statx(fd, "", unix.AT_EMPTY_PATH); err == nil && !l.regular {
		err = errNotRegular
	}
	if err != nil {
		return -1, stat{}, errors.Join(&fs.PathError{Op: "open", Path: path, Err: err}, unix.Close(fd))
	}
	return fd, l, nil
}

var errNotRegular = errors.New("not a regular file")

// readAt fills p from offset off. Fewer bytes without an error mean that the file ends there.
func readAt(fd int, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pread(fd, p[done:], off+int64(done))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return done, os.NewSyscallError("read", err)
		case n == 0:
			return done, nil
		default:
			done += n
		}
	}
	return done, nil
}

func retry(f func() error) error {
	err := f()
	for err == unix.EINTR {
		err = f()
	}
	return err
}

// errMoved says that a name was given to another file while it was being opened.
var errMoved = errors.New("was replaced while it was opened")

func joinClose(err error, fd int) error { return errors.Join(err, unix.Close(fd)) }

func closeQuietly(fd int) { _ = unix.Close(fd) } // nothing was written to it
