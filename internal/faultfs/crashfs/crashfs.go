// Package crashfs computes what a power cut can leave of a directory that a program wrote through faultfs. It is for
// tests.
//
//	Disk ── Process ──► faultfs.OpenDir(root, process) ──► the program under test     Kill: nothing more reaches the disk
//	  └──── Image: a new directory with what was durable, and with a choice of what was not
//
// What is durable: the bytes and the size of a file when its fsync succeeded; a name (made, renamed, removed, linked)
// when the fsync of its directory succeeded. Of everything else, the model lets the disk keep any part:
//
//   - Bytes, by sectors of 512 bytes. A sector that was written since the last fsync is as it was then, or as it was
//     after any of the writes since, or torn: the head of one of those and the tail of the one before. A sector that
//     the file did not have before can also be all zeros (a block that was allocated and never written), but never has
//     the bytes of another file: no file system that we know exposes those.
//   - Size: any size that the file has had since the last fsync, and any sector boundary between the smallest and the
//     largest of them.
//   - Names: Ordered keeps the changes of all directories up to one moment and drops those after it, as the journals of
//     ext4 and XFS do. Subset keeps or drops each change on its own, which is harsher than any file system in use, but
//     is all that POSIX promises. A rename is one change: both of its names or none.
//   - A failed fsync: what was to be written stays undecided, and a later successful fsync does not change that (the
//     kernel has marked the pages clean); only a later write does. So a program that retries an fsync and believes the
//     result fails the test.
//
// A Process that is killed leaves its writes to the Disk. The next process sees all of them, durable or not, as after a
// crash of the program alone, and a power cut may follow.
//
// Not modelled: sectors that are damaged although they were not written, hard links, mmap, anything that bypasses
// faultfs.
package crashfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"inkwell/internal/faultfs"
)

// ErrKilled is the error of every operation of a killed process. It does not count as a fault of the disk.
var ErrKilled = errors.New("killed")

// Disk knows the current and the durable state of a directory. All methods are safe for concurrent use.
type Disk struct {
	root string

	mu      sync.Mutex
	dirs    map[string]*directory // by path
	handles map[*faultfs.File]*file
	pending []*nameChange // of all directories, in order
}

// node is what a name can stand for: a *directory, a *file or a link.
type node any

type directory struct {
	live, durable map[string]node
}

type link string

// nameChange is a change of names that was not followed by an fsync of its directory.
type nameChange struct {
	dir       *directory
	name      string
	node      node       // nil = removed
	from      string     // of a rename
	fromDir   *directory // of a rename out of another directory; nil = dir
	journaled bool       // a directory was synced after it: an ordered journal has it on disk
}

// New returns the disk of the directory root. Nobody may be writing there: what exists counts as durable.
func New(root string) (*Disk, error) {
	d := &Disk{root: filepath.Clean(root), dirs: make(map[string]*directory), handles: make(map[*faultfs.File]*file)}
	return d, d.read(d.root)
}

func (d *Disk) read(path string) error {
	list, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	dir := &directory{live: make(map[string]node)}
	d.dirs[path] = dir
	for _, e := range list {
		name := filepath.Join(path, e.Name())
		switch {
		case e.IsDir():
			if err := d.read(name); err != nil {
				return err
			}
			dir.live[e.Name()] = d.dirs[name]
		case e.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			dir.live[e.Name()] = link(target)
		default:
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			dir.live[e.Name()] = newFile(data)
		}
	}
	dir.durable = make(map[string]node, len(dir.live))
	for name, n := range dir.live {
		dir.durable[name] = n
	}
	return nil
}

// Process is a program that writes to a Disk: the Injector (and Observer) of its directories.
type Process struct {
	disk   *Disk
	faults faultfs.Injector
	dead   atomic.Bool
}

// Process returns a new process. faults (may be nil) decides what fails while it lives.
func (d *Disk) Process(faults faultfs.Injector) *Process { return &Process{disk: d, faults: faults} }

// Kill prevents everything that the process does from now on from reaching the disk. The process may still be closed,
// to release memory and locks.
func (p *Process) Kill() {
	p.disk.mu.Lock()
	defer p.disk.mu.Unlock()
	p.dead.Store(true)
}

// Inject fails everything after Kill, and what faults fails.
func (p *Process) Inject(op faultfs.Op, name string, n int) (allow int, err error) {
	switch {
	case p.dead.Load():
		return 0, ErrKilled
	case p.faults != nil:
		return p.faults.Inject(op, name, n)
	}
	return n, nil
}

// Begin serializes the changes.
func (p *Process) Begin(*faultfs.Change) { p.disk.mu.Lock() }

