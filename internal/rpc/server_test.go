package rpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/thrift/lib/go/thrift"

	"inkwell/internal/testkit"
	"inkwell/proto"
	"inkwell/proto/gen/fb303"
	"inkwell/proto/gen/scribe"
)

func TestFrames(t *testing.T) {
	big := strings.Repeat("x", 3_000_000)
	strict := append([]byte{0x80, 1, 0, 1, 0, 0, 0, 3}, logCall(9, "strict")[4:7]...)
	strict = append(strict, 0, 0, 0, 9)
	strict = append(strict, logCall(9, "strict")[12:]...)
	tests := []struct {
		name    string
		frames  [][]byte
		replies int
		want    []string
	}{
		{"one", [][]byte{framed(logCall(1, "a"))}, 1, []string{"c=a"}},
		{"empty list", [][]byte{framed(logCall(1))}, 1, nil},
		{"strict", [][]byte{framed(strict)}, 1, []string{"c=strict"}},
		{"three calls in one frame", [][]byte{framed(logCall(1, "a"), logCall(2, "b"), logCall(3, "c"))}, 3, []string{"c=a", "c=b", "c=c"}},
		{"small, big, small", [][]byte{framed(logCall(1, "a")), framed(logCall(2, big)), framed(logCall(3, "b"))}, 3, []string{"c=a", "c=" + big, "c=b"}},
		{"big, big", [][]byte{framed(logCall(1, big)), framed(logCall(2, big[1:]))}, 2, []string{"c=" + big, "c=" + big[1:]}},
	}
	for size := smallFrames - 40; size < smallFrames+8; size += 7 { // around what a connection holds itself
		m := strings.Repeat("y", size)
		tests = append(tests, struct {
			name    string
			frames  [][]byte
			replies int
			want    []string
		}{fmt.Sprint("a message of ", size), [][]byte{framed(logCall(1, m)), framed(logCall(2, m))}, 2, []string{"c=" + m, "c=" + m}})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := new(sink)
			p := serve(t, ServerOptions{}, s, nil).dial(t)
			go p.Write(bytes.Join(tt.frames, nil)) // the replies come whether or not this is through
			for range tt.replies {
				reply := p.frame()
				if r, err := proto.DecodeLogReply(reply); err != nil || r.Code != proto.OK || len(reply) != 20 || reply[0] != 0 {
					t.Fatalf("reply %x: %v", reply, err)
				}
			}
			equal(t, s.got(), tt.want...)
		})
	}
	t.Run("byte by byte", func(t *testing.T) {
		s := new(sink)
		p := serve(t, ServerOptions{}, s, nil).dial(t)
		for i := range 2 {
			for _, b := range framed(logCall(int32(i), "slow")) {
				p.send([]byte{b})
			}
			p.answer(int32(i), proto.OK)
		}
		equal(t, s.got(), "c=slow", "c=slow")
	})
}

func TestPipelinedCallsAreAnsweredInOrder(t *testing.T) {
	s := new(sink)
	p := serve(t, ServerOptions{}, s, nil).dial(t)
	const calls = 2000
	var all []byte
	var want []string
	for i := range int32(calls) {
		m := strings.Repeat("m", int(i*37%9000))
		want = append(want, "c="+m)
		all = append(all, framed(logCall(i, m))...)
	}
	go p.Write(all)
	for i := range int32(calls) {
		p.answer(i, proto.OK)
	}
	equal(t, s.got(), want...)
}

func TestHandlerAnswers(t *testing.T) {
	s := &sink{before: func(_ context.Context, b *proto.Batch) (proto.ResultCode, error) {
		switch b.Count() {
		case 0:
			return proto.TryLater, nil
		case 2:
			return proto.TryLater, errors.New("no such disk")
		}
		return proto.OK, nil
	}}
	r := serve(t, ServerOptions{}, s, nil)
	p := r.dial(t)
	p.send(framed(logCall(1)))
	p.answer(1, proto.TryLater)
	p.send(framed(logCall(2, "a", "b")))
	var refusal *proto.ApplicationError
	if r, err := proto.DecodeLogReply(p.frame()); r.SeqID != 2 || !errors.As(err, &refusal) || refusal.Kind != proto.InternalError || !strings.Contains(refusal.Text, "no such disk") {
		t.Errorf("%d, %v", r.SeqID, err)
	}
	p.send(framed(logCall(3, "c")))
	p.answer(3, proto.OK)
	if !strings.Contains(r.log.String(), "no such disk") {
		t.Errorf("not logged: %s", r.log.String())
	}
	equal(t, s.got(), "c=c")
}

