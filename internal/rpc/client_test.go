package rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"inkwell/proto"
)

func client(t testing.TB, addr string, o ClientOptions) *Client {
	t.Helper()
	c, err := Dial(context.Background(), addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestClientLog(t *testing.T) {
	s := new(sink)
	r := serve(t, ServerOptions{}, s, nil)
	c := client(t, r.addr, ClientOptions{})
	big := strings.Repeat("x", 5_000_000)
	numbered := batch("n1", "n2")
	numbered.AppendSpan(proto.Span{Stream: [16]byte{1}, First: 7, Count: 2})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, batches := range [][]*proto.Batch{
		{batch("a", "b")},
		nil,
		{batch("c"), new(proto.Batch), batch(big), batch("d", "e"), numbered},
	} {
		if code, err := c.Log(ctx, batches); code != proto.OK || err != nil {
			t.Fatal(code, err)
		}
	}
	equal(t, s.got(), "c=a", "c=b", "c=c", "c="+big, "c=d", "c=e", "c=n1", "c=n2")
	if len(s.spans) != 2 || s.spans[0] != (proto.Span{Count: 4}) || s.spans[1] != numbered.Spans()[0] {
		t.Errorf("spans %v", s.spans)
	}
	if s.calls != 3 {
		t.Errorf("%d calls", s.calls)
	}
}

func TestClientAnswers(t *testing.T) {
	s := &sink{before: func(_ context.Context, b *proto.Batch) (proto.ResultCode, error) {
		if b.Count() == 1 {
			return proto.TryLater, nil
		}
		return proto.OK, errors.New("no such disk")
	}}
	r := serve(t, ServerOptions{}, s, nil)
	c := client(t, r.addr, ClientOptions{})
	if code, err := c.Log(context.Background(), []*proto.Batch{batch("a")}); code != proto.TryLater || err != nil {
		t.Fatal(code, err)
	}
	var refusal *proto.ApplicationError
	if _, err := c.Log(context.Background(), []*proto.Batch{batch("a", "b")}); !errors.As(err, &refusal) || refusal.Kind != proto.InternalError {
		t.Fatal(err)
	}
	if _, err := c.Log(context.Background(), nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a call after an error: %v", err)
	}
}

// A server that does what it should not.
func TestClientOfABadServer(t *testing.T) {
	ok := proto.AppendLogReply(nil, proto.Reply{SeqID: 1, Code: proto.OK})
	long := proto.AppendException(nil, proto.Call{Method: "Log", SeqID: 1}, proto.InternalError, strings.Repeat("x", 900))
	tests := []struct {
		name  string
		reply []byte // nil: none, the connection stays open
		want  func(error) bool
	}{
		{"good, for comparison", framed(ok), func(err error) bool { return err == nil }},
		{"an exception that is longer than a reply", framed(long), func(err error) bool { return errors.As(err, new(*proto.ApplicationError)) }},
		{"silence", nil, func(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }},
		{"half a reply", framed(ok)[:10], func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		{"no reply", []byte{}, func(err error) bool { return errors.Is(err, io.EOF) }},
		{"reply to another call", framed(proto.AppendLogReply(nil, proto.Reply{SeqID: 2, Code: proto.OK})), func(err error) bool { return strings.Contains(err.Error(), "the reply is to call 2") }},
		{"not Thrift", []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), func(err error) bool { return strings.Contains(err.Error(), "a reply of length") }},
		{"length 0", []byte{0, 0, 0, 0}, func(err error) bool { return strings.Contains(err.Error(), "a reply of length 0") }},
		{"negative length", []byte{0xff, 0, 0, 0}, func(err error) bool { return strings.Contains(err.Error(), "a reply of length") }},
		{"two replies", append(framed(ok), framed(ok)...), func(err error) bool { return strings.Contains(err.Error(), "24 bytes behind") }},
		{"noise", framed([]byte("noise, noise")), func(err error) bool { return errors.Is(err, proto.ErrMalformed) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ln := mustListen(t)
			done := make(chan struct{})
			served := make(chan struct{})
			go func() {
				defer close(served)
				nc, err := ln.Accept()
				if err != nil {
					return
				}
				defer nc.Close()
				if _, err := io.ReadFull(nc, make([]byte, len(framed(logCall(1, "a"))))); err != nil {
					return
				}
				if tt.reply == nil {
					<-done
				}
				nc.Write(tt.reply)
			}()
			timeout := patience
			if tt.reply == nil {
				timeout = 20 * time.Millisecond
			}
			c := client(t, ln.Addr().String(), ClientOptions{Timeout: timeout, MaxReply: 2000})
			if _, err := c.Log(context.Background(), []*proto.Batch{batch("a")}); !tt.want(err) {
				t.Errorf("error %v", err)
			}
			close(done)
			ln.Close()
			<-served
		})
	}
}

func TestClientContext(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := &sink{before: func(context.Context, *proto.Batch) (proto.ResultCode, error) {
		close(entered)
		<-leave
		return proto.OK, nil
	}}
	r := serve(t, ServerOptions{}, s, nil)
	c := client(t, r.addr, ClientOptions{})
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("no time")
	go func() { <-entered; cancel(why) }()
	if _, err := c.Log(ctx, []*proto.Batch{batch("a")}); !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
	close(leave)
	late, cancelLate := context.WithTimeout(context.Background(), time.Nanosecond)
	defer cancelLate()
	c = client(t, r.addr, ClientOptions{})
	if _, err := c.Log(late, []*proto.Batch{batch("a")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestDialFails(t *testing.T) {
	ln := mustListen(t)
	addr := ln.Addr().String()
	ln.Close()
	if _, err := Dial(context.Background(), addr, ClientOptions{}); err == nil || !strings.Contains(err.Error(), "connect to "+addr) {
		t.Errorf("error %v", err)
	}
	if _, _, err := FB303(addr, patience, nil); err == nil || !strings.Contains(err.Error(), "connect to "+addr) {
		t.Errorf("error %v", err)
	}
}

// TestLocalhostNeedsNoResolver dials and listens on localhost, with an /etc/hosts that may not know the name; the test of
// the tarball does so in a directory where there is none.
func TestLocalhostNeedsNoResolver(t *testing.T) {
	for text, want := range map[string][]string{
		"localhost:1463": {"127.0.0.1:1463", "[::1]:1463"},
		"LocalHost:7":    {"127.0.0.1:7", "[::1]:7"},
		"localhosts:7":   nil,
		"127.0.0.2:7":    nil,
	} {
		if got := (Address{Network: "tcp", Text: text}).local(); !slices.Equal(got, want) {
			t.Errorf("%s stands for %q, want %q", text, got, want)
		}
	}
	if got := (Address{Network: "unix", Text: "localhost:7"}).local(); got != nil {
		t.Errorf("a path stands for %q", got)
	}
	listeners, err := ListenAll([]string{"localhost:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer listeners[0].Close()
	at := listeners[0].Addr().(*net.TCPAddr)
	if want := netip.MustParseAddr("127.0.0.1"); at.AddrPort().Addr() != want {
		t.Errorf("localhost is listened on at %v", at)
	}
	addr := fmt.Sprintf("localhost:%d", at.Port)
	nc, err := Connect(t.Context(), addr, patience, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(nc.Close(), listeners[0].Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Connect(t.Context(), addr, patience, nil); !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), "127.0.0.1:") {
		t.Errorf("where nobody listens: %v", err)
	}
}

func TestBackoff(t *testing.T) {
	tests := []struct {
		name      string
		b         Backoff
		low, high time.Duration
	}{
		{"zero", Backoff{}, 100 * time.Millisecond, 10 * time.Second},
		{"given", Backoff{Min: time.Millisecond, Max: 50 * time.Millisecond}, time.Millisecond, 50 * time.Millisecond},
		{"no room", Backoff{Min: time.Second, Max: time.Second}, time.Second, time.Second},
		{"upside down", Backoff{Min: time.Second, Max: time.Millisecond}, time.Millisecond, time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 20 {
				bound := tt.low
				for i := range 200 {
					bound = min(2*bound, tt.high)
					if d := tt.b.Next(); d < tt.low || d > bound {
						t.Fatalf("attempt %d: %v, want %v to %v", i, d, tt.low, bound)
					}
				}
				tt.b.Reset()
			}
		})
	}
	var longest time.Duration
	b := Backoff{Max: time.Minute}
	for range 1000 {
		longest = max(longest, b.Next())
	}
	if longest < 30*time.Second {
		t.Errorf("it never grew over %v", longest)
	}
}

// What a server says reaches nobody's terminal as it is, and takes no memory that it did not send.
func TestWordsOfABadServer(t *testing.T) {
	evil := proto.AppendException(nil, proto.Call{Method: "Log", SeqID: 1}, proto.InternalError, "\x1b]0;evil\a\u009b31m"+strings.Repeat("x", 3000))
	err := call(t, answering(t, framed(evil)), TLSFiles{})
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\a\u009b") || !strings.Contains(err.Error(), "]0;evil") || len(err.Error()) > 2*maxShown {
		t.Errorf("error %.100q, %d bytes", err, len(fmt.Sprint(err)))
	}
	header := []byte("\x00\x00\x00\x0bgetCounters\x02\x00\x00\x00\x01\x0d\x00\x00\x0b\x0a")
	for name, reply := range map[string][]byte{
		"a frame that is not sent":   {0x03, 0xff, 0xff, 0xff, 1, 2, 3},
		"a frame over the limit":     {0x7f, 0xff, 0xff, 0xff},
		"a map that is not there":    framed(header, []byte{0x00, 0x7f, 0xff, 0xff}),
		"a name that is not there":   framed(header, []byte{0, 0, 0, 1, 0x03, 0xff, 0xff, 0xff}),
		"a map of a negative length": framed(header, []byte{0x80, 0, 0, 0}),
	} {
		c, closer, err := FB303(answering(t, reply), 200*time.Millisecond, nil)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		counters, err := c.GetCounters(context.Background())
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; err == nil || took > 1<<20 {
			t.Errorf("%s: %d counters, %v, %d bytes", name, len(counters), err, took)
		}
		closer.Close()
	}
}

// endlessReply reads the beginning of a call and returns that of a reply to it: up to a text in a field that nobody
// knows, which the client has to read to its end.
func endlessReply(nc net.Conn) ([]byte, error) {
	head := make([]byte, 8)
	if _, err := io.ReadFull(nc, head); err != nil {
		return nil, err
	}
	rest := make([]byte, binary.BigEndian.Uint32(head[4:])+5) // name, type, number
	if _, err := io.ReadFull(nc, rest); err != nil {
		return nil, err
	}
	rest[len(rest)-5] = 2 // a reply
	reply := append(append([]byte{0, 0, 0x80, 0}, head[4:]...), rest...)
	return append(reply, 0x0b, 0, 99, 0, 0, 0x70, 0), nil
}

// A server that answers byte by byte, for ever, holds up nobody for longer than the timeout.
func TestAnswersThatDrip(t *testing.T) {
	ln := mustListen(t)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer nc.Close()
				begin, err := endlessReply(nc)
				if err == nil {
					_, err = nc.Write(begin)
				}
				for ; err == nil; _, err = nc.Write([]byte{'x'}) {
					time.Sleep(2 * time.Millisecond)
				}
			})
		}
	})
	defer func() {
		ln.Close()
		serving.Wait()
	}()
	const short = time.Second // which no byte is late by
	addr := ln.Addr().String()
	ended := make(map[string]chan error)
	for name, ask := range map[string]func() error{
		"Log": func() error {
			_, err := client(t, addr, ClientOptions{Timeout: short}).Log(context.Background(), []*proto.Batch{batch("a")})
			return err
		},
		"fb303": func() error {
			c, closer, err := FB303(addr, short, nil)
			if err != nil {
				return err
			}
			defer closer.Close()
			_, err = c.GetCounters(context.Background())
			return err
		},
		"the mapping of buckets": func() error {
			_, err := Mapping(context.Background(), addr, "c", short)
			return err
		},
	} {
		end := make(chan error, 1)
		ended[name] = end
		go func() { end <- ask() }()
	}
	late := time.After(patience / 2)
	for name, end := range ended {
		select {
		case err := <-end:
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		case <-late:
			t.Fatalf("%s: it still waits", name)
		}
	}
}

// TestClientLearnsWhatThePeerIs by its answer to a call with spans, which is the only kind that an Inkwell answers so.
func TestClientLearnsWhatThePeerIs(t *testing.T) {
	r := serve(t, ServerOptions{}, new(sink), nil)
	other := answering(t, framed(proto.AppendLogReply(nil, proto.Reply{SeqID: 1})))
	for addr, want := range map[string]bool{r.addr: true, other: false} {
		c := client(t, addr, ClientOptions{})
		b := batch("a")
		if addr == r.addr {
			if _, err := c.Log(context.Background(), []*proto.Batch{b}); err != nil {
				t.Fatal(err)
			}
		}
		if _, known := c.Inkwell(); known {
			t.Error("it is known before a call with numbers was answered")
		}
		b.Number([16]byte{1}, 0, 1)
		if _, err := c.Log(context.Background(), []*proto.Batch{b}); err != nil {
			t.Fatal(err)
		}
		if is, known := c.Inkwell(); !known || is != want {
			t.Errorf("it is an Inkwell: %v, known: %v, want %v", is, known, want)
		}
	}
}
