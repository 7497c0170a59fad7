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

// ListenAll opens a listener for each address (see ParseAddress), or none. Listeners for tls:// speak TLS only after
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

// Secure wraps the listeners with tls:// addresses in TLS. It is called as the user who will reload the files later:
// files that only root can read would be used until they expire. It returns the credentials, nil if no listener needs
// them.
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

// maxSocketPath is the most bytes of a unix socket's path.
const maxSocketPath = 107

// listen opens one listener. Access to a unix socket is controlled by its directory. The socket itself is open to all
// users, because the users for whom there are rules could not connect otherwise.
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
	text := a.Text
	if local := a.local(); local != nil {
		text = local[0]
	}
	ln, err := net.Listen(a.Network, text)
	if err != nil {
		return nil, fmt.Errorf("listen on %s%s: %w", a.Text, listenCure(err), err)
	}
	if a.Network == "unix" {
		if err := os.Chmod(a.Text, 0o666); err != nil {
			err = fmt.Errorf("listen on unix:%s: let other users connect: %w", a.Text, err)
			return nil, errors.Join(err, ln.Close())
		}
	}
	return ln, nil
}

// clearSocket removes the socket that a former run left. Anything else at that path is kept.
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
		return nc.Close() // another process listens: net.Listen reports that
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
		return " (end the program that has this port, or choose another port)"
	case errors.Is(err, syscall.EACCES):
		return " (this user may not use the port: choose one above 1023)"
	}
	return ""
}

// Addresses returns the addresses of listeners in the form of addrs, for which they were opened, but with the port that
// was chosen for port 0. With http they are URLs.
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
