package faultfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// Listen listens on a unix socket beneath d that only the user of this process, and root, may connect to. The socket
// that a killed process left under that name is removed; anything else that stands there is left and is the error.
// The caller knows that no other process listens there (it holds a lock in d), and removes the name when it has
// closed the listener. However long the path of d is, the name works.
func (d *Dir) Listen(name string) (net.Listener, error) {
	if err := d.clearSocket(name); err != nil {
		return nil, err
	}
	dir, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close() // nothing was written to it
	var failed error
	o := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// What the socket has as its mode is what bind gives to its name: there is no moment in which others could
		// connect.
		err := c.Control(func(fd uintptr) { failed = syscall.Fchmod(int(fd), 0o600) })
		return errors.Join(err, failed)
	}}
	ln, err := o.Listen(context.Background(), "unix", SocketBeneath(dir, name))
	if err != nil {
		return nil, fmt.Errorf("listen on the socket %s in %s: %w", name, d.path, err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false) // the path holds only as long as dir is open
	return ln, nil
}

// SocketBeneath is a path of the socket name in a directory that is short enough for a socket. It holds while dir is
// open.
func SocketBeneath(dir *os.File, name string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name)
}

func (d *Dir) clearSocket(name string) error {
	found, err := d.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case found.Mode().Type() != fs.ModeSocket:
		return d.odd("listen", name, found)
	}
	return d.Remove(name)
}
