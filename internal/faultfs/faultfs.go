// Package faultfs is the only way to the disk: a directory below which everything is opened by its name in that
// directory, so that no name that comes from outside can lead out of it. A test can make any operation fail.
//
//	Dir ── OpenFile ──► File ── Write, Writev, WriteAt, Sync, Truncate
//	 └── Rename, Remove, Mkdir, Symlink, Sync …        each asks the Injector first, if there is one
//
// Names are names of directory entries, without a slash, but for those of finished files in a partition beneath their
// directory. No symbolic link is followed, not even to another place in the directory: a link to another category's
// directory is wrong, too. Only regular files are opened, so that a planted FIFO cannot block a daemon. The path of the
// directory itself comes from the operator: links in it are followed.
//
// Errors are those of the os package (errors.Is with fs.ErrNotExist, syscall.ENOSPC and so on works) and name the
// operation and the file. Every method of Dir and File may be called concurrently, also with Close, except that reads
// and writes at a file's position are as safe as those of os.File.
package faultfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"inkwell/internal/killpoint"
)

// Op names an operation that an Injector may fail.
type Op string

// The operations that an Injector is asked about.
const (
	OpOpen     Op = "open"
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpSync     Op = "sync"
	OpTruncate Op = "truncate"
	OpRename   Op = "rename"
	OpRemove   Op = "remove"
	OpMkdir    Op = "mkdir"
	OpSymlink  Op = "symlink"
	OpSyncDir  Op = "syncdir"
	OpSyncAll  Op = "syncfs"
)

// An Injector decides whether an operation fails. It must be safe for concurrent use.
type Injector interface {
	// Inject is asked before op on name (a path below the Dir). A nil error lets it proceed. With an error the
	// operation is not carried out, with one exception: of an OpWrite, the first allow of its n bytes are written
	// before the error is returned (a short write).
	Inject(op Op, name string, n int) (allow int, err error)
}

// Dir is a directory and everything beneath it.
type Dir struct {
	*handle
	path string
	inj  Injector
	obs  Observer // inj, if it is one
	made bool     // it was made when it was opened

	mu    sync.Mutex
	loose []pathID // this directory and those above it whose names may not be durable yet: see OpenLater
}

// pathID is a path with a number, which differs if another directory has taken the place of the one at the path.
type pathID struct {
	path   string
	number uint64 // of the inode or of the file system
}

// settled has the directories whose names this process has made durable.
var settled sync.Map

// Sub opens the directory name beneath d. If it is missing it is made, and its name is durable on return. A symbolic
// link is refused (ErrSymlink).
func (d *Dir) Sub(name string) (*Dir, error) {
	sub, err := d.sub(name)
	if err != nil {
		return nil, err
	}
	if err := sub.settle(); err != nil { // the next attempt syncs it again
		return nil, errors.Join(err, sub.Close())
	}
	return sub, nil
}

// sub opens the directory name beneath d, which is made if it is missing. Its name is durable after its Sync, even if
// it existed before: the process that made it may have been killed before it synced the name.
func (d *Dir) sub(name string) (*Dir, error) {
	sub, err := d.enter(name)
	made := fs.ErrExist
	if errors.Is(err, fs.ErrNotExist) {
		made = d.change(Change{Op: OpMkdir, Name: name}, func() error { return d.mkdir(name) })
		if made != nil && !errors.Is(made, fs.ErrExist) {
			return nil, made
		}
		sub, err = d.enter(name)
	}
	if err != nil {
		return nil, err
	}
	own := pathID{sub.path, sub.id.Ino}
	if sub.made = made == nil; sub.made { // a deleted directory may have had the same inode
		settled.Delete(own)
	}
	sub.loose = slices.Clip(d.loose)
	if _, known := settled.Load(own); !known {
		sub.loose = append(sub.loose, own)
	}
	return sub, nil
}

// Settled says whether the names of d and of the directories above it are durable.
func (d *Dir) Settled() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.loose) == 0
}