// Junk costs the connection, one log line a minute whatever the number of connections, and nobody else anything.
func TestJunk(t *testing.T) {
	call := framed(logCall(1, "good"))
	lying := append(append(proto.AppendLogHeader(nil, 1, 0x7fffffff), batch("x").Entries()...), 0)
	tests := []struct {
		name, counter string
		bytes         []byte
		answered      int // calls before the junk
	}{
		{"HTTP", "frames too large", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 0},
		{"length 0", "frames bad", []byte{0, 0, 0, 0}, 0},
		{"negative length", "frames bad", []byte{0xff, 0xff, 0xff, 0xff}, 0},
		{"length over the limit", "frames too large", []byte{0, 0x10, 0, 1}, 0},
		{"unframed call", "frames too large", append([]byte{0x7f}, logCall(1, "x")...), 0},
		{"noise in a frame", "frames bad", framed([]byte("noise, noise, noise")), 0},
		{"another version", "frames bad", framed([]byte{0x80, 2, 0, 1, 0, 0, 0, 0}), 0},
		{"a reply", "frames bad", framed(proto.AppendLogReply(nil, proto.Reply{SeqID: 1, Code: proto.OK})), 0},
		{"a list that lies", "frames bad", framed(lying), 0},
		{"arguments that lie", "frames bad", framed([]byte("\x00\x00\x00\x07getName\x01\x00\x00\x00\x01\x0d\x00\x01\x0b\x0b\x7f\xff\xff\xff")), 0},
		{"bytes behind a call", "frames bad", framed(logCall(1, "good"), []byte{1}), 1},
		{"a call, then noise", "frames bad", append(append([]byte(nil), call...), framed([]byte("noise"))...), 1},
	}
	s := new(sink)
	r := serve(t, ServerOptions{MaxFrame: 1 << 20}, s, fb303.NewFacebookServiceProcessor(&facebook{}))
	bystander := r.dial(t)
	good := 0
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := r.count(tt.counter)
			p := r.dial(t)
			p.send(tt.bytes)
			for range tt.answered {
				p.answer(1, proto.OK)
			}
			if rest := p.ended(); len(rest) > 0 {
				t.Errorf("a reply to junk: %x", rest)
			}
			eventually(t, tt.counter, func() bool { return r.count(tt.counter) == before+1 })
			bystander.send(call)
			bystander.answer(1, proto.OK)
			good += tt.answered + 1
		})
	}
	if len(s.got()) != good {
		t.Errorf("%d entries, want %d", len(s.got()), good)
	}
	half := r.dial(t)
	half.send(call[:20])
	half.Conn.(*net.TCPConn).CloseWrite()
	half.ended()
	if n := strings.Count(r.log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d lines, want 1:\n%s", n, r.log.String())
	}
	if strings.Contains(r.log.String(), "noise") || strings.Contains(r.log.String(), "good") {
		t.Errorf("payload in the log:\n%s", r.log.String())
	}
}

