package rpc

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"inkwell/internal/stats"
	"inkwell/proto"
)

// pipes is a listener of connections within the process, whose deadlines follow the clock of a bubble.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	nc, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return nc, nil
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// piped runs f with a server in a bubble: time passes at once when everybody waits. wrap makes the listener of the
// server out of that of the pipes; nil: it is that.
func piped(t *testing.T, wrap func(net.Listener) (net.Listener, error), f func(t *testing.T, count func(string) int64, dial func() net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ln := make(pipes)
		var on net.Listener = ln
		if wrap != nil {
			var err error
			if on, err = wrap(ln); err != nil {
				t.Fatal(err)
			}
		}
		set := stats.New()
		s := NewServer(ServerOptions{Stats: set}, nothing{}, nil)
		served := make(chan error)
		go func() { served <- s.Serve(on) }()
		f(t, func(name string) int64 { return set.Get(stats.Overall + ":" + name) }, func() net.Conn {
			ours, theirs := net.Pipe()
			t.Cleanup(func() { ours.Close() })
			ln <- theirs
			return ours
		})
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// A large frame has to go on: what comes by the byte is cut off, however often it comes.
func TestLargeFrameByTheByte(t *testing.T) {
	piped(t, nil, func(t *testing.T, count func(string) int64, dial func() net.Conn) {
		nc := dial()
		if _, err := nc.Write(append(binary.BigEndian.AppendUint32(nil, 2<<20), make([]byte, 300_000)...)); err != nil {
			t.Fatal(err)
		}
		bytes := 0
		for ; bytes < 100; bytes++ {
			time.Sleep(10 * time.Second)
			if _, err := nc.Write([]byte{0}); err != nil {
				break
			}
		}
		if bytes > 3 {
			t.Errorf("%d bytes were taken, one each 10 s", bytes)
		}
		nc.Close()
		synctest.Wait()
		if n, held := count("connections timed out"), count("bytes in flight"); n != 1 || held != 0 {
			t.Errorf("timed out %d, in flight %d", n, held)
		}
	})
}

// A large frame may take its time as long as it goes on.
func TestLargeFrameThatGoesOn(t *testing.T) {
	piped(t, nil, func(t *testing.T, _ func(string) int64, dial func() net.Conn) {
		nc := dial()
		frame := framed(logCall(1, strings.Repeat("x", 4_000_000)))
		for len(frame) > 0 {
			n := min(len(frame), freeFrame)
			if _, err := nc.Write(frame[:n]); err != nil {
				t.Fatalf("%d bytes before the end: %v", len(frame), err)
			}
			frame = frame[n:]
			time.Sleep(20 * time.Second)
		}
		(&peer{nc, t}).answer(1, proto.OK)
	})
}

// The time to the first call begins with the connection: a handshake does not start it anew.
func TestHeaderTimeWithAHandshake(t *testing.T) {
	ours := newAuthority(t, "our authority")
	server, err := OpenTLS(ours.issue("server", leaf{names: []string{"127.0.0.1"}}), nil)
	if err != nil {
		t.Fatal(err)
	}
	piped(t, server.Listener, func(t *testing.T, count func(string) int64, dial func() net.Conn) {
		began := time.Now()
		nc := dial()
		time.Sleep(40 * time.Second)
		secure := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
		if err := secure.Handshake(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, secure); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != time.Minute || count("connections timed out") != 1 {
			t.Errorf("the connection lasted %v, timed out %d", took, count("connections timed out"))
		}
	})
}

// Memory grows with what has come of a frame, also beyond what small frames have.
func TestLargeFramesTakeMemoryAsTheyCome(t *testing.T) {
	r := serve(t, ServerOptions{}, new(sink), nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const peers, sent = 4, 300_000
	for range peers {
		p := r.dial(t)
		p.send(append([]byte{3, 0x80, 0, 0}, make([]byte, sent)...)) // 56 MiB announced
	}
	eventually(t, "frames in flight", func() bool { return r.count("bytes in flight") == peers*56<<20 })
	runtime.ReadMemStats(&after)
	if got := int64(after.TotalAlloc - before.TotalAlloc); got > peers*16*sent {
		t.Errorf("%d bytes were allocated for %d peers that sent %d each", got, peers, sent)
	}
}
