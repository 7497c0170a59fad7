package rpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
	"go.uber.org/goleak"

	"inkwell/internal/stats"
	"inkwell/internal/testkit"
	"inkwell/proto"
	"inkwell/proto/gen/fb303"
)

// patience bounds every wait of these tests.
const patience = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink is a Handler that keeps what it gets, and does what a test wants before that.
type sink struct {
	before func(ctx context.Context, b *proto.Batch) (proto.ResultCode, error) // nil: OK

	mu      sync.Mutex
	entries []string // category=message
	spans   []proto.Span
	calls   int
}

func (s *sink) Log(ctx context.Context, b *proto.Batch) (proto.ResultCode, error) {
	if s.before != nil {
		if code, err := s.before(ctx, b); code != proto.OK || err != nil {
			return code, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	for c := b.Cursor(); c.Next(); {
		s.entries = append(s.entries, string(c.Category())+"="+string(c.Message()))
	}
	s.spans = append(s.spans, b.Spans()...)
	return proto.OK, nil
}

func (s *sink) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.entries...)
}

// facebook is an fb303 service; the methods that a test does not need panic.
type facebook struct {
	fb303.FacebookService
	stopped chan struct{}
}

func (f *facebook) GetName(context.Context) (string, error) { return "Scribe", nil }
func (f *facebook) GetStatus(context.Context) (fb303.FbStatus, error) {
	return fb303.FbStatus_ALIVE, nil
}
func (f *facebook) GetCounters(context.Context) (map[string]int64, error) {
	return map[string]int64{"a:b": 3}, nil
}
func (f *facebook) GetOption(_ context.Context, key string) (string, error) {
	return "<" + key + ">", nil
}
func (f *facebook) SetOption(context.Context, string, string) error { return errors.New("no room") }
func (f *facebook) GetVersion(context.Context) (string, error)      { panic("a bug") }
func (f *facebook) Shutdown(context.Context) error                  { close(f.stopped); return nil }

// rig is a server on a loopback port.
type rig struct {
	*Server
	addr  string
	stats *stats.Set
	log   *testkit.Log
}

func serve(t testing.TB, o ServerOptions, h Handler, other thrift.TProcessor) *rig {
	t.Helper()
	r := &rig{stats: stats.New(), log: new(testkit.Log)}
	o.Stats, o.Logger = r.stats, slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.Server = NewServer(o, h, other)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	r.serveOn(t, ln)
	return r
}

// serveOn serves ln until the test ends.
func (r *rig) serveOn(t testing.TB, ln net.Listener) {
	served := make(chan error, 1)
	go func() { served <- r.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

func (r *rig) count(name string) int64 { return r.stats.Get(stats.Overall + ":" + name) }

// peer is a raw connection.
type peer struct {
	net.Conn
	t testing.TB
}

func (r *rig) dial(t testing.TB) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return &peer{nc, t}
}

func (p *peer) send(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// frame reads one frame.
func (p *peer) frame() []byte {
	p.t.Helper()
	var head [4]byte
	if _, err := io.ReadFull(p, head[:]); err != nil {
		p.t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(p, b); err != nil {
		p.t.Fatal(err)
	}
	return b
}

// ended waits until the server has closed the connection and returns what it sent before.
func (p *peer) ended() []byte {
	p.t.Helper()
	b, err := io.ReadAll(p)
	if errors.Is(err, context.DeadlineExceeded) || err != nil && strings.Contains(err.Error(), "timeout") {
		p.t.Fatal("the connection is still open")
	}
	return b
}

// framed puts the length before a frame.
func framed(parts ...[]byte) []byte {
	all := bytes.Join(parts, nil)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(all))), all...)
}

// batch makes a batch of entries of category "c".
func batch(messages ...string) *proto.Batch { return testkit.Batch("c", messages...) }

// logCall is a Log call, not framed.
func logCall(seqID int32, messages ...string) []byte {
	b := batch(messages...)
	call := append(proto.AppendLogHeader(nil, seqID, b.Count()), b.Entries()...)
	return proto.AppendLogTrailer(call, proto.Trailer{})
}

// answer checks that the next frame is a reply to Log.
func (p *peer) answer(seqID int32, code proto.ResultCode) {
	p.t.Helper()
	if want, got := proto.AppendLogReply(nil, proto.Reply{SeqID: seqID, Code: code}), p.frame(); !bytes.Equal(got, want) {
		p.t.Fatalf("reply %x, want %x", got, want)
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not seen: %s", what)
		}
	}
}

func equal(t testing.TB, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %.300q, want %.300q", got, want)
	}
}
