package rpc

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"inkwell/internal/faultfs"
)

// ListenAll opens a listener for each address (as ParseAddress has it), or none. Those with TLS do not speak it before
// Secure.
func ListenAll(addrs []string) (all []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, ln := range all {
				err = errors.Join(err, ln.Close())
			}
			all = nil
		}
	}()
	for _, addr := range addrs {
		a, err := ParseAddress(addr)
		if err != nil {
			return all, err
		}
		ln, err := listen(a)
		if err != nil {
			return all, err
		}
		all = append(all, ln)
	}
	return all, nil
}

// Secure makes those of the listeners speak TLS whose addresses say so. The files are read as the user who reads them
// again later: what only root can read would be in use until it expires. It returns what it read, nil if none speaks
// TLS.
func Secure(listeners []net.Listener, addrs []string, files TLSFiles, log *slog.Logger) (*Credentials, error) {
	isTLS := func(addr string) bool { return strings.HasPrefix(addr, "tls://") }
	if !slices.ContainsFunc(addrs, isTLS) {
		return nil, nil
	}
	credentials, err := OpenTLS(files, log)
	if err != nil {
		return nil, err
	}
	for i, addr := range addrs {
		if !isTLS(addr) {
			continue
		}
		ln, err := credentials.Listener(listeners[i])
		if err != nil {
			return nil, err
		}
		listeners[i] = ln
	}
	return credentials, nil
}

// maxSocketPath is what the kernel takes as the path of a unix socket, in bytes.
const maxSocketPath = 107

// listen opens one listener. Whoever has the way to a unix socket can connect: its own mode is no second lock, which
// other users than ours, whom rules are there for, could not pass.
func listen(a Address) (net.Listener, error) {
	if a.Network == "unix" {
		_, err := faultfs.MakeSocketDir(a.Text)
		if err == nil {
			err = clearSocket(a.Text)
		}
		if err != nil {
			return nil, fmt.Errorf("listen on unix:%s: %w", a.Text, err)
		}
	}
	ln, err := net.Listen(a.Network, a.Text)
	if err != nil {
		return nil, fmt.Errorf("listen on %s%s: %w", a.Text, listenCure(err), err)
	}
	if a.Network == "unix" {
		if err := os.Chmod(a.Text, 0o666); err != nil {
			return nil, errors.Join(fmt.Errorf("listen on unix:%s: let other users connect: %w", a.Text, err), ln.Close())
		}
	}
	return ln, nil
}

// clearSocket removes the socket that a former run left. Anything else that stands there stays.
func clearSocket(path string) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("the path has %d bytes, a socket's can have %d", len(path), maxSocketPath)
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("there is something that is no socket (remove it, or name another path)")
	}
	nc, err := net.Dial("unix", path)
	if err == nil {
		return nc.Close() // somebody is there: Listen says so
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove the socket of a former run: %w", err)
		}
	}
	return nil
}

func listenCure(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return " (end the program that has this port, or choose another with --listen)"
	case errors.Is(err, syscall.EACCES):
		return " (this user may not use the port: choose one above 1023 with --listen)"
	}
	return ""
}

// Addresses are where listeners listen that were opened for addrs, as those are written but with the port that was
// chosen for 0; with http as URLs.
func Addresses(listeners []net.Listener, addrs []string, http bool) []string {
	list := make([]string, len(listeners))
	for i, ln := range listeners {
		plain, secure := "", "tls://"
		if http {
			plain, secure = "http://", "https://"
		}
		switch {
		case strings.HasPrefix(addrs[i], "unix:"):
			list[i] = addrs[i]
		case strings.HasPrefix(addrs[i], "tls://"):
			list[i] = secure + ln.Addr().String()
		default:
			list[i] = plain + ln.Addr().String()
		}
	}
	return list
}
