package rpc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

const (
	maxHeld    = 16 << 20 // bytes; a longer frame is received into a file, if there is a directory for that
	spillAfter = 1 << 20  // bytes that must have arrived before a file is made
	maxSpilled = 1 << 30  // bytes of all such frames together
)

// spill is a frame in an unnamed file, which is gone when the process ends. Once complete, the file is mapped, so that
// the kernel can evict its pages.
type spill struct {
	f    *os.File
	data []byte
}

// newSpill makes the file in dir.
func newSpill(dir string) (*spill, error) {
	f, err := os.OpenFile(dir, os.O_RDWR|unix.O_TMPFILE, 0o600)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) { // the file system does not support O_TMPFILE
		if f, err = os.CreateTemp(dir, ".call-"); err == nil {
			err = os.Remove(f.Name())
		}
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	if err != nil {
		return nil, fmt.Errorf("keep a large call in %s: %w", dir, err)
	}
	return &spill{f: f}, nil
}

// mapped maps the first n bytes.
func (s *spill) mapped(n int) (data []byte, err error) {
	s.data, err = unix.Mmap(int(s.f.Fd()), 0, n, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map a large call: %w", err)
	}
	return s.data, nil
}

// release unmaps and closes the file; s may be nil. Errors do not matter, because the file has no name.
func (s *spill) release() {
	if s == nil {
		return
	}
	if s.data != nil {
		_ = unix.Munmap(s.data)
	}
	_ = s.f.Close()
}

// spilled receives the rest of a frame into a file.
func (l *longFrame) spilled() error {
	s := l.c.s
	size := int64(min(l.n, maxSpilled))
	if err := l.acquire(s.spills, size); err != nil {
		return l.noRoom(err, "all addresses")
	}
	l.onDisk = size
	var err error
	if l.spill, err = newSpill(s.o.SpillDir); err != nil {
		return l.full(err)
	}
	s.spilled.Add(1)
	for part := l.buf.b[:l.have]; ; {
		if _, err := l.spill.f.Write(part); err != nil {
			return l.full(err)
		}
		if l.have == l.n {
			break
		}
		if err := l.c.await(false); err != nil {
			return err
		}
		n, err := l.c.nc.Read(l.buf.b[:min(len(l.buf.b), l.n-l.have)])
		if l.have += n; err != nil && l.have < l.n {
			return err
		}
		part = l.buf.b[:n]
	}
	// A call in an unusual encoding is decoded into a batch in memory, so that a share is needed nevertheless.
	if err := l.share(); err != nil {
		return err
	}
	l.frame, err = l.spill.mapped(l.n)
	return err
}

// full reports that the disk has no room for the frame. The peer sends it again.
func (l *longFrame) full(err error) error {
	l.c.s.log.Error("large call cannot be received", "peer", l.c.nc.RemoteAddr(), "error", err)
	return &fault{l.c.s.noRoom, err.Error()}
}