func TestLengthsThatLieTakeNoMemory(t *testing.T) {
	r := serve(t, ServerOptions{}, new(sink), nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const peers = 100
	for range peers {
		p := r.dial(t)
		p.send(append([]byte{3, 0x80, 0, 0}, make([]byte, smallFrames+100)...)) // 56 MiB announced, 4 KiB sent
	}
	eventually(t, "connections", func() bool { return r.count("connections") == peers })
	bystander := r.dial(t)
	bystander.send(framed(logCall(1, "good")))
	bystander.answer(1, proto.OK)
	runtime.ReadMemStats(&after)
	if got := int64(after.TotalAlloc - before.TotalAlloc); got > peers*(64<<10) {
		t.Errorf("%d bytes were allocated for %d peers", got, peers)
	}
}

func TestOtherMethods(t *testing.T) {
	fb := &facebook{stopped: make(chan struct{})}
	r := serve(t, ServerOptions{}, new(sink), fb303.NewFacebookServiceProcessor(fb))
	c, closer, err := FB303(r.addr, patience, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	ctx := context.Background()
	if name, err := c.GetName(ctx); name != "Scribe" || err != nil {
		t.Errorf("getName: %q, %v", name, err)
	}
	if status, err := c.GetStatus(ctx); status != fb303.FbStatus_ALIVE || err != nil {
		t.Errorf("getStatus: %v, %v", status, err)
	}
	if counters, err := c.GetCounters(ctx); counters["a:b"] != 3 || len(counters) != 1 || err != nil {
		t.Errorf("getCounters: %v, %v", counters, err)
	}
	if v, err := c.GetOption(ctx, "k"); v != "<k>" || err != nil {
		t.Errorf("getOption: %q, %v", v, err)
	}
	var refusal thrift.TApplicationException
	if err := c.SetOption(ctx, "k", "v"); !errors.As(err, &refusal) || refusal.TypeId() != proto.InternalError {
		t.Errorf("an error of the service: %v", err)
	}
	if _, err := c.GetVersion(ctx); !errors.As(err, &refusal) || refusal.TypeId() != proto.InternalError {
		t.Errorf("a panic of the service: %v", err)
	}
	if _, err := c.GetOption(ctx, strings.Repeat("k", maxArgs)); !errors.As(err, &refusal) || !strings.Contains(refusal.Error(), "limit") {
		t.Errorf("long arguments: %v", err)
	}
	if err := c.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if name, err := c.GetName(ctx); name != "Scribe" || err != nil {
		t.Errorf("getName after all that: %q, %v", name, err)
	}
	<-fb.stopped
	if log := r.log.String(); !strings.Contains(log, "a bug") || strings.Contains(log, "no room") {
		t.Errorf("log: %s", log)
	}
}

func TestRepliesOfOtherMethods(t *testing.T) {
	r := serve(t, ServerOptions{}, new(sink), fb303.NewFacebookServiceProcessor(&facebook{stopped: make(chan struct{})}))
	p := r.dial(t)
	old := "\x00\x00\x00\x07getName\x02\x00\x00\x00\x05\x0b\x00\x00\x00\x00\x00\x06Scribe\x00"
	unknown := proto.AppendException(nil, proto.Call{Method: "nope", SeqID: 5}, proto.UnknownMethod, "Invalid method name: 'nope'")
	tests := []struct {
		name    string
		message []byte
		want    []byte // nil: no reply
	}{
		{"old style", []byte("\x00\x00\x00\x07getName\x01\x00\x00\x00\x05\x00"), []byte(old)},
		{"strict is answered in the old style", []byte("\x80\x01\x00\x01\x00\x00\x00\x07getName\x00\x00\x00\x05\x00"), []byte(old)},
		{"unknown method with arguments", []byte("\x00\x00\x00\x04nope\x01\x00\x00\x00\x05\x08\x00\x01\x00\x00\x00\x07\x00"), unknown},
		{"unknown oneway method", []byte("\x00\x00\x00\x04nope\x04\x00\x00\x00\x05\x00"), nil},
		{"oneway method", []byte("\x00\x00\x00\x08shutdown\x01\x00\x00\x00\x05\x00"), nil},
		{"Log as oneway", append([]byte("\x00\x00\x00\x03Log\x04"), logCall(1, "x")[8:]...), nil},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p.send(framed(tt.message, logCall(int32(i)))) // both in one frame
			if tt.want != nil {
				if got := p.frame(); !bytes.Equal(got, tt.want) {
					t.Errorf("reply %q, want %q", got, tt.want)
				}
			}
			p.answer(int32(i), proto.OK)
		})
	}
}

