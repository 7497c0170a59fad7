package rpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/apache/thrift/lib/go/thrift"

	"inkwell/proto"
	"inkwell/proto/gen/bucketupdater"
	"inkwell/proto/gen/fb303"
)

// script is a connection whose peer sends in, and then closes its half.
type script struct {
	net.Conn
	in  bytes.Reader
	out bytes.Buffer
}

func (s *script) Read(p []byte) (int, error)     { return s.in.Read(p) }
func (s *script) Write(p []byte) (int, error)    { return s.out.Write(p) }
func (*script) Close() error                     { return nil }
func (*script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*script) SetDeadline(time.Time) error      { return nil }
func (*script) SetReadDeadline(time.Time) error  { return nil }
func (*script) SetWriteDeadline(time.Time) error { return nil }

// FuzzConnection: whatever comes over a connection, the server answers calls in frames, gives back the memory that it
// took, and ends.
func FuzzConnection(f *testing.F) {
	f.Add(framed(logCall(1, "a", "b")))
	f.Add(append(framed(logCall(1, "a"), logCall(2)), framed(logCall(3, string(make([]byte, 9000))))...))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 1, 2, 3})
	for _, method := range []string{"getStatus", "getCounters", "getOption", "setOption", "shutdown", "getCounter", "nothing"} {
		strict := binary.BigEndian.AppendUint32([]byte{0x80, 1, 0, 1}, uint32(len(method)))
		strict = append(append(strict, method...), 0, 0, 0, 5)
		f.Add(framed(append(strict, 0)))
		f.Add(framed(append(strict, 0x0b, 0, 1, 0, 0, 0, 1, 'k', 0)))
	}
	const limit = 1 << 20
	f.Fuzz(func(t *testing.T, data []byte) {
		count, size := 0, 0
		handler := &sink{before: func(_ context.Context, b *proto.Batch) (proto.ResultCode, error) {
			count += b.Count()
			size += b.Size()
			return proto.OK, nil
		}}
		s := NewServer(ServerOptions{MaxFrame: limit}, handler, fb303.NewFacebookServiceProcessor(nobody{}))
		nc := new(script)
		nc.in.Reset(data)
		c := newConn(s, nc)
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		c.run()
		replies := nc.out.Bytes()
		for len(replies) > 0 {
			if len(replies) < 4 || int(binary.BigEndian.Uint32(replies)) > len(replies)-4 {
				t.Fatalf("% x is no frame", replies)
			}
			n := int(binary.BigEndian.Uint32(replies))
			if reply, err := proto.DecodeCall(replies[4 : 4+n]); err != nil || reply.Type != proto.TypeReply && reply.Type != proto.TypeException {
				t.Fatalf("reply %+v, %v", reply, err)
			}
			replies = replies[4+n:]
		}
		// Entries without any field take more when they are made canonical, but not without bound.
		if size > 2*len(data)+4096*(1+count) || count > len(data) {
			t.Errorf("%d entries of %d bytes from %d bytes", count, size, len(data))
		}
		if !s.budget.TryAcquire(s.o.MaxInFlight) {
			t.Error("memory was not given back")
		}
	})
}

// nobody answers fb303.
type nobody struct{ fb303.FacebookService }

func (nobody) GetStatus(context.Context) (fb303.FbStatus, error)       { return fb303.FbStatus_ALIVE, nil }
func (nobody) GetOption(_ context.Context, key string) (string, error) { return key, nil }
func (nobody) SetOption(context.Context, string, string) error         { return nil }
func (nobody) GetCounter(context.Context, string) (int64, error)       { return 1, nil }
func (nobody) GetCounters(context.Context) (map[string]int64, error) {
	return map[string]int64{"a": 1}, nil
}
func (nobody) GetName(context.Context) (string, error)               { return "n", nil }
func (nobody) GetVersion(context.Context) (string, error)            { return "v", nil }
func (nobody) GetStatusDetails(context.Context) (string, error)      { return "", nil }
func (nobody) GetOptions(context.Context) (map[string]string, error) { return nil, nil }
func (nobody) GetCpuProfile(context.Context, int32) (string, error)  { return "", errors.New("none") }
func (nobody) AliveSince(context.Context) (int64, error)             { return 0, nil }
func (nobody) Reinitialize(context.Context) error                    { return nil }
func (nobody) Shutdown(context.Context) error                        { return nil }

