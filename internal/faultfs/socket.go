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

// Listen listens on a unix socket beneath d to which only the user of this process and root may connect. A socket that
// a killed process has left under that name is removed; anything else with that name is an error. The caller must make
// sure that no other process listens there (by a lock in d), and must remove the name after closing the listener. It
// works for any length of the path of d.
func (d *Dir) Listen(name string) (net.Listener, error) {
	if err := d.clearSocket(name); err != nil {
		return nil, err
	}
	dir, err := d.openFile(".", os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close() // nothing was written to it
	var failed error
	o := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// bind gives the mode of the socket to its name, so that there is no moment in which others could connect.
		err := c.Control(func(fd uintptr) { failed = syscall.Fchmod(int(fd), 0o600) })
		return errors.Join(err, failed)
	}}
	ln, err := o.Listen(context.Background(), "unix", SocketBeneath(dir, name))
	if err != nil {
		return nil, fmt.Errorf("listen on the socket %s in %s: %w", name, d.path, err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false) // the path is valid only while dir is open
	return ln, nil
}

// SocketBeneath is a path of the socket name in a directory that is short enough for a socket. It is valid while dir is
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
