package faultfs

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Syncer is a File whose bytes, or a Dir whose names, are to be made durable.
type Syncer interface {
	Sync() error
	device() uint64
	synced() // called when a syncfs has made it durable
}

// Later collects what has to be synced, so that many files are synced together. A nil Later syncs at once.
type Later struct{ list []Syncer }

// Sync adds s, or syncs it if l is nil. Whoever takes the list must sync what is in it.
func (l *Later) Sync(s Syncer) error {
	if l == nil {
		return s.Sync()
	}
	if !slices.Contains(l.list, s) {
		l.list = append(l.list, s)
	}
	return nil
}

// Take returns what was collected, and empties the list.
func (l *Later) Take() []Syncer {
	list := l.list
	l.list = nil
	return list
}

const (
	manyFiles  = 32 // from this many files of a file system on, one syncfs is cheaper than an fsync for each
	sideBySide = 8  // fsyncs at the same time, which a file system commits together
)

// Disks makes many files durable together: a few by an fsync for each, many of one file system by one syncfs for all.
//
// syncfs is used only where it reports errors: on ext4, XFS and Btrfs, since Linux 5.17 (since 5.8 it reports bytes
// that could not be written, since 5.17 also failed commits). It reports the errors since its descriptor was opened, so
// Know must open that before anything is written. It also reports errors of other programs' files. Therefore, when it
// fails, each file gets an fsync, which shows which of them are affected.
//
// Safe for concurrent use.
type Disks struct {
	Many int // for tests: use syncfs from this many files on, on every file system; 0 = as described

	mu    sync.Mutex
	known map[uint64]*disk // by device; a nil disk means no syncfs
}

// disk is a file system.
type disk struct {
	dir  *Dir // the first directory on it; it may be closed
	file *os.File
}

// Know must be called with the directory of files before they are written.
func (k *Disks) Know(d *Dir) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.known[d.id.Dev]; known {
		return nil
	}
	if k.known == nil {
		k.known = make(map[uint64]*disk)
	}
	if k.known[d.id.Dev] = nil; k.Many == 0 && !d.reportsErrors() {
		return nil
	}
	f, err := d.openFile(".", os.O_RDONLY, 0)
	if err == nil {
		k.known[d.id.Dev] = &disk{d, f}
	}
	return err
}

// reportsErrors says whether syncfs reports errors.
func (d *Dir) reportsErrors() bool {
	var st unix.Statfs_t
	if err := unix.Statfs(d.path, &st); err != nil {
		return false
	}
	switch st.Type {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC:
		var u unix.Utsname
		return unix.Uname(&u) == nil && since517(unix.ByteSliceToString(u.Release[:]))
	}
	return false
}

// since517 says whether a Linux release, such as "6.1.0-13-amd64", is 5.17 or later.
func since517(release string) bool {
	parts := strings.SplitN(release, ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, err := strconv.Atoi(parts[0])
	digits := strings.IndexFunc(parts[1]+" ", func(r rune) bool { return r < '0' || r > '9' })
	minor, merr := strconv.Atoi(parts[1][:digits])
	return errors.Join(err, merr) == nil && (major > 5 || major == 5 && minor >= 17)
}

// Sync makes everything in list durable, and returns the error of each. A file that was closed meanwhile counts as
// synced: it was synced before it was closed, or is not needed any more.
func (k *Disks) Sync(list []Syncer) []error {
	errs := make([]error, len(list))
	left := make(map[uint64][]int)
	for i, s := range list {
		left[s.device()] = append(left[s.device()], i)
	}
	var work sync.WaitGroup
	room := make(chan struct{}, sideBySide)
	for dev, at := range left {
		if k.whole(dev, len(at)) {
			for _, i := range at {
				list[i].synced()
			}
			continue
		}
		for _, i := range at {
			room <- struct{}{}
			work.Go(func() {
				defer func() { <-room }()
				if err := list[i].Sync(); !errors.Is(err, fs.ErrClosed) {
					errs[i] = err
				}
			})
		}
	}
	work.Wait()
	return errs
}

// whole syncs a whole file system if enough of its files are to be synced, and says whether it did.
func (k *Disks) whole(dev uint64, files int) bool {
	many := manyFiles
	if k.Many > 0 {
		many = k.Many
	}
	k.mu.Lock()
	d := k.known[dev]
	k.mu.Unlock()
	if d == nil || files < many {
		return false
	}
	err := d.dir.change(Change{Op: OpSyncAll, Name: "."}, func() error { return unix.Syncfs(int(d.file.Fd())) })
	return err == nil
}

// Close releases what is open.
func (k *Disks) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var errs []error
	for _, d := range k.known {
		if d != nil {
			errs = append(errs, d.file.Close())
		}
	}
	k.known = nil
	return errors.Join(errs...)
}

// Device is the number of the file system of s.
func Device(s Syncer) uint64 { return s.device() }

func (f *File) device() uint64 { return f.id.Dev }

func (f *File) synced() {}

func (d *Dir) device() uint64 { return d.id.Dev }

func (d *Dir) synced() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, own := range d.loose {
		settled.Store(own, true)
	}
	d.loose = nil
}
