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

// clientHello is what the first three bytes of a TLS connection are, read as the upper ones of a frame's length.
const clientHello = 0x160301

// linger is how long a peer whose handshake failed may go on talking, and lingerBytes how much: closing at once would throw away the alert
// that tells it why, when it has sent something already.
const (
	linger      = time.Second
	lingerBytes = 64 << 10
)

// identify finds out who is at the other end. Who cannot be found out has no name and no address, and no rule is for him.
func (c *conn) identify() {
	id, err := access.Of(c.nc)
	if err != nil {
		c.s.log.Debug("peer of a connection is not known", "error", err)
	}
	c.caller = access.Caller{Identity: id}
	c.ctx = context.WithValue(access.With(c.s.ctx, &c.caller), thrownKey{}, &c.thrown)
}

// handshake shakes hands where the listener speaks TLS; then the peer has names.
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
	case err == io.EOF: // it came to see whether the port is open
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return c.readError(err)
	case c.s.ctx.Err() != nil:
		return errStopped
	}
	c.hangUp(secure.NetConn())
	return &fault{c.s.handshakes, "TLS: " + explain(err).Error()}
}

// cut ends the connection without a word: saying good-bye over TLS could wait for the peer.
func (c *conn) cut() {
	nc := c.nc
	if secure, ok := nc.(*tls.Conn); ok {
		nc = secure.NetConn()
	}
	_ = nc.Close() // as good as gone
}

// hangUp lets the peer read the alert before the connection is closed.
func (c *conn) hangUp(nc net.Conn) {
	if half, ok := nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil && nc.SetReadDeadline(time.Now().Add(linger)) == nil {
		_, _ = io.CopyN(io.Discard, nc, lingerBytes) // whatever comes, the connection ends here
	}
}
