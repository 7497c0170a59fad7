package access

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
)

// Identity is who is at the other end of a connection.
type Identity struct {
	Addr netip.Addr // zero for a unix socket
	Unix *Peer      // nil for anything else
	TLS  bool       // it speaks TLS, with or without a certificate of its own
	// Names are those of its verified certificate: DNS names, URIs and mail addresses, told apart by kindOf.
	Names []string
}

// Peer is the process at the other end of a unix socket, as reported by the kernel.
type Peer struct {
	UID, GID uint32
	PID      int32
}

// Identify finds out who the peer of nc is. A TLS connection must have completed its handshake: before that the peer
// has no names.
func Identify(nc net.Conn) (Identity, error) {
	switch c := nc.(type) {
	case *tls.Conn:
		id, err := Identify(c.NetConn())
		id.TLS = true
		if state := c.ConnectionState(); err == nil && state.HandshakeComplete && len(state.VerifiedChains) > 0 {
			id.Names = names(state.VerifiedChains[0][0])
		}
		return id, err
	case *net.UnixConn:
		peer, err := peerOf(c)
		return Identity{Unix: peer}, err
	}
	ap, err := netip.ParseAddrPort(nc.RemoteAddr().String())
	if err != nil {
		return Identity{}, fmt.Errorf("read the address of a peer: %w", err)
	}
	return Identity{Addr: ap.Addr().Unmap()}, nil
}

// Local says whether the peer is on this machine.
func (id *Identity) Local() bool { return id.Unix != nil || id.Addr.IsLoopback() }

// String names the peer for logs: its first name or user, and its address.
func (id *Identity) String() string {
	switch {
	case id.Unix != nil:
		return fmt.Sprintf("unix uid=%d gid=%d pid=%d", id.Unix.UID, id.Unix.GID, id.Unix.PID)
	case len(id.Names) > 0:
		return fmt.Sprintf("%s %q", id.Addr, id.Names[0])
	}
	return id.Addr.String()
}

// names returns the subject alternative names of a certificate. A name whose form belongs to another kind is left out:
// what an authority signed as a DNS name must not be taken for a URI because it looks like one.
func names(cert *x509.Certificate) []string {
	var all []string
	add := func(name string, as kind) {
		if kindOf(name) == as {
			all = append(all, name)
		}
	}
	for _, name := range cert.DNSNames {
		add(strings.ToLower(name), dnsName)
	}
	for _, uri := range cert.URIs {
		add(uri.String(), uriName)
	}
	for _, address := range cert.EmailAddresses {
		add(address, mailName)
	}
	return all
}

// peerOf asks the kernel for the peer of a unix socket.
func peerOf(c *net.UnixConn) (*Peer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("ask for the peer of a unix socket: %w", err)
	}
	var cred *syscall.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		cred, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return nil, fmt.Errorf("ask for the peer of a unix socket: %w", err)
	}
	if failed != nil {
		return nil, fmt.Errorf("ask for the peer of a unix socket: %w", failed)
	}
	return &Peer{UID: cred.Uid, GID: cred.Gid, PID: cred.Pid}, nil
}