// End records what was done.
func (p *Process) End(c *faultfs.Change, err error) {
	defer p.disk.mu.Unlock()
	if p.dead.Load() {
		return
	}
	p.disk.note(c, err)
}

func (d *Disk) note(c *faultfs.Change, err error) {
	switch c.Op {
	case faultfs.OpWrite: // a write that failed may have written something
		if f := d.handles[c.File]; f != nil {
			f.write(c.Data, c.Off)
		}
		return
	case faultfs.OpSync:
		if f := d.handles[c.File]; f != nil && !errors.Is(err, ErrKilled) {
			f.sync(err == nil)
		}
		return
	}
	if err != nil {
		return
	}
	switch dir := d.dirs[filepath.Clean(c.Dir)]; {
	case c.Op == faultfs.OpSyncAll:
		d.syncAll()
	case c.Op == faultfs.OpTruncate:
		if f := d.handles[c.File]; f != nil {
			f.truncate(c.Off)
		}
	case dir == nil: // outside of root
	case c.Op == faultfs.OpOpen:
		d.opened(dir, c)
	case c.Op == faultfs.OpSyncDir:
		d.syncDir(dir)
	case c.Op == faultfs.OpMkdir:
		made := &directory{live: make(map[string]node), durable: make(map[string]node)}
		d.dirs[filepath.Join(c.Dir, c.Name)] = made
		d.setName(dir, c.Name, made)
	case c.Op == faultfs.OpSymlink:
		d.setName(dir, c.Name, link(c.From))
	case c.Op == faultfs.OpRename:
		d.move(dir, c)
	case c.Op == faultfs.OpRemove:
		d.setName(d.dirOf(c), filepath.Base(c.Name), nil)
	}
}

// dirOf is the directory of a name that may contain slashes.
func (d *Disk) dirOf(c *faultfs.Change) *directory {
	return d.dirs[filepath.Dir(filepath.Join(c.Dir, c.Name))]
}

// opened records that a file was opened, and perhaps created or truncated.
func (d *Disk) opened(dir *directory, c *faultfs.Change) {
	name := c.Name
	if strings.Contains(name, "/") {
		dir, name = d.dirOf(c), filepath.Base(name)
	}
	if to, ok := dir.live[name].(link); ok {
		name = string(to)
	}
	f, ok := dir.live[name].(*file)
	if !ok || c.Flag&os.O_EXCL != 0 { // then it is a new one: what had the name was removed, perhaps without a word
		if c.Flag&os.O_CREATE == 0 { // a directory
			return
		}
		f = newFile(nil)
		d.setName(dir, name, f)
	}
	if c.Flag&os.O_TRUNC != 0 {
		f.truncate(0)
	}
	d.handles[c.File] = f
}

// move records a rename, also into a directory beneath dir: as one change, which is durable when the directory of the
// new name is synced.
func (d *Disk) move(dir *directory, c *faultfs.Change) {
	n := &nameChange{dir: d.dirOf(c), name: filepath.Base(c.Name), node: dir.live[c.From], from: c.From}
	if n.dir != dir {
		n.fromDir = dir
	}
	n.apply(func(of *directory) map[string]node { return of.live })
	d.pending = append(d.pending, n)
}

// setName records that name now stands for n, or for nothing if n is nil.
func (d *Disk) setName(dir *directory, name string, n node) {
	c := &nameChange{dir: dir, name: name, node: n}
	c.apply(func(of *directory) map[string]node { return of.live })
	d.pending = append(d.pending, c)
}

// apply makes the change in the names of its directories.
func (c *nameChange) apply(of func(*directory) map[string]node) {
	names, before := of(c.dir), of(c.dir)
	if c.fromDir != nil {
		before = of(c.fromDir)
	}
	if c.from != "" && before[c.from] == c.node {
		delete(before, c.from)
	}
	if c.node == nil {
		delete(names, c.name)
	} else {
		names[c.name] = c.node
	}
}

// syncAll records that everything is durable. A failed syncfs says nothing about any single file; the fsyncs after it
// count.
func (d *Disk) syncAll() {
	for _, dir := range d.dirs {
		for _, n := range dir.live {
			if f, ok := n.(*file); ok {
				f.sync(true)
			}
		}
		d.syncDir(dir)
	}
}

func (d *Disk) syncDir(dir *directory) {
	left := d.pending[:0]
	for _, c := range d.pending {
		c.journaled = true
		if c.dir == dir {
			c.apply(func(of *directory) map[string]node { return of.durable })
		} else {
			left = append(left, c)
		}
	}
	clear(d.pending[len(left):])
	d.pending = left
}