// The client that the Thrift compiler writes, in both styles.
func TestGeneratedClient(t *testing.T) {
	for _, strict := range []bool{false, true} {
		t.Run(fmt.Sprint("strict ", strict), func(t *testing.T) {
			s := new(sink)
			r := serve(t, ServerOptions{}, s, nil)
			conf := &thrift.TConfiguration{SocketTimeout: patience, TBinaryStrictRead: thrift.BoolPtr(false), TBinaryStrictWrite: &strict}
			transport := thrift.NewTFramedTransportConf(thrift.NewTSocketConf(r.addr, conf), conf)
			if err := transport.Open(); err != nil {
				t.Fatal(err)
			}
			defer transport.Close()
			p := thrift.NewTBinaryProtocolConf(transport, conf)
			c := scribe.NewScribeClient(thrift.NewTStandardClient(p, p))
			entries := []*scribe.LogEntry{{Category: "c", Message: "a\x00\xff"}, {Category: "d", Message: ""}}
			spans := []*scribe.Span{{Stream: bytes.Repeat([]byte{7}, 16), First: 5, Count: 2}}
			for range 3 {
				if code, err := c.Log(context.Background(), entries, spans, nil, nil); code != scribe.ResultCode_OK || err != nil {
					t.Fatal(code, err)
				}
			}
			equal(t, s.got(), "c=a\x00\xff", "d=", "c=a\x00\xff", "d=", "c=a\x00\xff", "d=")
			if len(s.spans) != 3 || s.spans[0].First != 5 || s.spans[0].Stream[15] != 7 {
				t.Errorf("spans %v", s.spans)
			}
		})
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	r := serve(t, ServerOptions{MaxConnections: 2}, new(sink), nil)
	a, b := r.dial(t), r.dial(t)
	eventually(t, "two connections", func() bool { return r.count("connections") == 2 })
	r.dial(t).ended()
	if n := r.count("connections refused"); n != 1 {
		t.Errorf("%d refused", n)
	}
	a.Close()
	eventually(t, "one connection", func() bool { return r.count("connections") == 1 })
	c := r.dial(t)
	for _, p := range []*peer{b, c} {
		p.send(framed(logCall(1, "x")))
		p.answer(1, proto.OK)
	}
}

func TestSilence(t *testing.T) {
	idle := ServerOptions{IdleTimeout: 20 * time.Millisecond, ReadTimeout: patience}
	begun := ServerOptions{IdleTimeout: patience, ReadTimeout: 20 * time.Millisecond}
	call := framed(logCall(1, strings.Repeat("x", 300_000)))
	tests := []struct {
		name   string
		o      ServerOptions
		bytes  []byte
		reason string
	}{
		{"no call at all", idle, nil, "no call within"},
		{"half a length", begun, call[:3], "did not go on"},
		{"a length and nothing", begun, call[:4], "did not go on"},
		{"half a small frame", begun, framed(logCall(1, "x"))[:20], "did not go on"},
		{"half a long frame", begun, call[:20_000], "did not go on"},
		{"nearly all of a long frame", begun, call[:len(call)-1], "did not go on"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := serve(t, tt.o, new(sink), nil)
			p := r.dial(t)
			p.send(tt.bytes)
			p.ended()
			eventually(t, "the count", func() bool { return r.count("connections timed out") == 1 })
			if log := r.log.String(); !strings.Contains(log, tt.reason) {
				t.Errorf("log: %s", log)
			}
		})
	}
	t.Run("after a call", func(t *testing.T) {
		r := serve(t, idle, new(sink), nil)
		p := r.dial(t)
		p.send(framed(logCall(1, "x")))
		p.answer(1, proto.OK)
		p.ended()
	})
	t.Run("a peer that takes no replies", func(t *testing.T) {
		r := serve(t, ServerOptions{WriteTimeout: 20 * time.Millisecond}, new(sink), nil)
		p := r.dial(t)
		call := framed(bytes.Repeat(logCall(1), 10_000))
		for {
			if _, err := p.Write(call); err != nil {
				break
			}
		}
		eventually(t, "the count", func() bool { return r.count("connections timed out") == 1 })
	})
}

