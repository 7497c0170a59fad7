// Command fusefs mounts a directory once more as a file system that fails on demand, for tests:
//
//	fusefs BACKING MOUNTPOINT CONTROL
//
// While CONTROL/fsync exists every fsync fails with EIO, of files and of directories; while CONTROL/write exists every
// write fails with ENOSPC; while CONTROL/read exists every read fails with EIO; while CONTROL/stale exists what is read
// of a file that was removed, or replaced, fails with ESTALE, as under NFS; while CONTROL/hang exists nothing that
// looks or reads comes back. Everything else goes to BACKING. It prints "mounted" when it is ready and unmounts at
// SIGTERM. It needs /dev/fuse and root.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is a file or directory that fails when control says so.
type node struct {
	*fs.LoopbackNode
	control string
}

// WrapChild makes everything below a node one as well.
func (n *node) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return &node{LoopbackNode: child.(*fs.LoopbackNode), control: n.control}
}

func (n *node) fails(what string) bool {
	_, err := os.Stat(filepath.Join(n.control, what))
	return err == nil
}

// hang waits as long as it is to hang, or until whoever asked is killed.
func (n *node) hang(ctx context.Context) syscall.Errno {
	for n.fails("hang") {
		select {
		case <-ctx.Done():
			return syscall.EINTR
		case <-time.After(10 * time.Millisecond):
		}
	}
	return 0
}

// Lookup finds a name.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.hang(ctx); errno != 0 {
		return nil, errno
	}
	return n.LoopbackNode.Lookup(ctx, name, out)
}

// Getattr is stat and fstat.
func (n *node) Getattr(ctx context.Context, f fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if errno := n.hang(ctx); errno != 0 {
		return errno
	}
	return n.LoopbackNode.Getattr(ctx, f, out)
}

// Fsync is fsync and fdatasync, of files and of directories.
func (n *node) Fsync(ctx context.Context, f fs.FileHandle, flags uint32) syscall.Errno {
	if n.fails("fsync") {
		return syscall.EIO
	}
	if s, ok := f.(fs.FileFsyncer); ok {
		return s.Fsync(ctx, flags)
	}
	return 0
}

// file is an open file whose writes come to the node, and are not passed through by the kernel.
type file struct {
	*fs.LoopbackFile
	n *node
}

// Read reads, or fails.
func (f file) Read(ctx context.Context, buf []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if errno := f.n.hang(ctx); errno != 0 {
		return nil, errno
	}
	if f.n.fails("read") {
		return nil, syscall.EIO
	}
	var out fuse.AttrOut
	if errno := f.Getattr(ctx, &out); errno == 0 && out.Nlink == 0 && f.n.fails("stale") {
		return nil, syscall.ESTALE
	}
	return f.LoopbackFile.Read(ctx, buf, off)
}

// PassthroughFd says that there is none.
func (file) PassthroughFd() (int, bool) { return -1, false }

// Open opens a file.
func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.hang(ctx); errno != 0 {
		return nil, 0, errno
	}
	h, fuseFlags, errno := n.LoopbackNode.Open(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return file{h.(*fs.LoopbackFile), n}, fuseFlags, 0
}

// Create makes a file and opens it.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode,
	fs.FileHandle, uint32, syscall.Errno) {
	inode, h, fuseFlags, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	return inode, file{h.(*fs.LoopbackFile), n}, fuseFlags, 0
}

// OpendirHandle makes the handle ask control as well.
func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.hang(ctx); errno != 0 {
		return nil, 0, errno
	}
	h, fuseFlags, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return dir{h.(directory), n}, fuseFlags, 0
}

type directory interface {
	fs.FileReaddirenter
	fs.FileSeekdirer
	fs.FileFsyncdirer
	fs.FileReleasedirer
}

// dir is an open directory.
type dir struct {
	directory
	n *node
}

// Fsyncdir is fsync of a directory.
func (d dir) Fsyncdir(ctx context.Context, flags uint32) syscall.Errno {
	if d.n.fails("fsync") {
		return syscall.EIO
	}
	return d.directory.Fsyncdir(ctx, flags)
}

// Write fails on a full disk.
func (n *node) Write(ctx context.Context, f fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	if n.fails("write") {
		return 0, syscall.ENOSPC
	}
	return f.(fs.FileWriter).Write(ctx, data, off)
}

func run(backing, mountpoint, control string) error {
	var st syscall.Stat_t
	if err := syscall.Stat(backing, &st); err != nil {
		return fmt.Errorf("stat %s: %w", backing, err)
	}
	data := &fs.LoopbackRoot{Path: backing, Dev: uint64(st.Dev)}
	root := &node{LoopbackNode: &fs.LoopbackNode{RootData: data}, control: control}
	data.RootNode = root
	server, err := fs.Mount(mountpoint, root,
		&fs.Options{MountOptions: fuse.MountOptions{FsName: "failing", DirectMountStrict: true}})
	if err != nil {
		return fmt.Errorf("mount on %s: %w", mountpoint, err)
	}
	if _, err := fmt.Println("mounted"); err != nil {
		return errors.Join(err, server.Unmount())
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	<-signals
	return server.Unmount()
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: fusefs BACKING MOUNTPOINT CONTROL")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "fusefs:", err)
		os.Exit(1)
	}
}
