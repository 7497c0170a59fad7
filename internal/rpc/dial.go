package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// Address is an address to listen on or to dial.
type Address struct {
	Network string // tcp or unix
	Text    string // HOST:PORT or a path
	TLS     bool
}

// ParseAddress parses HOST:PORT, tls://HOST:PORT or unix:PATH.
func ParseAddress(s string) (Address, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if path == "" || path[0] == '@' { // an abstract socket has no directory that controls access
			return Address{}, fmt.Errorf("address %q: want unix:PATH, as in unix:/run/inkwell/collect.sock", s)
		}
		return Address{Network: "unix", Text: path}, nil
	}
	rest, secure := strings.CutPrefix(s, "tls://")
	if _, port, err := net.SplitHostPort(rest); err != nil || port == "" || strings.ContainsAny(rest, "/ ") {
		return Address{}, fmt.Errorf("address %q: "+
			"want HOST:PORT or tls://HOST:PORT, as in 127.0.0.1:1463, or unix:PATH", s)
	}
	return Address{Network: "tcp", Text: rest, TLS: secure}, nil
}

// local returns the addresses that localhost:PORT stands for, and nothing for any other address. localhost is not
// looked up, because a bare chroot or an image made from scratch has no /etc/hosts that would name it.
func (a Address) local() []string {
	host, port, err := net.SplitHostPort(a.Text)
	if err != nil || a.Network != "tcp" || !strings.EqualFold(host, "localhost") {
		return nil
	}
	return []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)}
}

// dial connects to the address, without TLS. If nobody listens on any address of localhost, the error is that of the
// first.
func (a Address) dial(ctx context.Context) (nc net.Conn, err error) {
	var d net.Dialer
	for _, text := range a.local() {
		nc, failed := d.DialContext(ctx, a.Network, text)
		if failed == nil {
			return nc, nil
		}
		if err == nil {
			err = failed
		}
	}
	if err != nil {
		return nil, err
	}
	return d.DialContext(ctx, a.Network, a.Text)
}

// dialError says why a connection could not be made. An error of the net package also repeats the address:
//
//	dial tcp 127.0.0.1:1463: connect: connection refused
type dialError struct {
	text string // connection refused
	err  error
}

func (e *dialError) Error() string { return e.text }
func (e *dialError) Unwrap() error { return e.err }

// newDialError returns the error of dialing a. It names the address only if it is another one, as for a name with
// several.
func newDialError(err error, a Address) error {
	text := err.Error()
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		text = op.Err.Error()
		if call := (*os.SyscallError)(nil); errors.As(op.Err, &call) {
			text = call.Err.Error()
		}
		if op.Addr != nil && op.Addr.String() != a.Text {
			text = op.Addr.String() + ": " + text
		}
	}
	return &dialError{text, err}
}

// DialReason returns why a connection could not be made; ok is false if err is about something else.
func DialReason(err error) (text string, ok bool) {
	var failed *dialError
	if !errors.As(err, &failed) {
		return "", false
	}
	return failed.text, true
}

// Connect connects to addr (HOST:PORT, tls://HOST:PORT or unix:PATH) for another protocol than Thrift. The timeout
// covers connecting and the TLS handshake. Without credentials no certificate is shown, and the system's authorities
// are trusted.
func Connect(ctx context.Context, addr string, timeout time.Duration, credentials *Credentials) (net.Conn, error) {
	return connect(ctx, addr, dialOptions{timeout: timeout, tls: credentials})
}

// dialOptions are the options of connect.
type dialOptions struct {
	timeout time.Duration
	tls     *Credentials // nil = no certificate, and the system's authorities
}

// connect dials addr and completes the TLS handshake, if there is one; both together take at most the timeout.
func connect(ctx context.Context, addr string, o dialOptions) (net.Conn, error) {
	a, err := ParseAddress(addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	nc, err := a.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, newDialError(err, a))
	}
	if !a.TLS {
		return nc, nil
	}
	credentials := o.tls
	if credentials == nil {
		if credentials, err = OpenTLS(TLSFiles{}, nil); err != nil {
			return nil, errors.Join(err, nc.Close())
		}
	}
	host, _, _ := net.SplitHostPort(a.Text) // ParseAddress has checked it
	secure := tls.Client(nc, credentials.client(host))
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = nc.Close() // of no use
		return nil, fmt.Errorf("connect to %s: %w", addr, handshakeError(err))
	}
	return secure, nil
}