// FuzzAnswer: whatever a peer answers to a call, a client returns a code or an error, and takes no more than an answer
// can have.
func FuzzAnswer(f *testing.F) {
	reply := func(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }
	f.Add(reply(proto.AppendLogReply(nil, proto.Reply{SeqID: 1, Code: proto.OK})))
	f.Add(reply(proto.AppendLogReply(nil, proto.Reply{SeqID: 1, Code: proto.TryLater})))
	f.Add(reply(proto.AppendLogReply(nil, proto.Reply{SeqID: 9, Code: proto.OK})))
	f.Add(reply(proto.AppendException(nil, proto.Call{Method: "Log", SeqID: 1}, proto.InternalError, "no")))
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		nc := new(script)
		nc.in.Reset(data)
		c := &Client{nc: nc, o: ClientOptions{Timeout: time.Second, MaxReply: 64 << 10}, reply: make([]byte, 256)}
		var b proto.Batch
		b.Append([]byte("c"), []byte("m"))
		if _, err := c.Log(context.Background(), []*proto.Batch{&b}); err == nil {
			n := int(binary.BigEndian.Uint32(data))
			if r, err := proto.DecodeLogReply(data[4 : 4+n]); err != nil || r.SeqID != 1 {
				t.Errorf("%d, %v was taken for the answer to call 1", r.SeqID, err)
			}
		}
		if call := nc.out.Bytes(); len(call) < 4 || int(binary.BigEndian.Uint32(call)) != len(call)-4 {
			t.Errorf("sent % x", call)
		}
	})
}

// FuzzQuestion: whatever a server answers to fb303 or as a mapping of buckets, it is an answer or an error, and holds
// no more than was sent.
func FuzzQuestion(f *testing.F) {
	header := func(method string) []byte {
		return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(method))), method...), 2, 0, 0, 0, 1)
	}
	f.Add(framed(header("getCounters"), []byte("\x0d\x00\x00\x0b\x0a\x00\x00\x00\x01\x00\x00\x00\x01a\x00\x00\x00\x00\x00\x00\x00\x05\x00")))
	f.Add(framed(header("getCounters"), []byte("\x0d\x00\x00\x0b\x0a\x7f\xff\xff\xff")))
	f.Add(framed(header("getOption"), []byte("\x0b\x00\x00\x00\x00\x00\x011\x00")))
	f.Add(framed(header("getOption"), []byte("\x0b\x00\x00\x7f\xff\xff\xff")))
	f.Add(framed(header("getStatus"), []byte("\x08\x00\x00\x00\x00\x00\x02\x00")))
	f.Add(framed(header("getMapping"), []byte("\x0d\x00\x00\x08\x0c\x00\x00\x00\x01\x00\x00\x00\x07\x0b\x00\x01\x00\x00\x00\x01h\x08\x00\x02\x00\x00\x05\xb7\x00\x00")))
	f.Add(framed(proto.AppendException(nil, proto.Call{Method: "getOption", SeqID: 1}, proto.UnknownMethod, "no")))
	f.Fuzz(func(t *testing.T, data []byte) {
		over := func() *thrift.TStandardClient {
			nc := new(script)
			nc.in.Reset(data)
			client, _ := asking(nc, 64<<10, time.Second)
			return client
		}
		ctx := context.Background()
		if counters, err := fb303.NewFacebookServiceClient(over()).GetCounters(ctx); err == nil && len(counters) > len(data) {
			t.Errorf("%d counters in %d bytes", len(counters), len(data))
		}
		if option, err := fb303.NewFacebookServiceClient(over()).GetOption(ctx, "k"); err == nil && len(option) > len(data) {
			t.Errorf("an option of %d bytes in %d", len(option), len(data))
		}
		_, _ = fb303.NewFacebookServiceClient(over()).GetStatus(ctx)
		if buckets, err := bucketupdater.NewBucketStoreMappingClient(over()).GetMapping(ctx, "c"); err == nil && len(buckets) > len(data) {
			t.Errorf("%d buckets in %d bytes", len(buckets), len(data))
		}
	})
}

// FuzzAddress: an address that is taken has all its parts, and means the same when it is written again.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"127.0.0.1:1463", "tls://[::1]:1464", "unix:/run/s", "unix:", "unix:@a", "tls://h", "h:", ":1463", "tls:/h:1", "a b:1", "[fe80::1%eth0]:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			return
		}
		again := map[bool]string{true: "tls://"}[a.TLS] + a.Text
		if a.Network == "unix" {
			again = "unix:" + a.Text
		}
		if a.Text == "" || a.Network != "unix" && a.Network != "tcp" || a.Network == "unix" && a.TLS || again != text {
			t.Errorf("%q is %+v", text, a)
		}
	})
}
