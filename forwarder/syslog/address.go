package syslog

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"inkwell/internal/faultfs"
)

// receiveBuffer is the size that is requested for the kernel's buffer of datagrams; net.core.rmem_max may reduce it.
const receiveBuffer = 8 << 20

// address is where messages are received.
type address struct {
	network string // udp, tcp, unix or unixgram
	at      string // HOST:PORT or a path
}

func (a address) String() string {
	if a.isUnix() {
		return a.network + ":" + a.at
	}
	return a.network + "://" + a.at
}

func (a address) isUnix() bool { return strings.HasPrefix(a.network, "unix") }

// parseAddress parses udp://HOST:PORT, tcp://HOST:PORT, unix:PATH and unixgram:PATH.
func parseAddress(s string) (address, error) {
	const want = "want udp://HOST:PORT, tcp://HOST:PORT, unix:/path or unixgram:/path"
	network, at, ok := strings.Cut(s, ":")
	a := address{network: network}
	switch {
	case !ok:
	case network == "udp" || network == "tcp":
		a.at, ok = strings.CutPrefix(at, "//")
		if _, port, err := net.SplitHostPort(a.at); !ok || err != nil || port == "" {
			return address{}, fmt.Errorf("syslog address %q: %s", s, want)
		}
		return a, nil
	case network == "unix" || network == "unixgram":
		a.at = strings.TrimPrefix(at, "//")
		if strings.HasPrefix(a.at, "/") {
			return a, nil
		}
	}
	return address{}, fmt.Errorf("syslog address %q: %s", s, want)
}

// listen opens the socket.
func (a address) listen() (socket, error) {
	if a.isUnix() {
		return a.listenUnix()
	}
	if a.network == "tcp" {
		l, err := net.Listen("tcp", a.at)
		if err != nil {
			return nil, explain(err)
		}
		return &streams{listener: l.(*net.TCPListener), address: a}, nil
	}
	c, err := net.ListenPacket("udp", a.at)
	if err != nil {
		return nil, explain(err)
	}
	conn := c.(*net.UDPConn)
	raw, err := conn.SyscallConn()
	if err == nil {
		_ = conn.SetReadBuffer(receiveBuffer) // a smaller buffer is no failure
		cerr := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL,
				1)
		})
		err = errors.Join(err, cerr)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("have the kernel count what it drops: %w", err), conn.Close())
	}
	return &datagrams{conn: conn, address: a}, nil
}

// listenUnix opens a socket that everybody on this machine may write to, as /dev/log. A socket file whose process is
// gone is removed first.
func (a address) listenUnix() (socket, error) {
	if _, err := faultfs.MakeSocketDir(a.at); err != nil {
		return nil, err
	}
	if info, err := os.Lstat(a.at); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, fmt.Errorf("%s is there and is no socket: remove it, or choose another path", a.at)
		}
		c, err := net.DialTimeout(a.network, a.at, time.Second)
		if err == nil {
			return nil, errors.Join(fmt.Errorf("another process takes messages there: %w", syscall.EADDRINUSE),
				c.Close())
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, err
		}
		if err := os.Remove(a.at); err != nil {
			return nil, fmt.Errorf("remove a socket that nobody listens on: %w", err)
		}
	}
	var s socket
	if a.network == "unix" {
		l, err := net.Listen("unix", a.at)
		if err != nil {
			return nil, err
		}
		s = &streams{listener: l.(*net.UnixListener), address: a}
	} else {
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: a.at, Net: "unixgram"})
		if err != nil {
			return nil, err
		}
		_ = c.SetReadBuffer(receiveBuffer)
		s = &datagrams{conn: c, address: a}
	}
	if err := os.Chmod(a.at, 0o666); err != nil {
		return nil, errors.Join(fmt.Errorf("let everybody write to it: %w", err), s.close())
	}
	return s, nil
}

// explain says what to do about a port that this user may not use.
func explain(err error) error {
	if errors.Is(err, syscall.EACCES) {
		return fmt.Errorf("%w (ports below 1024 need root, --user, or CAP_NET_BIND_SERVICE)", err)
	}
	return err
}
