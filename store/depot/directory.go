package depot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"inkwell/internal/faultfs"
)

// directory is a depot in a local directory. The directory must exist: if it were created in place of a volume that is
// not mounted, the files would fill the disk below it.
type directory struct {
	path string
	inj  faultfs.Injector
}

func openDirectory(path string, inj faultfs.Injector) (*directory, error) {
	if !filepath.IsAbs(path) {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		path = abs
	}
	return &directory{path: path, inj: inj}, nil
}

// Put implements Depot. It writes a hidden file next to the final name and renames it. A hidden file that a killed
// process left is written again.
func (d *directory) Put(ctx context.Context, name string, data *io.SectionReader) error {
	if done, err := d.hasSame(ctx, name, data); done || err != nil {
		return err
	}
	return d.within(name, func(dir *faultfs.Dir) error {
		base := path.Base(name)
		staged := "." + base + ".tmp"
		if err := stage(ctx, dir, staged, data); err != nil {
			return fmt.Errorf("stage %s in %s: %w", name, d.path, err)
		}
		if err := dir.Rename(staged, base); err != nil {
			return fmt.Errorf("publish %s in %s: %w", name, d.path, err)
		}
		return dir.Sync()
	})
}

// within calls do with the directory of name.
func (d *directory) within(name string, do func(dir *faultfs.Dir) error) (err error) {
	root, err := d.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	dir, err := descend(root, path.Dir(name))
	if err != nil {
		return fmt.Errorf("open the directory of %s in %s: %w", name, d.path, err)
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	return do(dir)
}

// open opens the root of the depot.
func (d *directory) open() (*faultfs.Dir, error) {
	if _, err := os.Stat(d.path); err != nil {
		return nil, fmt.Errorf("open the depot %s (is its volume mounted? it is not made by itself): %w", d.path, err)
	}
	return faultfs.OpenDir(d.path, d.inj)
}

// hasSame reports whether name exists with this content; other content is an error.
func (d *directory) hasSame(ctx context.Context, name string, data *io.SectionReader) (bool, error) {
	switch info, err := os.Lstat(filepath.Join(d.path, name)); {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !info.Mode().IsRegular():
		return false, taken(d.path, name)
	}
	if done, err := same(ctx, d, name, data); !done || err != nil {
		return false, err
	}
	return true, d.syncDir(name) // the process that renamed it may have been killed before its sync
}

// syncDir makes the name of an object durable.
func (d *directory) syncDir(name string) (err error) {
	root, err := d.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	dir, err := descend(root, path.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// stage writes the hidden file durably.
func stage(ctx context.Context, dir *faultfs.Dir, staged string, data *io.SectionReader) error {
	if err := dir.Remove(staged); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := dir.OpenFile(staged, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, reading(ctx, data))
	if err == nil {
		err = f.Sync()
	}
	f.DropCache()
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, dir.Remove(staged))
	}
	return nil
}

// descend opens a directory below root, creating missing parts of the path.
func descend(root *faultfs.Dir, below string) (*faultfs.Dir, error) {
	dir := root
	for part := range strings.SplitSeq(below, "/") {
		sub, err := dir.Sub(part)
		if dir != root {
			err = errors.Join(err, dir.Close())
		}
		if err != nil {
			return nil, err
		}
		dir = sub
	}
	return dir, nil
}

// Open implements Depot.
func (d *directory) Open(_ context.Context, name string, r Range) (io.ReadCloser, error) {
	f, err := os.Open(filepath.Join(d.path, filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(r.From, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return part{io.Reader(f), f, r.Length}.limited(), nil
}

// List implements Depot.
func (d *directory) List(ctx context.Context, dir string, each func(Object) error) error {
	root := filepath.Join(d.path, filepath.FromSlash(dir))
	if _, err := os.Stat(root); dir != "" && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // renamed meanwhile
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(d.path, p)
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		return each(Object{Name: filepath.ToSlash(name), Size: info.Size(), Modified: info.ModTime()})
	})
}

// Remove implements Remover.
func (d *directory) Remove(_ context.Context, name string) error {
	return d.within(name, func(dir *faultfs.Dir) error {
		if err := dir.Remove(path.Base(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove %s in %s: %w", name, d.path, err)
		}
		return nil
	})
}

// Close implements Depot.
func (d *directory) Close() error { return nil }
