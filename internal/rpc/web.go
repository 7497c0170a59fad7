package rpc

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"inkwell/internal/access"
)

// Limits of HTTP, in addition to those of all connections.
const (
	maxWeb        = 64               // connections that speak HTTP at once
	maxWebPeer    = maxWeb / 4       // of one address, except this machine
	maxWebHeader  = 16 << 10         // bytes of a request line and its headers
	webHeaderTime = 10 * time.Second // to receive them
	webWriteTime  = 30 * time.Second // for an answer; a handler that needs longer extends the deadline
	webIdleTime   = time.Minute      // between two requests
)

// errHTTP ends Thrift on a connection whose first bytes are an HTTP request.
var errHTTP = errors.New("the peer speaks HTTP")

// webMethods are the first bytes of HTTP requests. Read as the length of a frame, each is more than a gigabyte, so that
// no call begins like that.
var webMethods = map[string]bool{
	"GET ": true, "HEAD": true, "OPTI": true, "POST": true, "PUT ": true, "DELE": true, "PATC": true,
}

// speaksHTTP says whether a new connection begins with a request that the server has a handler for.
func (c *conn) speaksHTTP() bool {
	return c.s.web != nil && c.fresh && webMethods[string(c.unread[:4])]
}

// web answers HTTP on connections of a Server. The handler makes sure that no request body is waited for.
type web struct {
	http.Server
	room chan struct{} // holds a value for each connection
}

// newWeb returns a web that answers with h; nil if h is nil.
func newWeb(h http.Handler, o *ServerOptions) *web {
	if h == nil {
		return nil
	}
	w := &web{room: make(chan struct{}, maxWeb)}
	w.Server = http.Server{
		Handler: h, MaxHeaderBytes: maxWebHeader, ReadHeaderTimeout: min(webHeaderTime, o.headerTimeout()),
		WriteTimeout: webWriteTime, IdleTimeout: min(webIdleTime, o.IdleTimeout),
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			return access.NewContext(ctx, &nc.(*webConn).c.caller)
		},
	}
	return w
}

const webBusy = "HTTP/1.1 503 Service Unavailable\r\n" +
	"Connection: close\r\nRetry-After: 5\r\nContent-Type: text/plain\r\n\r\n" +
	"too many connections speak HTTP at once: try again\n"

// serveHTTP answers requests until the connection ends.
func (c *conn) serveHTTP() error {
	w := c.s.web
	if !c.enterWeb() {
		if err := c.nc.SetWriteDeadline(time.Now().Add(c.s.o.WriteTimeout)); err != nil {
			return err
		}
		_, err := io.WriteString(c.nc, webBusy)
		return err
	}
	defer c.leaveWeb()
	c.mu.Lock()
	c.idle = true // Shutdown waits for no request after the current one
	c.mu.Unlock()
	nc := &webConn{Conn: c.nc, c: c, before: c.unread, closed: make(chan struct{})}
	if err := w.Serve(&single{conn: nc, taken: make(chan struct{}, 1)}); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// enterWeb counts the connection among those that speak HTTP; it is false if there are too many.
func (c *conn) enterWeb() bool {
	select {
	case c.s.web.room <- struct{}{}:
	default:
		return false
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.from == nil {
		return true
	}
	if c.from.web >= maxWebPeer {
		<-c.s.web.room
		return false
	}
	c.from.web++
	return true
}

// leaveWeb undoes enterWeb.
func (c *conn) leaveWeb() {
	<-c.s.web.room
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.from != nil {
		c.from.web--
	}
}

// webConn is a connection that net/http serves. It first reads the bytes that were already received.
type webConn struct {
	net.Conn
	c      *conn
	before []byte

	once   sync.Once
	closed chan struct{}
}

// Read implements net.Conn.
func (w *webConn) Read(p []byte) (int, error) {
	if len(w.before) > 0 {
		n := copy(p, w.before)
		w.before = w.before[n:]
		return n, nil
	}
	return w.Conn.Read(p)
}

// Close implements net.Conn.
func (w *webConn) Close() error {
	w.once.Do(func() { close(w.closed) })
	return w.Conn.Close()
}

// CloseWrite lets the peer read the answer before the connection is closed, even if it is still sending.
func (w *webConn) CloseWrite() error {
	if half, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// single is a listener for one connection, and ends with it.
type single struct {
	conn  *webConn
	taken chan struct{} // full once the connection was accepted
}

// Accept implements net.Listener.
func (l *single) Accept() (net.Conn, error) {
	select {
	case l.taken <- struct{}{}:
		return l.conn, nil
	case <-l.conn.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. The connection goes on until net/http closes it.
func (l *single) Close() error { return nil }

// Addr implements net.Listener.
func (l *single) Addr() net.Addr { return l.conn.LocalAddr() }
