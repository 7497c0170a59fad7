package depot

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/colinmarc/hdfs/v2"
)

const (
	dialLimit  = 5 * time.Second  // for connecting to a server: a machine that is gone answers nothing
	setupLimit = 20 * time.Second // for the first answer of a DataNode, which connects to the other ones of the pipeline
	silence    = time.Minute      // how long a server may send nothing before the connection is given up
)

// session is a client with the connections of one operation. When the operation is over, or its context ends, all its
// connections are closed.
//
// The client of the library is not shared by several operations: it has one connection to the NameNode and one request
// on it at a time, so an answer that does not come would hold up everybody; after an answer that came too late it takes
// each answer for that of the next request; and when the connection breaks, it refuses to connect again for 5 seconds.
type session struct {
	*hdfs.Client
	release func() bool

	mu     sync.Mutex
	closed bool
	conns  []net.Conn
}

// connect opens a session. The caller closes it.
func (c *cluster) connect(ctx context.Context) (*session, error) {
	s := new(session)
	options := c.options
	options.NamenodeDialFunc = s.dialer(ctx, silence)
	options.DatanodeDialFunc = s.dialer(ctx, setupLimit)
	s.release = context.AfterFunc(ctx, s.cut)
	var err error
	if s.Client, err = hdfs.NewClient(options); err != nil {
		s.release()
		s.cut()
		return nil, fmt.Errorf("connect to the namenode at %s (user %s): %w", strings.Join(options.Addresses, ","),
			options.User, explain(err))
	}
	return s, nil
}

// dialer returns a function that opens connections of the session. first is how long the first answer may take.
func (s *session) dialer(ctx context.Context, first time.Duration) func(context.Context, string, string) (net.Conn, error) {
	return func(_ context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{Timeout: dialLimit}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed {
			return nil, errors.Join(net.ErrClosed, conn.Close())
		}
		s.conns = append(s.conns, conn)
		return &timedConn{Conn: conn, wait: first}, nil
	}
}

// cut closes all connections. A second time does nothing.
func (s *session) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, conn := range s.conns {
		_ = conn.Close() // whoever waits for it gets an error
	}
	s.conns = nil
}

// close ends the session.
func (s *session) close() {
	s.release()
	s.cut()
	_ = s.Client.Close() // it can only say that the connection is closed already
}

// timedConn is a connection with a limit for each read and write.
type timedConn struct {
	net.Conn
	wait time.Duration // for the next answer
}

func (c *timedConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.wait)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	c.wait = silence
	return n, err
}

func (c *timedConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// remoteError is an error with the reason that the NameNode gave. The library leaves it out.
type remoteError struct {
	error
	reason string
}

func (e *remoteError) Error() string { return e.error.Error() + ": " + e.reason }
func (e *remoteError) Unwrap() error { return e.error }

// explain adds the reason that the NameNode gave for an error.
func explain(err error) error {
	var remote hdfs.Error
	if !errors.As(err, &remote) {
		return err
	}
	reason, _, _ := strings.Cut(remote.Message(), "\n")
	if reason == "" {
		return err
	}
	return &remoteError{err, reason}
}
