package syslog

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a socket on which messages are received.
type socket interface {
	// serve receives messages until ctx ends and everything that was sent by then is read.
	serve(ctx, hard context.Context, in *Input)
	close() error
	String() string
}

// deadlined is a connection with read deadlines.
type deadlined interface{ SetReadDeadline(time.Time) error }

// last bounds the reading of a connection once the input is to end: it goes on while data arrives, for lastCall at
// most.
type last struct {
	conn deadlined
	end  time.Time // zero: the input is not to end yet
}

// watch interrupts a waiting read when ctx ends. The result stops that.
func (l *last) watch(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = l.conn.SetReadDeadline(time.Unix(1, 0)) })
}

// again says whether to read once more after err.
func (l *last) again(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || !l.end.IsZero() {
		return false
	}
	l.end = time.Now().Add(lastCall)
	l.before()
	return true
}

// before sets the deadline of the next read.
func (l *last) before() {
	if l.end.IsZero() {
		return
	}
	until := time.Now().Add(quiet)
	if until.After(l.end) {
		until = l.end
	}
	_ = l.conn.SetReadDeadline(until)
}

// datagrams is a socket for messages that come one by one.
type datagrams struct {
	conn interface {
		deadlined
		ReadFrom([]byte) (int, net.Addr, error)
		Close() error
	}
	address address
	drops   uint32 // datagrams the kernel has dropped since the socket was made, as far as counted
}

func (d *datagrams) String() string { return d.address.String() }

func (d *datagrams) serve(ctx, hard context.Context, in *Input) {
	l := &last{conn: d.conn}
	_ = d.conn.SetReadDeadline(time.Time{}) // an earlier input may have set one
	defer l.watch(ctx)()
	buf, control := make([]byte, 64<<10), make([]byte, 64)
	parsers := make(map[string]*parser)
	for {
		l.before()
		n, peer, lost, err := d.read(buf, control)
		if drops := d.drops; lost != drops && err == nil {
			in.dropped.Add(int64(lost - drops)) // correct even if the counter has wrapped around
			in.log.Warn("datagrams were dropped, because they came faster than they are read",
				"address", d.String(), "dropped", lost-drops)
			d.drops = lost
		}
		if err != nil {
			if l.again(err) {
				continue
			}
			if ctx.Err() == nil {
				in.log.Error("cannot read syslog messages", "address", d.String(), "err", err)
			}
			return
		}
		p := parsers[peer]
		if p == nil {
			if len(parsers) >= 1024 { // bounded, because source addresses can be forged
				clear(parsers)
			}
			p = newParser(peer, peer)
			if d.address.isUnix() {
				p.local = in.hostname
			}
			parsers[peer] = p
		}
		if !in.takeAll(hard, p, buf[:n]) {
			return
		}
	}
}

// takeAll puts a datagram into the queue, in pieces if it is longer than a message may be.
func (in *Input) takeAll(hard context.Context, p *parser, b []byte) bool {
	now := time.Now()
	for first := true; len(b) > 0; first = false {
		piece := b[:min(len(b), in.o.MaxLine)]
		b = b[len(piece):]
		if len(b) > 0 {
			in.split.Add(1)
		}
		if !in.take(hard, p.parse(piece, now, !first)) {
			return false
		}
	}
	return true
}

// read reads a datagram. lost is how many datagrams the kernel has dropped before it, since the socket was made.
func (d *datagrams) read(buf, control []byte) (n int, peer string, lost uint32, err error) {
	u, ok := d.conn.(*net.UDPConn)
	if !ok {
		n, _, err = d.conn.ReadFrom(buf)
		return n, "local", 0, err
	}
	n, cn, _, from, err := u.ReadMsgUDPAddrPort(buf, control)
	if err != nil {
		return 0, "", 0, err
	}
	messages, err := syscall.ParseSocketControlMessage(control[:cn])
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_RXQ_OVFL && len(m.Data) >= 4 {
			lost = binary.NativeEndian.Uint32(m.Data)
		}
	}
	return n, from.Addr().Unmap().String(), lost, err
}

func (d *datagrams) close() error { return closeSocket(d.conn) }

// closeSocket closes a socket that may already be closed.
func closeSocket(c io.Closer) error {
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// streams is a listener for connections over which messages come one after the other.
type streams struct {
	listener interface {
		net.Listener
		SetDeadline(time.Time) error
	}
	address address
}

func (s *streams) String() string { return s.address.String() }

func (s *streams) close() error { return closeSocket(s.listener) }

func (s *streams) serve(ctx, hard context.Context, in *Input) {
	_ = s.listener.SetDeadline(time.Time{}) // an earlier input may have set one
	defer context.AfterFunc(ctx, func() { _ = s.listener.SetDeadline(time.Unix(1, 0)) })()
	for {
		c, err := s.listener.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			in.log.Warn("cannot accept a syslog connection", "address", s.String(), "err", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second): // usually there are no free descriptors
			}
			continue
		}
		select {
		case in.conns <- struct{}{}:
			in.readers.Go(func() {
				defer func() { <-in.conns }()
				s.read(ctx, hard, in, c)
			})
		default:
			in.tooMany(s.String(), c)
		}
	}
}

// tooMany closes a connection that is over the limit, and logs that once a minute.
func (in *Input) tooMany(address string, c net.Conn) {
	_ = c.Close()
	in.refused.Add(1)
	now := time.Now().Unix()
	if told := in.crowded.Load(); now-told >= 60 && in.crowded.CompareAndSwap(told, now) {
		in.log.Warn("too many syslog connections: closed at once", "address", address, "limit", in.o.MaxConnections)
	}
}

// read receives the messages of one connection.
func (s *streams) read(ctx, hard context.Context, in *Input, c net.Conn) {
	defer c.Close()
	l := &last{conn: c}
	defer l.watch(ctx)()
	peer, local := "local", in.hostname
	if addr, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		peer = addr.AddrPort().Addr().Unmap().String()
		local = peer
	}
	p := newParser(peer, local)
	f := newFrames(&lastReader{Conn: c, last: l}, in.o.MaxLine, s.address.isUnix())
	for {
		b, err := f.next()
		if err != nil {
			if !errors.Is(err, io.EOF) && ctx.Err() == nil {
				in.log.Info("a syslog connection broke", "peer", peer, "err", err)
			}
			return
		}
		if f.split {
			in.split.Add(1)
		}
		if !in.take(hard, p.parse(b, time.Now(), true)) {
			return
		}
	}
}

// lastReader returns io.EOF some time after its input is to end: see last.
type lastReader struct {
	net.Conn
	last *last
}

func (r *lastReader) Read(p []byte) (int, error) {
	for {
		r.last.before()
		n, err := r.Conn.Read(p)
		if n > 0 || err == nil {
			return n, nil
		}
		if r.last.again(err) {
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = io.EOF
		}
		return 0, err
	}
}
