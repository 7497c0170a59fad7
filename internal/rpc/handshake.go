package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"inkwell/internal/access"
)

// clientHello is the first three bytes of a TLS connection, read as the upper bytes of a frame's length.
const clientHello = 0x160301

// linger and lingerBytes bound how long, and how many bytes, are read from a peer whose handshake has failed. Closing
// the connection at once while unread data arrives would discard the alert that tells the peer why.
const (
	linger      = time.Second
	lingerBytes = 64 << 10
)

// alertVersion is an unencrypted TLS alert: fatal, protocol_version. It tells a client without TLS that the listener
// needs it: an Inkwell recognizes the bytes (see speaksTLS), and any other client sees an invalid frame. A Thrift
// exception could say it in words, but senders would take that as the final refusal of their entries.
var alertVersion = []byte{0x15, 3, 1, 0, 2, 2, 70}

// ErrSpeaksTLS is the error of a client without TLS that receives such an alert.
var ErrSpeaksTLS = errors.New("the peer speaks TLS: write tls:// before the address")

// speaksTLS says whether the upper two bytes of a frame's length are those of a TLS alert.
func speaksTLS(upper []byte) bool { return upper[0] == 0x15 && upper[1] == 3 }

// plainAnswers turns a TLS alert on a connection without TLS into an error that says so. For one goroutine.
type plainAnswers struct {
	net.Conn
	seen []byte // the first two bytes
}

// Read implements net.Conn.
func (p *plainAnswers) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if missing := 2 - len(p.seen); missing > 0 && n > 0 {
		p.seen = append(p.seen, b[:min(n, missing)]...)
		if len(p.seen) == 2 && speaksTLS(p.seen) {
			return 0, ErrSpeaksTLS
		}
	}
	return n, err
}

// identify finds out who the peer is. A peer that cannot be identified has no name and no address, so that no rule
// matches it.
func (c *conn) identify() {
	id, err := access.Identify(c.nc)
	if err != nil {
		c.s.log.Debug("peer of a connection is not known", "error", err)
	}
	c.caller = access.Caller{Identity: id}
	c.ctx = context.WithValue(access.NewContext(c.s.ctx, &c.caller), thrownKey{}, &c.thrown)
}

// handshake completes the handshake if the listener speaks TLS. Only then does the peer have names.
func (c *conn) handshake() error {
	secure, ok := c.nc.(*tls.Conn)
	if !ok {
		return nil
	}
	if err := c.await(true); err != nil {
		return err
	}
	if err := c.nc.SetWriteDeadline(time.Now().Add(c.s.o.headerTimeout())); err != nil {
		return err
	}
	err := secure.HandshakeContext(c.s.ctx)
	switch {
	case err == nil:
		c.identify()
		return nil
	case err == io.EOF: // a health check that only connects
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return c.readError(err)
	case c.s.ctx.Err() != nil:
		return errStopped
	}
	var plain tls.RecordHeaderError
	if errors.As(err, &plain) && plain.Conn != nil {
		_, _ = plain.Conn.Write(alertVersion) // best effort: the connection is closed in any case
	}
	c.hangUp(secure.NetConn())
	return &fault{c.s.handshakes, "TLS: " + explain(err).Error()}
}

// cut closes the connection without a TLS close_notify, which could block.
func (c *conn) cut() {
	nc := c.nc
	if secure, ok := nc.(*tls.Conn); ok {
		nc = secure.NetConn()
	}
	_ = nc.Close() // nothing can be done about an error
}

// hangUp lets the peer read the alert before the connection is closed.
func (c *conn) hangUp(nc net.Conn) {
	half, ok := nc.(interface{ CloseWrite() error })
	if ok && half.CloseWrite() == nil && nc.SetReadDeadline(time.Now().Add(linger)) == nil {
		_, _ = io.CopyN(io.Discard, nc, lingerBytes) // best effort: the connection is closed in any case
	}
}