// settle makes those names durable that may not be.
func (d *Dir) settle() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ; len(d.loose) > 0; d.loose = d.loose[1:] {
		if err := syncAbove(filepath.Dir(d.loose[0].path), d.inj, d.obs); err != nil {
			return err
		}
		settled.Store(d.loose[0], true)
	}
	return nil
}

// enter opens the directory name beneath d, which must exist.
func (d *Dir) enter(name string) (*Dir, error) {
	h, err := d.handle.enter(name)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		if found, lerr := d.Lstat(name); lerr == nil {
			return nil, d.odd("open", name, found)
		}
	}
	if err != nil {
		return nil, err
	}
	return &Dir{handle: h, path: filepath.Join(d.path, name), inj: d.inj, obs: d.obs}, nil
}

// Path is the path by which the directory was opened, for messages.
func (d *Dir) Path() string { return d.path }

// Close releases the directory; files opened from it stay open.
func (d *Dir) Close() error { return d.f.Close() }

// OpenFile is os.OpenFile beneath d, for regular files only: a symbolic link is refused (ErrSymlink).
func (d *Dir) OpenFile(name string, flag int, perm fs.FileMode) (*File, error) {
	if d.obs != nil {
		return d.watchOpen(name, flag, perm)
	}
	return d.openNamed(name, flag, perm)
}

func (d *Dir) openNamed(name string, flag int, perm fs.FileMode) (*File, error) {
	if err := d.inject(OpOpen, name); err != nil {
		return nil, err
	}
	f, id, err := d.open(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &File{f: f, name: name, id: id, inj: d.inj, obs: d.obs}, nil
}

func (d *Dir) open(name string, flag int, perm fs.FileMode) (*os.File, ID, error) {
	var found fs.FileInfo
	if flag&os.O_EXCL == 0 { // with O_EXCL there must be nothing
		var err error
		found, err = d.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			found = nil
		case err != nil:
			return nil, ID{}, err
		case !found.Mode().IsRegular():
			return nil, ID{}, d.odd("open", name, found)
		}
	}
	f, err := d.openFile(name, flag, perm)
	if err != nil {
		return nil, ID{}, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(int(f.Fd()), &st); err == nil && found != nil && IDOf(found) != (ID{st.Dev, st.Ino}) {
		err = ErrReplaced
	}
	if err != nil {
		err = &fs.PathError{Op: "open", Path: filepath.Join(d.path, name), Err: err}
		return nil, ID{}, errors.Join(err, f.Close())
	}
	return f, ID{st.Dev, st.Ino}, nil
}

// odd returns the error for something unexpected under a name.
func (d *Dir) odd(op, name string, found fs.FileInfo) error {
	err := ErrMisplaced
	if found.Mode()&fs.ModeSymlink != 0 {
		err = ErrSymlink
	}
	return &fs.PathError{Op: op, Path: filepath.Join(d.path, name), Err: err}
}

// Rename renames a file beneath d, replacing newName; it is durable after Sync.
func (d *Dir) Rename(oldName, newName string) error {
	return d.change(Change{Op: OpRename, Name: newName, From: oldName},
		func() error { return d.rename(oldName, newName) })
}

// Move renames a file of d to newName in the directory to, which is beneath d, replacing newName; it is durable after
// the Sync of both directories.
func (d *Dir) Move(oldName string, to *Dir, newName string) error {
	below, err := filepath.Rel(d.path, to.path)
	if err != nil {
		return err
	}
	return d.Rename(oldName, filepath.Join(below, newName))
}

// Below opens a directory beneath d by its path with slashes. It must exist, and no link is followed.
func (d *Dir) Below(path string) (*Dir, error) {
	dir := d
	for name := range strings.SplitSeq(path, "/") {
		above := dir
		sub, err := above.enter(name)
		if above != d {
			err = errors.Join(err, above.Close())
		}
		if err != nil {
			return nil, err
		}
		dir = sub
	}
	return dir, nil
}

// Remove unlinks a file or an empty directory beneath d; it is durable after Sync.
func (d *Dir) Remove(name string) error {
	return d.change(Change{Op: OpRemove, Name: name}, func() error { return d.remove(name) })
}

// Symlink makes name a link with the text target, replacing a link of that name.
func (d *Dir) Symlink(target, name string) error {
	link := func(name string) error {
		return d.change(Change{Op: OpSymlink, Name: name, From: target},
			func() error { return d.symlink(target, name) })
	}
	if err := link(name); !errors.Is(err, fs.ErrExist) {
		return err
	}
	tmp := "." + name + ".tmp"
	if err := d.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := link(tmp); err != nil {
		return err
	}
	return d.Rename(tmp, name)
}

// Lstat describes name without following a link.
func (d *Dir) Lstat(name string) (fs.FileInfo, error) { return d.lstat(name) }

// ReadFile reads a whole file beneath d.
func (d *Dir) ReadFile(name string) (data []byte, err error) {
	f, _, err := d.open(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	data, err = io.ReadAll(f)
	return data, errors.Join(err, f.Close())
}

// Empty says that nothing is in d, because this process made it and nothing was made in it since; false says nothing.
// It costs a fraction of ReadDir. The time of the last change tells, so that on Linux before 6.13 what others put there
// within milliseconds of its making is overlooked.
func (d *Dir) Empty() bool { return d.made && d.unchanged() }

// ReadDir lists d in byte order of the names.
func (d *Dir) ReadDir() ([]fs.DirEntry, error) { return d.readDir() }

// Sync makes the names in d durable, and those of the directories that OpenLater has made.
func (d *Dir) Sync() error {
	if err := d.settle(); err != nil {
		return err
	}
	return d.change(Change{Op: OpSyncDir, Name: "."}, d.f.Sync)
}

// WriteFile replaces name by data, atomically and durably: temporary file, fsync, rename, fsync of the directory. After
// an error the old content is still there.
func (d *Dir) WriteFile(name string, data []byte) (err error) {
	if err := d.Sweep(name); err != nil {
		return err
	}
	tmp := temporary(name)
	f, err := d.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		killpoint.Reach("replace.written")
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, d.Remove(tmp))
	}
	killpoint.Reach("replace.synced")
	if err := d.Rename(tmp, name); err != nil {
		return err
	}
	killpoint.Reach("replace.renamed")
	return d.Sync()
}

