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

// linger is how long a peer whose handshake failed may go on talking, and lingerBytes how much: closing at once would
// throw away the alert that tells it why, when it has sent something already.
const (
	linger      = time.Second
	lingerBytes = 64 << 10
)

// alertVersion is a TLS alert in plain bytes: fatal, protocol_version. It tells a client that speaks no TLS that the
// listener does: an Inkwell knows the bytes (see speaksTLS), any other client finds no frame in them. An exception of
// Thrift would say it in words, but is for senders the final refusal of their entries.
var alertVersion = []byte{0x15, 3, 1, 0, 2, 2, 70}

// errSpeaksTLS is what a client that speaks no TLS makes of an alert.
var errSpeaksTLS = errors.New("the peer speaks TLS: write tls:// before the address")

// speaksTLS says whether the upper two bytes of what should be the length of a frame are those of a TLS alert.
func speaksTLS(upper []byte) bool { return upper[0] == 0x15 && upper[1] == 3 }

// plainAnswers are the answers on a connection without TLS: an alert of TLS in their place is an error that says so.
// For one goroutine.
type plainAnswers struct {
	net.Conn
	seen []byte // the first two bytes
}

// Read reads.
func (p *plainAnswers) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if missing := 2 - len(p.seen); missing > 0 && n > 0 {
		p.seen = append(p.seen, b[:min(n, missing)]...)
		if len(p.seen) == 2 && speaksTLS(p.seen) {
			return 0, errSpeaksTLS
		}
	}
	return n, err
}

// identify finds out who is at the other end. Who cannot be found out has no name and no address, and no rule is for
// him.
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
	var plain tls.RecordHeaderError
	if errors.As(err, &plain) && plain.Conn != nil {
		_, _ = plain.Conn.Write(alertVersion) // whether it hears that or not, the connection ends here
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
