package rpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"inkwell/internal/access"
	"inkwell/proto"
)

// largest takes one kind of call: all of its messages are of the same bytes.
type largest struct {
	t       *testing.T
	message []byte
	entries atomic.Int64
	dir     string
}

func (l *largest) Log(_ context.Context, b *proto.Batch) (proto.ResultCode, error) {
	for c := b.Cursor(); c.Next(); {
		if !bytes.Equal(c.Message(), l.message) {
			l.t.Errorf("a message of %d bytes is another", len(c.Message()))
			break
		}
	}
	l.entries.Add(int64(b.Count()))
	if names, err := os.ReadDir(l.dir); err != nil || len(names) > 0 {
		l.t.Errorf("the file has a name: %v, %v", names, err)
	}
	return proto.OK, nil
}

// TestLongFramesGoThroughFiles: a call over 16 MiB is taken whole, leaves nothing behind, and the next one on the
// connection is read as ever.
func TestLongFramesGoThroughFiles(t *testing.T) {
	for name, each := range map[string]int{"many entries": 30, "large entries": 5 << 20} {
		t.Run(name, func(t *testing.T) {
			h := &largest{t: t, message: bytes.Repeat([]byte("m"), each), dir: t.TempDir()}
			r := serve(t, ServerOptions{SpillDir: h.dir}, h, nil)
			var b proto.Batch
			for b.Size() < 20<<20 {
				b.Append([]byte("c"), h.message)
			}
			frame := proto.AppendLogTrailer(append(proto.AppendLogHeader(nil, 1, b.Count()), b.Entries()...), proto.Trailer{})
			small := proto.AppendLogTrailer(proto.AppendEntry(proto.AppendLogHeader(nil, 2, 1), []byte("c"), h.message), proto.Trailer{})
			p := r.dial(t)
			go p.send(append(append(framed(frame), framed(small)...), framed(frame)...))
			p.answer(1, proto.OK)
			p.answer(2, proto.OK)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			p.answer(1, proto.OK)
			if runtime.ReadMemStats(&after); !raceEnabled && after.TotalAlloc-before.TotalAlloc > 4*spillAfter {
				t.Errorf("the second took %d bytes of memory", after.TotalAlloc-before.TotalAlloc)
			}
			if got, want := h.entries.Load(), int64(2*b.Count()+1); got != want {
				t.Errorf("%d entries, want %d", got, want)
			}
			if n := r.count("calls on disk"); n < 2 {
				t.Errorf("%d calls are counted as on disk", n)
			}
			if n := r.count("bytes in flight"); n != 0 {
				t.Errorf("%d bytes are still in flight", n)
			}
		})
	}
}

// TestLongFramesThatEndEarly: what a peer leaves in the middle is given back.
func TestLongFramesThatEndEarly(t *testing.T) {
	h := &largest{t: t, dir: t.TempDir()}
	r := serve(t, ServerOptions{SpillDir: h.dir}, h, nil)
	p := r.dial(t)
	p.send(append(binary.BigEndian.AppendUint32(nil, 60<<20), make([]byte, 3<<20)...))
	eventually(t, "a call on disk", func() bool { return r.count("calls on disk") == 1 })
	p.Close()
	eventually(t, "the end of the connection", func() bool { return r.count("connections") == 0 })
	if !r.spills.TryAcquire(maxSpilled) {
		t.Error("its room on the disk was not given back")
	}
	if h.entries.Load() != 0 {
		t.Error("half a call was taken")
	}
}

// TestLongFramesWithoutADisk: a directory that cannot be written costs the call and its connection.
func TestLongFramesWithoutADisk(t *testing.T) {
	h := &largest{t: t, dir: t.TempDir()}
	r := serve(t, ServerOptions{SpillDir: h.dir + "/missing"}, h, nil)
	p := r.dial(t)
	go func() { _, _ = p.Write(append(binary.BigEndian.AppendUint32(nil, 60<<20), make([]byte, 3<<20)...)) }()
	p.ended()
	if n := r.count("frames without room"); n != 1 {
		t.Errorf("%d frames without room", n)
	}
	if !strings.Contains(r.log.String(), "missing") {
		t.Errorf("the log does not say where:\\n%s", r.log.String())
	}
}

// TestFramesOfTrustedPeers: who is trusted may send more than others.
func TestFramesOfTrustedPeers(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		s := new(sink)
		r := serve(t, ServerOptions{MaxFrame: 1000, MaxTrusted: 100_000, Trusted: func(c *access.Caller) bool { return trusted && c.Local() }}, s, nil)
		p := r.dial(t)
		p.send(framed(logCall(1, strings.Repeat("x", 5000))))
		if !trusted {
			p.ended()
			continue
		}
		p.answer(1, proto.OK)
		p.send(binary.BigEndian.AppendUint32(nil, 100_001))
		p.ended()
	}
}