// Sweep removes what a process has left that was killed while it replaced name by WriteFile. Nobody reads it.
func (d *Dir) Sweep(name string) error {
	if err := d.remove(temporary(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// temporary is the name under which a file is written before it is renamed to name.
func temporary(name string) string { return "." + strings.TrimPrefix(name, ".") + ".tmp" }

// FreeName returns the first of NAME+suffix, NAME.2+suffix, … that does not exist, so that what is set aside replaces
// nothing.
func (d *Dir) FreeName(name, suffix string) (string, error) {
	free := name + suffix
	for n := 2; ; n++ {
		if _, err := d.Lstat(free); errors.Is(err, fs.ErrNotExist) {
			return free, nil
		} else if err != nil {
			return "", err
		}
		free = fmt.Sprintf("%s.%d%s", name, n, suffix)
	}
}

// change carries out op, which changes a name in d, unless the injector makes it fail.
func (d *Dir) change(c Change, op func() error) error {
	c.Dir = d.path
	return watch(d.obs, c, func() error {
		if err := d.inject(c.Op, c.Name); err != nil {
			return err
		}
		return op()
	})
}

func (d *Dir) inject(op Op, name string) error { return inject(d.inj, op, name) }

func inject(inj Injector, op Op, name string) error {
	if inj == nil {
		return nil
	}
	if _, err := inj.Inject(op, name, 0); err != nil {
		return &fs.PathError{Op: string(op), Path: name, Err: err}
	}
	return nil
}
