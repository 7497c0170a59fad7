// Package faultfs is the one door to the disk: a directory below which everything is opened with os.Root, so that no name that came
// from outside can lead out of it, with a seam at which a test can make any operation fail.
//
//	Dir ── OpenFile ──► File ── Write, Writev, WriteAt, Sync, Truncate
//	 └── Rename, Remove, Mkdir, Symlink, Sync …        each asks the Injector first, when there is one
//
// Errors are those of the os package (errors.Is with fs.ErrNotExist, syscall.ENOSPC … works) and name operation and file.
// Every method of Dir and File is as safe for concurrent use as the one of os.Root and os.File it stands for.
package faultfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"inkwell/internal/killpoint"
)

// Op names an operation that an Injector may fail.
type Op string

// The operations that are offered to an Injector.
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
)

// An Injector decides whether an operation fails. It must be safe for concurrent use.
type Injector interface {
	// Inject is asked before op on name (a path below the Dir). A nil error lets it pass. With an error the operation is not done,
	// but for OpWrite: then the first allow of its n bytes are written before the error is returned (a short write).
	Inject(op Op, name string, n int) (allow int, err error)
}

// Dir is a directory and everything beneath it.
type Dir struct {
	root *os.Root
	path string
	inj  Injector
	obs  Observer // inj, if it is one
}

// OpenDir opens the directory path, which is made (0750, with its parents) if it is missing; what was made is durable on return. inj may
// be nil, or an Observer.
func OpenDir(path string, inj Injector) (*Dir, error) {
	obs, _ := inj.(Observer)
	if err := makeAll(filepath.Clean(path), inj, obs); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &Dir{root: root, path: path, inj: inj, obs: obs}, nil
}

// Sub opens the directory name beneath d, which is made if it is missing; a directory that was made is durable in d on return.
func (d *Dir) Sub(name string) (*Dir, error) {
	switch err := d.change(Change{Op: OpMkdir, Name: name}, func() error { return d.root.Mkdir(name, 0o750) }); {
	case err == nil:
		if err := d.Sync(); err != nil { // the next attempt has to make it anew, and to sync it
			return nil, errors.Join(err, d.Remove(name))
		}
	case !errors.Is(err, fs.ErrExist):
		return nil, err
	}
	root, err := d.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return &Dir{root: root, path: filepath.Join(d.path, name), inj: d.inj, obs: d.obs}, nil
}

// Path is where the directory was found when it was opened, for messages.
func (d *Dir) Path() string { return d.path }

// Close releases the directory; files opened from it stay open.
func (d *Dir) Close() error { return d.root.Close() }

// OpenFile is os.OpenFile beneath d.
func (d *Dir) OpenFile(name string, flag int, perm fs.FileMode) (*File, error) {
	if d.obs != nil {
		return d.watchOpen(name, flag, perm)
	}
	return d.openFile(name, flag, perm)
}

func (d *Dir) openFile(name string, flag int, perm fs.FileMode) (*File, error) {
	if err := d.inject(OpOpen, name); err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &File{f: f, name: name, inj: d.inj, obs: d.obs}, nil
}

// Rename renames a file beneath d, replacing newName; it is durable after Sync.
func (d *Dir) Rename(oldName, newName string) error {
	return d.change(Change{Op: OpRename, Name: newName, From: oldName}, func() error { return d.root.Rename(oldName, newName) })
}

// Remove unlinks a file or an empty directory beneath d; it is durable after Sync.
func (d *Dir) Remove(name string) error {
	return d.change(Change{Op: OpRemove, Name: name}, func() error { return d.root.Remove(name) })
}

// Symlink makes name a link with the text target, replacing a link of that name.
func (d *Dir) Symlink(target, name string) error {
	tmp := "." + name + ".tmp"
	if err := d.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := d.change(Change{Op: OpSymlink, Name: tmp, From: target}, func() error { return d.root.Symlink(target, tmp) }); err != nil {
		return err
	}
	return d.Rename(tmp, name)
}

// Lstat describes name without following a link.
func (d *Dir) Lstat(name string) (fs.FileInfo, error) { return d.root.Lstat(name) }

// ReadFile reads a whole file beneath d.
func (d *Dir) ReadFile(name string) ([]byte, error) { return d.root.ReadFile(name) }

// ReadDir lists d itself in byte order of names.
func (d *Dir) ReadDir() ([]fs.DirEntry, error) { return fs.ReadDir(d.root.FS(), ".") }

// Sync makes the names in d durable.
func (d *Dir) Sync() error {
	return d.change(Change{Op: OpSyncDir, Name: "."}, func() error {
		f, err := d.root.Open(".")
		if err != nil {
			return err
		}
		err = f.Sync()
		return errors.Join(err, f.Close())
	})
}

// WriteFile replaces name by data, atomically and durably: temporary file, fsync, rename, fsync of the directory. On error the old
// content stands.
func (d *Dir) WriteFile(name string, data []byte) (err error) {
	tmp := "." + strings.TrimPrefix(name, ".") + ".tmp"
	f, err := d.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
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

// ErrLocked says that another process holds a lock.
var ErrLocked = errors.New("in use by another process")

// Lock takes the advisory lock file name for this process and keeps it until the returned file is closed. It does not wait: when
// another process holds it the error is ErrLocked. The names in d are durable on return: a process that was killed may have left some
// that are not, and whoever takes d over goes by what it sees.
func (d *Dir) Lock(name string) (*File, error) {
	f, err := d.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		cerr := f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", d.path, ErrLocked)
		}
		return nil, errors.Join(fmt.Errorf("lock %s: %w", filepath.Join(d.path, name), err), cerr)
	}
	if err := d.Sync(); err != nil {
		return nil, errors.Join(fmt.Errorf("take over %s: %w", d.path, err), f.Close())
	}
	return f, nil
}

// change does op, which changes a name in d, unless the injector fails it.
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
