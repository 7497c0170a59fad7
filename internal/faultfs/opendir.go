package faultfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrSymlink says that there is a symbolic link instead of a file or a directory.
var ErrSymlink = errors.New("a symbolic link stands there, and none is followed below a directory for data: remove it")

// ErrReplaced says that a name was given to something else while it was being opened.
var ErrReplaced = errors.New("somebody replaces it at this moment")

// ErrMisplaced says that there is something else than the expected file or directory.
var ErrMisplaced = errors.New("something else stands there than belongs there: move it away")

// IsMisplaced says whether there is something unexpected instead of one of our files or directories.
func IsMisplaced(err error) bool {
	return errors.Is(err, ErrSymlink) || errors.Is(err, ErrMisplaced) || errors.Is(err, ErrReplaced)
}

// OpenDir opens the directory path. If it is missing it is made (0750, with its parents), and is durable on return. inj
// may be nil, or also be an Observer.
func OpenDir(path string, inj Injector) (*Dir, error) {
	obs, _ := inj.(Observer)
	if err := makeAll(filepath.Clean(path), inj, obs); err != nil {
		return nil, err
	}
	h, err := openHandle(path)
	if err != nil {
		return nil, err
	}
	return &Dir{handle: h, path: path, inj: inj, obs: obs}, nil
}

// OpenBeneath opens the directory path, which is made if it is missing. If path is root or beneath it, root is opened
// by OpenDir, and each directory from there to path by Sub, so that no link is followed. Any other path, and any path
// for the root "", is opened by OpenDir.
func OpenBeneath(root, path string, inj Injector) (*Dir, error) {
	return openBeneath(root, path, inj, (*Dir).Sub)
}

// OpenLater is OpenBeneath, but the names of directories that it makes below root are durable only after Dir.Sync.
func OpenLater(root, path string, inj Injector) (*Dir, error) {
	return openBeneath(root, path, inj, (*Dir).sub)
}

func openBeneath(root, path string, inj Injector, down func(d *Dir, name string) (*Dir, error)) (*Dir, error) {
	names, ok := between(root, path)
	if !ok {
		return OpenDir(path, inj)
	}
	d, err := OpenDir(root, inj)
	if err != nil || len(names) == 0 {
		return d, err
	}
	sub, err := d.descend(names, down)
	return sub, errors.Join(err, d.Close())
}

// Beneath is OpenBeneath for a path beneath d, which stays open. The path must not be that of d.
func (d *Dir) Beneath(path string) (*Dir, error) {
	names, ok := between(d.path, path)
	if !ok || len(names) == 0 {
		return nil, &fs.PathError{Op: "open", Path: path, Err: errName}
	}
	return d.descend(names, (*Dir).Sub)
}

// descend opens the directory to which names lead.
func (d *Dir) descend(names []string, down func(d *Dir, name string) (*Dir, error)) (*Dir, error) {
	sub, err := down(d, names[0])
	if err != nil || len(names) == 1 {
		return sub, err
	}
	below, err := sub.descend(names[1:], down)
	return below, errors.Join(err, sub.Close())
}

// LookBeneath is OpenBeneath for a directory that must exist: nothing is made.
func LookBeneath(root, path string) (*Dir, error) {
	names, ok := between(root, path)
	if !ok {
		root = path
	}
	h, err := openHandle(root)
	if err != nil {
		return nil, err
	}
	d := &Dir{handle: h, path: root}
	for _, name := range names {
		sub, err := d.enter(name)
		if err = errors.Join(err, d.Close()); err != nil {
			return nil, err
		}
		d = sub
	}
	return d, nil
}

// Look opens a directory, which must exist, for reading: nothing is made.
func Look(path string) (*Dir, error) { return LookBeneath("", path) }

// between lists the names of the directories from root to path; ok is false if path is not beneath root.
func between(root, path string) (names []string, ok bool) {
	if root == "" {
		return nil, false
	}
	rel, err := filepath.Rel(root, path)
	if err != nil || !filepath.IsLocal(rel) {
		return nil, false
	}
	if rel == "." {
		return nil, true
	}
	return strings.Split(rel, string(filepath.Separator)), true
}

// ErrLocked says that another process holds a lock.
var ErrLocked = errors.New("in use by another process")

// Lock locks the advisory lock file name until the returned file is closed. It does not wait: if another process has
// the lock, the error is ErrLocked. The names in d are durable on return, because a killed process may have left names
// that are not, and the new owner of d relies on what it sees.
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

// Locked says whether another process has the advisory lock file name. To find out it takes the lock for a moment.
func (d *Dir) Locked(name string) (bool, error) {
	f, err := d.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return false, err
	}
	err = syscall.Flock(int(f.f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	cerr := f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, cerr
	}
	return false, errors.Join(err, cerr)
}
