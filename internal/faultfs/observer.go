package faultfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Change is an operation that changes the disk.
type Change struct {
	Op   Op     // OpOpen, OpWrite, OpSync, OpTruncate, OpRename, OpRemove, OpMkdir, OpSymlink or OpSyncDir
	Dir  string // path of the directory
	Name string // beneath it
	From string // OpRename: the old name, OpSymlink: the text of the link
	File *File  // OpOpen (set at the end), OpWrite, OpSync, OpTruncate
	Flag int    // OpOpen: as of os.OpenFile
	Off  int64  // OpWrite: where, OpTruncate: the new size
	Data []byte // OpWrite: what was written; valid during the call
}

// An Observer is an Injector that is also told of every change, so that it can compute what a power cut would leave
// (package crashfs).
type Observer interface {
	Injector
	// Begin is called before the injector is asked about the change, End when the change was made or has failed. In
	// between the observer may hold a lock, which puts the changes of a file or directory into an order.
	Begin(c *Change)
	End(c *Change, err error)
}

// watch carries out op, and reports it to obs, if there is one. op asks the injector itself.
func watch(obs Observer, c Change, op func() error) error {
	if obs == nil {
		return op()
	}
	return watched(obs, c, op)
}

func watched(obs Observer, c Change, op func() error) error {
	obs.Begin(&c)
	err := op()
	obs.End(&c, err)
	return err
}

// watchWrite carries out write with p, and reports it to the observer. off < 0 means the file's position.
func (f *File) watchWrite(p []byte, off int64, write func() (int, error)) (int, error) {
	c := Change{Op: OpWrite, Name: f.name, File: f, Off: off}
	f.obs.Begin(&c)
	n, err := write()
	if off < 0 {
		end, serr := f.f.Seek(0, 1)
		c.Off, err = end-int64(n), errors.Join(err, serr)
	}
	c.Data = p[:n]
	f.obs.End(&c, err)
	return n, err
}

// makeAll makes the directory path and the missing ones above it, each durable.
func makeAll(path string, inj Injector, obs Observer) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	above, name := filepath.Split(filepath.Clean(path))
	above = filepath.Clean(above)
	if name == "" || above == path {
		return os.MkdirAll(path, 0o750)
	}
	if err := makeAll(above, inj, obs); err != nil {
		return err
	}
	err := watch(obs, Change{Op: OpMkdir, Dir: above, Name: name}, func() error {
		if err := inject(inj, OpMkdir, name); err != nil {
			return err
		}
		switch err := os.Mkdir(path, 0o750); {
		case errors.Is(err, fs.ErrExist): // another process was faster, or path is not a directory
			return os.MkdirAll(path, 0o750)
		case err != nil:
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := syncAbove(above, inj, obs); err != nil { // the next attempt has to make and sync it again
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// syncAbove makes the names in the directory above durable. A directory that may be written but not read cannot be
// synced; that is no error.
func syncAbove(above string, inj Injector, obs Observer) error {
	return watch(obs, Change{Op: OpSyncDir, Dir: above, Name: "."}, func() error {
		if err := inject(inj, OpSyncDir, "."); err != nil {
			return err
		}
		f, err := os.Open(above)
		if errors.Is(err, fs.ErrPermission) {
			return nil
		}
		if err != nil {
			return err
		}
		err = f.Sync()
		return errors.Join(err, f.Close())
	})
}

// watchOpen is openNamed, reported to the observer.
func (d *Dir) watchOpen(name string, flag int, perm fs.FileMode) (*File, error) {
	c := Change{Op: OpOpen, Dir: d.path, Name: name, Flag: flag}
	d.obs.Begin(&c)
	f, err := d.openNamed(name, flag, perm)
	c.File = f
	d.obs.End(&c, err)
	return f, err
}
