package rpc

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"inkwell/internal/access"
	"inkwell/proto"
)

// hello answers every request with its path and peer.
var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s from %s", r.URL.Path, access.FromContext(r.Context()))
})

// get asks once over a connection and returns status line and body.
func get(t *testing.T, nc net.Conn, request string) (status, body string) {
	t.Helper()
	if _, err := io.WriteString(nc, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	answer, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status, string(text)
}

func TestHTTPOnThePortOfCalls(t *testing.T) {
	s := new(sink)
	server := serve(t, ServerOptions{HTTP: hello}, s, nil)
	p := server.dial(t)
	p.send(framed(logCall(1, "before")))
	p.answer(1, proto.OK)
	for _, request := range []string{"GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD /a HTTP/1.0\r\n\r\n", "OPTIONS / HTTP/1.0\r\n\r\n", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"} {
		nc, err := net.Dial("tcp", server.addr)
		if err != nil {
			t.Fatal(err)
		}
		status, body := get(t, nc, request)
		if status != "200 OK" || request[0] == 'G' && body != "/a from 127.0.0.1" {
			t.Errorf("%q: %s %q", request, status, body)
		}
		nc.Close()
	}
	p.send(framed(logCall(2, "after")))
	p.answer(2, proto.OK)
	equal(t, s.got(), "c=before", "c=after")
}

// TestHTTPByteByByte begins a request slower than anything, and then uses the connection for another.
func TestHTTPByteByByte(t *testing.T) {
	server := serve(t, ServerOptions{HTTP: hello}, new(sink), nil)
	nc, err := net.Dial("tcp", server.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	request := "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, b := range []byte(request[:len(request)-1]) {
		if _, err := nc.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	for _, rest := range []string{"\n", request} {
		if status, body := get(t, nc, rest); status != "200 OK" || body != "/slow from 127.0.0.1" {
			t.Errorf("%s %q", status, body)
		}
	}
}

// TestHTTPAfterACall is no request: what a connection is, its first bytes say.
func TestHTTPAfterACall(t *testing.T) {
	server := serve(t, ServerOptions{HTTP: hello}, new(sink), nil)
	p := server.dial(t)
	p.send(framed(logCall(1, "a")))
	p.answer(1, proto.OK)
	p.send([]byte("GET / HTTP/1.1\r\n\r\n"))
	p.ended()
	if server.stats.Overall("frames too large").Load() != 1 {
		t.Error("it was not counted")
	}
}

// TestHTTPHasItsOwnRoom fills it with requests that are not finished; calls go on.
func TestHTTPHasItsOwnRoom(t *testing.T) {
	held := make(chan struct{})
	s := new(sink)
	server := serve(t, ServerOptions{HTTP: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-held })}, s, nil)
	t.Cleanup(func() { close(held) })
	for range maxWeb {
		nc, err := net.Dial("tcp", server.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if _, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		nc, err := net.Dial("tcp", server.addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.SetDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(nc), nil)
		nc.Close()
		if err == nil && answer.StatusCode == http.StatusServiceUnavailable {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("there is no end of room")
		}
	}
	p := server.dial(t)
	p.send(framed(logCall(1, "a")))
	p.answer(1, proto.OK)
	equal(t, s.got(), "c=a")
}

func TestHTTPHeadersAreBounded(t *testing.T) {
	server := serve(t, ServerOptions{HTTP: hello}, new(sink), nil)
	nc, err := net.Dial("tcp", server.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if status, _ := get(t, nc, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 2*maxWebHeader)+"\r\n\r\n"); !strings.HasPrefix(status, "431") {
		t.Error(status)
	}
}

// TestShutdownEndsHTTP has one idle connection, one that never finished its first line, and one whose answer does not
// end until its request is cancelled.
func TestShutdownEndsHTTP(t *testing.T) {
	begun := make(chan struct{})
	server := serve(t, ServerOptions{HTTP: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/endless" {
			close(begun)
			<-r.Context().Done()
		}
	})}, new(sink), nil)
	for _, request := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HT", "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n"} {
		nc, err := net.Dial("tcp", server.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if request == "GET / HTTP/1.1\r\nHost: x\r\n\r\n" {
			get(t, nc, request)
		} else if _, err := io.WriteString(nc, request); err != nil {
			t.Fatal(err)
		}
	}
	<-begun
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// TestOnlyHTTP takes no calls on a listener that is for HTTP.
func TestOnlyHTTP(t *testing.T) {
	s := new(sink)
	server := NewServer(ServerOptions{HTTP: hello}, s, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.ServeHTTP(ln) }()
	for _, x := range []struct{ send, want string }{
		{string(framed(logCall(1, "a"))), "HTTP/1.1 400 Bad Request"},
		{"GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK"},
	} {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(nc, x.send+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, len(x.want))
		if _, err := io.ReadFull(nc, answer); err != nil || string(answer) != x.want {
			t.Errorf("%q, %v", answer, err)
		}
		nc.Close()
	}
	equal(t, s.got())
	if err := server.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func (*script) LocalAddr() net.Addr { return &net.TCPAddr{} }

// FuzzFirstBytes: a server that answers HTTP does with every connection that does not begin with a request what one
// does that does not, and no request reaches the other side.
func FuzzFirstBytes(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz"))
	f.Add(append([]byte("HEAD / HTTP/1.0\r\n\r\n"), framed(logCall(1, "a"))...))
	f.Add(append(framed(logCall(1, "a")), "GET / HTTP/1.0\r\n\r\n"...))
	f.Add([]byte("GET"))
	f.Add([]byte("get / http/1.0\r\n\r\n"))
	f.Add([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		run := func(h http.Handler) (out []byte, entries int) {
			handler := &sink{before: func(_ context.Context, b *proto.Batch) (proto.ResultCode, error) {
				entries += b.Count()
				return proto.OK, nil
			}}
			s := NewServer(ServerOptions{MaxFrame: 1 << 20, HTTP: h}, handler, nil)
			nc := new(script)
			nc.in.Reset(data)
			c := newConn(s, nc)
			s.mu.Lock()
			s.conns[c] = struct{}{}
			s.mu.Unlock()
			c.run()
			if s.web != nil && len(s.web.room) > 0 {
				t.Error("room was not given back")
			}
			return nc.out.Bytes(), entries
		}
		with, entries := run(hello)
		if len(data) >= 4 && webMethods[string(data[:4])] {
			if entries > 0 || len(with) > 0 && !bytes.HasPrefix(with, []byte("HTTP/1.")) {
				t.Errorf("%q: %d entries, answer %q", data, entries, with)
			}
			return
		}
		without, same := run(nil)
		if !bytes.Equal(with, without) || entries != same {
			t.Errorf("%q: %q and %d entries, without HTTP %q and %d", data, with, entries, without, same)
		}
	})
}
