package faultfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// handle is an open directory. Names are resolved against its descriptor, component by component, and no call of it
// follows a link or leads out of the directory. That is what os.Root does, too, but with several times as many system
// calls: collectors of thousands of categories spend their time there.
type handle struct {
	f    *os.File
	conn syscall.RawConn
	id   ID
	born unix.Timespec // when it was last changed before it was opened

	list sync.Mutex // held while the directory is read: the position in it belongs to the descriptor
}

// ID identifies a file or a directory while it is open: a number of a file system and an inode.
type ID struct{ Dev, Ino uint64 }

// errName is the error of a name that leads out of the directory, or nowhere.
var errName = errors.New("not the name of a file in a directory")

// openHandle opens the directory path. Links in it are followed.
func openHandle(path string) (*handle, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return newHandle(fd, path)
}

func newHandle(fd int, path string) (*handle, error) {
	h := &handle{f: os.NewFile(uintptr(fd), path)}
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	if err == nil {
		h.conn, err = h.f.SyscallConn()
	}
	if err != nil {
		return nil, errors.Join(&fs.PathError{Op: "stat", Path: path, Err: err}, h.f.Close())
	}
	h.id, h.born = ID{st.Dev, st.Ino}, st.Mtim
	return h, nil
}

// retry repeats a system call that a signal has interrupted.
func retry(call func() error) error {
	err := call()
	for err == unix.EINTR {
		err = call()
	}
	return err
}

// at calls do with the descriptor of the directory of an entry, and the name of the entry in it. The descriptor stays
// open meanwhile.
func (h *handle) at(op, name string, do func(fd int, name string) error) error {
	var err error
	if h.conn.Control(func(fd uintptr) { err = walk(int(fd), name, do) }) != nil {
		err = fs.ErrClosed
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: filepath.Join(h.f.Name(), name), Err: err}
	}
	return nil
}

// walk calls do with the last directory on the way to name.
func walk(fd int, name string, do func(fd int, name string) error) error {
	first, rest, more := strings.Cut(name, "/")
	if first == "" || first == ".." || more && first == "." || strings.ContainsRune(name, 0) {
		return errName
	}
	if !more {
		return retry(func() error { return do(fd, name) })
	}
	var below int
	err := retry(func() (err error) {
		below, err = unix.Openat(fd, first, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(walk(below, rest, do), unix.Close(below))
}

// openFile opens an entry. If that is a link, it fails; a directory is opened as a file.
func (h *handle) openFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	var file int
	err := h.at("open", name, func(fd int, name string) (err error) {
		file, err = unix.Openat(fd, name, flag|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(perm.Perm()))
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(file), filepath.Join(h.f.Name(), name)), nil
}

// enter opens the directory name.
func (h *handle) enter(name string) (*handle, error) {
	var sub int
	err := h.at("open", name, func(fd int, name string) (err error) {
		sub, err = unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return newHandle(sub, filepath.Join(h.f.Name(), name))
}

func (h *handle) mkdir(name string) error {
	return h.at("mkdir", name, func(fd int, name string) error { return unix.Mkdirat(fd, name, 0o750) })
}

func (h *handle) rename(oldName, newName string) error {
	return h.at("rename", oldName, func(fd int, old string) error {
		return h.at("rename", newName, func(to int, name string) error { return unix.Renameat(fd, old, to, name) })
	})
}

func (h *handle) symlink(target, name string) error {
	return h.at("symlink", name, func(fd int, name string) error { return unix.Symlinkat(target, fd, name) })
}

// remove removes a file or an empty directory.
func (h *handle) remove(name string) error {
	err := h.at("remove", name, func(fd int, name string) error { return unix.Unlinkat(fd, name, 0) })
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) {
		derr := h.at("remove", name, func(fd int,
			name string) error {
			return unix.Unlinkat(fd, name, unix.AT_REMOVEDIR)
		})
		if !errors.Is(derr, unix.ENOTDIR) {
			return derr
		}
	}
	return err
}

func (h *handle) lstat(name string) (fs.FileInfo, error) {
	i := &info{name: name}
	err := h.at("lstat", name, func(fd int, name string) error {
		return unix.Fstatat(fd, name, &i.st, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		return nil, err
	}
	return i, nil
}

// unchanged says whether no name in the directory has changed since it was opened.
func (h *handle) unchanged() bool {
	var st unix.Stat_t
	err := h.at("stat", ".", func(fd int, _ string) error { return unix.Fstat(fd, &st) })
	return err == nil && st.Mtim == h.born
}

// readDir lists the directory in byte order of the names.
func (h *handle) readDir() ([]fs.DirEntry, error) {
	h.list.Lock()
	defer h.list.Unlock()
	if _, err := h.f.Seek(0, 0); err != nil {
		return nil, err
	}
	list, err := h.f.ReadDir(-1)
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, err
}

// info describes an entry of a directory.
type info struct {
	name string
	st   unix.Stat_t
}

func (i *info) Name() string       { return i.name }
func (i *info) Size() int64        { return i.st.Size }
func (i *info) ModTime() time.Time { return time.Unix(i.st.Mtim.Unix()) }
func (i *info) IsDir() bool        { return i.Mode().IsDir() }
func (i *info) Sys() any           { return &i.st }

func (i *info) Mode() fs.FileMode {
	mode := fs.FileMode(i.st.Mode & 0o777)
	switch i.st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	case unix.S_IFIFO:
		mode |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		mode |= fs.ModeSocket
	case unix.S_IFBLK:
		mode |= fs.ModeDevice
	case unix.S_IFCHR:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	}
	return mode
}

// IDOf is the ID of a file that Dir.Lstat describes.
func IDOf(i fs.FileInfo) ID {
	if st, ok := i.Sys().(*unix.Stat_t); ok {
		return ID{st.Dev, st.Ino}
	}
	return ID{}
}