func TestInFlightIsBounded(t *testing.T) {
	entered, leave := make(chan struct{}, 8), make(chan struct{})
	s := &sink{before: func(context.Context, *proto.Batch) (proto.ResultCode, error) {
		entered <- struct{}{}
		<-leave
		return proto.OK, nil
	}}
	r := serve(t, ServerOptions{MaxInFlight: 1 << 20, ReadTimeout: patience}, s, nil)
	long := framed(logCall(1, strings.Repeat("x", 900_000)))
	first, second := r.dial(t), r.dial(t)
	first.send(long)
	<-entered
	sent := make(chan error, 1)
	go func() { _, err := second.Write(long); sent <- err }()
	small := r.dial(t) // needs no share
	small.send(framed(logCall(2, strings.Repeat("y", 200_000))))
	<-entered
	select {
	case <-entered:
		t.Error("two long frames at once")
	case <-time.After(50 * time.Millisecond):
	}
	close(leave)
	first.answer(1, proto.OK)
	small.answer(2, proto.OK)
	second.answer(1, proto.OK)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	t.Run("no room in time", func(t *testing.T) {
		leave := make(chan struct{})
		s := &sink{before: func(context.Context, *proto.Batch) (proto.ResultCode, error) { <-leave; return proto.OK, nil }}
		r := serve(t, ServerOptions{MaxInFlight: 1 << 20, ReadTimeout: 50 * time.Millisecond}, s, nil)
		first, second := r.dial(t), r.dial(t)
		first.send(long)
		eventually(t, "the first frame's share", func() bool {
			free := r.budget.TryAcquire(1 << 20)
			if free {
				r.budget.Release(1 << 20)
			}
			return !free
		})
		go second.Write(long)
		second.ended()
		close(leave)
		first.answer(1, proto.OK)
		if !strings.Contains(r.log.String(), "no room for a frame") {
			t.Errorf("log: %s", r.log.String())
		}
	})
	t.Run("a frame over all of it", func(t *testing.T) {
		s := new(sink)
		p := serve(t, ServerOptions{MaxInFlight: 300 << 10}, s, nil).dial(t)
		go p.Write(long)
		p.answer(1, proto.OK)
	})
}

func TestShutdownFinishesCalls(t *testing.T) {
	entered, leave := make(chan struct{}, 8), make(chan struct{})
	s := &sink{before: func(context.Context, *proto.Batch) (proto.ResultCode, error) {
		entered <- struct{}{}
		<-leave
		return proto.OK, nil
	}}
	r := serve(t, ServerOptions{}, s, nil)
	long := framed(logCall(2, strings.Repeat("x", 100_000)))
	idle, busy, begun, silent := r.dial(t), r.dial(t), r.dial(t), r.dial(t)
	busy.send(framed(logCall(1, "x")))
	<-entered
	begun.send(long[:50_000])
	silent.send(long[:50_000])
	eventually(t, "three frames that have begun", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		n := 0
		for c := range r.conns {
			c.mu.Lock()
			if !c.readBy.IsZero() && (!c.idle || c.nc.RemoteAddr().String() == busy.LocalAddr().String()) {
				n++
			}
			c.mu.Unlock()
		}
		return n == 3 && len(r.conns) == 4
	})
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		done <- r.Shutdown(ctx)
	}()
	idle.ended()
	begun.send(long[50_000:])
	<-entered
	if _, err := net.Dial("tcp", r.addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a connection after the shutdown began: %v", err)
	}
	select {
	case err := <-done:
		t.Fatalf("shutdown did not wait: %v", err)
	default:
	}
	close(leave)
	busy.answer(1, proto.OK)
	busy.ended()
	begun.answer(2, proto.OK)
	begun.ended()
	silent.ended()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := r.count("connections"); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	if err := r.Serve(mustListen(t)); err != nil {
		t.Errorf("serve after shutdown: %v", err)
	}
}

func TestShutdownIsBounded(t *testing.T) {
	entered := make(chan struct{})
	s := &sink{before: func(ctx context.Context, _ *proto.Batch) (proto.ResultCode, error) {
		close(entered)
		<-ctx.Done()
		return proto.TryLater, ctx.Err()
	}}
	r := serve(t, ServerOptions{}, s, nil)
	p := r.dial(t)
	p.send(framed(logCall(1, "x")))
	<-entered
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := r.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown: %v", err)
	}
	p.ended()
	eventually(t, "the end of the connection", func() bool { return r.count("connections") == 0 })
}

func mustListen(t testing.TB) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// poor is a listener in a process without descriptors, for a while.
type poor struct {
	net.Listener
	mu   sync.Mutex
	left int // failures
}

