package faultfs

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// File is an open file beneath a Dir.
type File struct {
	f    *os.File
	name string
	id   ID
	inj  Injector
	obs  Observer // inj, if it is one
}

// Name is the file's name beneath its Dir, as it was opened.
func (f *File) Name() string { return f.name }

// ID identifies the file.
func (f *File) ID() ID { return f.id }

// Read reads from the file's position.
func (f *File) Read(p []byte) (int, error) {
	if err := inject(f.inj, OpRead, f.name); err != nil {
		return 0, err
	}
	return f.f.Read(p)
}

// ReadAt reads at off, as io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if err := inject(f.inj, OpRead, f.name); err != nil {
		return 0, err
	}
	return f.f.ReadAt(p, off)
}

// Write writes at the file's position, as io.Writer.
func (f *File) Write(p []byte) (int, error) {
	if f.obs != nil {
		return f.watchWrite(p, -1, func() (int, error) { return f.write(p) })
	}
	return f.write(p)
}

func (f *File) write(p []byte) (int, error) {
	allow, ierr := f.allow(len(p))
	n, err := f.f.Write(p[:allow])
	if err == nil {
		err = ierr
	}
	return n, err
}

// WriteAt writes at off, as io.WriterAt.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if f.obs != nil {
		return f.watchWrite(p, off, func() (int, error) { return f.writeAt(p, off) })
	}
	return f.writeAt(p, off)
}

func (f *File) writeAt(p []byte, off int64) (int, error) {
	allow, ierr := f.allow(len(p))
	n, err := f.f.WriteAt(p[:allow], off)
	if err == nil {
		err = ierr
	}
	return n, err
}

// Writev writes bufs one after the other at off, without joining them first, and returns how many bytes were written.
// bufs is consumed: its elements are resliced.
func (f *File) Writev(bufs [][]byte, off int64) (int64, error) {
	if f.obs != nil {
		n, err := f.watchWrite(bytes.Join(bufs, nil), off, func() (int, error) {
			n, err := f.writev(bufs, off)
			return int(n), err
		})
		return int64(n), err
	}
	return f.writev(bufs, off)
}

func (f *File) writev(bufs [][]byte, off int64) (int64, error) {
	total := 0
	for _, b := range bufs {
		total += len(b)
	}
	allow, ierr := f.allow(total)
	if ierr != nil {
		if allow == 0 {
			return 0, ierr
		}
		bufs = cut(bufs, allow)
	}
	var done int64
	for len(bufs) > 0 {
		n, err := unix.Pwritev(int(f.f.Fd()), bufs[:min(len(bufs), 1024)], off+done)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return done, &fs.PathError{Op: string(OpWrite), Path: f.name, Err: err}
		}
		if n == 0 {
			return done, &fs.PathError{Op: string(OpWrite), Path: f.name, Err: io.ErrShortWrite}
		}
		done += int64(n)
		bufs = skip(bufs, n)
	}
	return done, ierr
}

// Sync makes the file's bytes durable. After an error the file must be given up: a second Sync would prove nothing.
func (f *File) Sync() error { return f.change(OpSync, 0, f.f.Sync) }

// SyncData is Sync without metadata that is not needed to read the bytes, as the modification time. It is much cheaper
// for bytes that were overwritten in place.
func (f *File) SyncData() error {
	return f.change(OpSync, 0, func() error { return f.system(string(OpSync), unix.Fdatasync) })
}

// DropCache tells the kernel that the synced bytes of the file will not be read soon. Otherwise a daemon that writes
// all the time would evict everything useful from the page cache. It is only a hint and returns no error.
func (f *File) DropCache() {
	_ = unix.Fadvise(int(f.f.Fd()), 0, 0, unix.FADV_DONTNEED) // a file system may not know it: nothing is lost
}

// Truncate cuts or extends the file to size bytes.
func (f *File) Truncate(size int64) error {
	return f.change(OpTruncate, size, func() error { return f.f.Truncate(size) })
}

// Allocate allocates disk space for n bytes at off, which need not be within the file, and does not change its size:
// later writes there succeed on a full disk. Some file systems cannot (EOPNOTSUPP).
func (f *File) Allocate(off, n int64) error {
	if err := inject(f.inj, OpWrite, f.name); err != nil {
		return err
	}
	return f.system("allocate", func(fd int) error { return unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, off, n) })
}

// system makes a system call on the file's descriptor.
func (f *File) system(op string, call func(fd int) error) error {
	if err := retry(func() error { return call(int(f.f.Fd())) }); err != nil {
		return &fs.PathError{Op: op, Path: f.name, Err: err}
	}
	return nil
}

// change carries out do, unless the injector makes it fail.
func (f *File) change(op Op, size int64, do func() error) error {
	return watch(f.obs, Change{Op: op, Name: f.name, File: f, Off: size}, func() error {
		if err := inject(f.inj, op, f.name); err != nil {
			return err
		}
		return do()
	})
}

// Seek sets the file's position, as io.Seeker.
func (f *File) Seek(off int64, whence int) (int64, error) { return f.f.Seek(off, whence) }

// Stat describes the open file.
func (f *File) Stat() (os.FileInfo, error) { return f.f.Stat() }

// Close closes the file. Its error matters: some file systems report a failed write only here.
func (f *File) Close() error { return f.f.Close() }

func (f *File) allow(n int) (int, error) {
	if f.inj == nil {
		return n, nil
	}
	allow, err := f.inj.Inject(OpWrite, f.name, n)
	if err != nil {
		return min(allow, n), &fs.PathError{Op: string(OpWrite), Path: f.name, Err: err}
	}
	return n, nil
}

// cut keeps the first n bytes of bufs.
func cut(bufs [][]byte, n int) [][]byte {
	for i, b := range bufs {
		if n <= len(b) {
			return append(append([][]byte(nil), bufs[:i]...), b[:n])
		}
		n -= len(b)
	}
	return bufs
}

// skip drops the first n bytes of bufs.
func skip(bufs [][]byte, n int) [][]byte {
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if len(bufs) > 0 {
		bufs[0] = bufs[0][n:]
	}
	return bufs
}
