package collector

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"inkwell/internal/rpc"
)

// listenAll opens every listener, or none.
func listenAll(o Options) (all []net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, ln := range all {
				err = errors.Join(err, ln.Close())
			}
			all = nil
		}
	}()
	var credentials *rpc.Credentials
	if slices.ContainsFunc(o.Listen, func(addr string) bool { return strings.HasPrefix(addr, "tls://") }) {
		if credentials, err = rpc.OpenTLS(o.TLS, o.Logger); err != nil {
			return nil, err
		}
	}
	for _, addr := range o.Listen {
		a, err := rpc.ParseAddress(addr)
		if err != nil {
			return all, err
		}
		ln, err := listen(a)
		if err != nil {
			return all, err
		}
		all = append(all, ln)
		if a.TLS {
			secure, err := credentials.Listener(ln)
			if err != nil {
				return all, err
			}
			all[len(all)-1] = secure
		}
	}
	return all, nil
}

// listen opens one listener; a unix socket that a former run left is replaced.
func listen(a rpc.Address) (net.Listener, error) {
	if a.Network == "unix" {
		nc, err := net.Dial(a.Network, a.Text)
		if err == nil {
			_ = nc.Close() // somebody is there: Listen says so
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			if err := os.Remove(a.Text); err != nil {
				return nil, fmt.Errorf("listen on %s: remove the socket of a former run: %w", a.Text, err)
			}
		}
	}
	ln, err := net.Listen(a.Network, a.Text)
	if err != nil {
		return nil, fmt.Errorf("listen on %s%s: %w", a.Text, listenCure(err), err)
	}
	return ln, nil
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