func (p *poor) Accept() (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left > 0 {
		p.left--
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return p.Listener.Accept()
}

func TestServeSurvivesALackOfDescriptors(t *testing.T) {
	s := new(sink)
	r := serve(t, ServerOptions{}, s, nil)
	ln := &poor{Listener: mustListen(t), left: 4}
	r.serveOn(t, ln)
	r.addr = ln.Addr().String()
	for i := range int32(2) {
		p := r.dial(t)
		p.send(framed(logCall(i, "x")))
		p.answer(i, proto.OK)
	}
	if log := r.log.String(); strings.Count(log, "cannot accept") != 1 || strings.Count(log, "accepting connections again") != 1 {
		t.Errorf("log: %s", log)
	}
	t.Run("for ever", func(t *testing.T) {
		r := serve(t, ServerOptions{}, s, nil)
		r.serveOn(t, &poor{Listener: mustListen(t), left: 1 << 30})
		eventually(t, "a failure", func() bool { return strings.Contains(r.log.String(), "cannot accept") })
	}) // the end of the test shuts down
	t.Run("closed by somebody else", func(t *testing.T) {
		ln := mustListen(t)
		ln.Close()
		if err := r.Serve(ln); !errors.Is(err, net.ErrClosed) {
			t.Errorf("error %v", err)
		}
	})
}

func TestOutagesAreLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(testkit.Log)
		o := outage{log: log.Logger()}
		for i := range 61 { // failing every other second
			o.failed(syscall.EMFILE)
			time.Sleep(time.Second)
			o.over()
			time.Sleep(time.Second)
			if want := i/30 + 1; strings.Count(log.String(), "cannot accept") != want || strings.Count(log.String(), "again\" after=1s") != want {
				t.Fatalf("second %d: %s", 2*i, log.String())
			}
		}
	})
}

func TestComplaintsAreOneAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{log: new(testkit.Log)}
		c := newComplaints(r.log.Logger())
		peer := func(i int) net.Addr {
			return &net.TCPAddr{IP: binary.BigEndian.AppendUint32(nil, uint32(i)), Port: 1000 + i%7}
		}
		lines := func() int { return strings.Count(r.log.String(), "\n") }
		for range 10 {
			c.add("closed", peer(1), "why")
		}
		c.add("closed", peer(2), "why")
		if lines() != 2 || strings.Contains(r.log.String(), "unreported") {
			t.Fatalf("%d lines:\n%s", lines(), r.log.String())
		}
		time.Sleep(complaintPeriod)
		c.add("closed", peer(1), "why")
		if !strings.Contains(r.log.String(), "unreported=9") || lines() != 3 {
			t.Errorf("log: %s", r.log.String())
		}
		for i := range 2 * maxComplaints {
			c.add("closed", peer(i), "why")
		}
		if n := len(c.last); n > maxComplaints {
			t.Errorf("%d peers are remembered", n)
		}
		time.Sleep(complaintPeriod)
		before := lines()
		c.add("closed", peer(3*maxComplaints), "why")
		if lines() != before+1 || len(c.last) != 1 {
			t.Errorf("%d lines, %d peers", lines()-before, len(c.last))
		}
	})
}

// The hot path costs no allocation: 100 calls, small and long, leave the heap as it was.
func TestCallsAllocateNothing(t *testing.T) {
	if raceEnabled {
		return // the detector drops pooled buffers on purpose
	}
	r := serve(t, ServerOptions{}, nothing{}, nil)
	p := r.dial(t)
	small, long := framed(logCall(1, "x")), framed(logCall(1, strings.Repeat("x", 200_000)))
	reply := make([]byte, 24)
	n := testing.AllocsPerRun(100, func() {
		for _, call := range [][]byte{small, long} {
			p.send(call)
			if _, err := p.Read(reply); err != nil {
				t.Fatal(err)
			}
		}
	})
	if n >= 1 {
		t.Errorf("%v allocations for two calls", n)
	}
}

// nothing is a Handler that takes everything.
type nothing struct{}

func (nothing) Log(context.Context, *proto.Batch) (proto.ResultCode, error) { return proto.OK, nil }
