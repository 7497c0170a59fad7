package rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"inkwell/internal/access"
	"inkwell/proto"
)

// abroad is a listener whose peers seem to come from afar: who dials from 127.0.0.N is 203.0.113.N.
type abroad struct{ net.Listener }

type foreign struct {
	*net.TCPConn
	from net.Addr
}

func (f foreign) RemoteAddr() net.Addr { return f.from }

func (a abroad) Accept() (net.Conn, error) {
	nc, err := a.Listener.Accept()
	if err != nil {
		return nil, err
	}
	at := nc.RemoteAddr().(*net.TCPAddr)
	return foreign{nc.(*net.TCPConn), &net.TCPAddr{IP: net.IPv4(203, 0, 113, at.IP.To4()[3]), Port: at.Port}}, nil
}

// abroad lets r serve a listener of that kind.
func (r *rig) abroad(t testing.TB) (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.serveOn(t, abroad{ln})
	return ln.Addr().String()
}

// dialFrom dials addr as 203.0.113.N.
func dialFrom(t testing.TB, n byte, addr string) *peer {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, n)}}
	nc, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return &peer{nc, t}
}

func TestConnectionsOfAnAddressAreBounded(t *testing.T) {
	r := serve(t, ServerOptions{MaxPerAddress: 3}, nothing{}, nil)
	addr := r.abroad(t)
	var held []*peer
	for i := range int32(3) {
		p := dialFrom(t, 7, addr)
		p.send(framed(logCall(i, "x")))
		p.answer(i, proto.OK)
		held = append(held, p)
	}
	dialFrom(t, 7, addr).ended()
	if n, all := r.count("connections refused by address"), r.count("connections refused"); n != 1 || all != 1 {
		t.Errorf("refused by address %d, in all %d", n, all)
	}
	if !strings.Contains(r.log.String(), "max_conn_per_address") || !strings.Contains(r.log.String(), "203.0.113.7") {
		t.Errorf("log: %s", r.log.String())
	}
	other := dialFrom(t, 8, addr)
	other.send(framed(logCall(1, "x")))
	other.answer(1, proto.OK)
	for i := range int32(10) { // this machine's own have no limit
		p := r.dial(t)
		p.send(framed(logCall(i, "x")))
		p.answer(i, proto.OK)
	}
	held[0].Close()
	eventually(t, "room for another", func() bool { return r.count("connections") == 13 })
	p := dialFrom(t, 7, addr)
	p.send(framed(logCall(1, "x")))
	p.answer(1, proto.OK)
}

func TestOrigins(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.7": "203.0.113.7/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "127.0.0.1": "", "::1": "",
	} {
		got, counted := originOf(&access.Identity{Addr: netip.MustParseAddr(text)})
		if counted != (want != "") || counted && got.String() != want {
			t.Errorf("%s: %v %v", text, got, counted)
		}
	}
	for _, id := range []access.Identity{{}, {Unix: &access.Peer{}}} {
		if got, counted := originOf(&id); counted {
			t.Errorf("%v: %v", id, got)
		}
	}
}

func TestEntriesOfACallAreBounded(t *testing.T) {
	s := new(sink)
	r := serve(t, ServerOptions{MaxEntries: 3}, s, nil)
	p := r.dial(t)
	odd := append(proto.AppendLogHeader(nil, 2, 0)[:12], 0x0b, 0, 9, 0, 0, 0, 0) // a field that nobody knows stands before the list
	odd = append(odd, logCall(2, "a", "b", "c", "d")[12:]...)
	p.send(framed(logCall(1, "a", "b", "c"), logCall(2, "a", "b", "c", "d"), odd, logCall(3, "e")))
	p.answer(1, proto.OK)
	for range 2 {
		var refusal *proto.ApplicationError
		if r, err := proto.DecodeLogReply(p.frame()); r.SeqID != 2 || !errors.As(err, &refusal) || !strings.Contains(refusal.Text, "4 entries, the limit is 3") {
			t.Errorf("%d, %v", r.SeqID, err)
		}
	}
	p.answer(3, proto.OK)
	if n := r.count("calls too many entries"); n != 2 {
		t.Errorf("counted %d", n)
	}
	equal(t, s.got(), "c=a", "c=b", "c=c", "c=e")
	local := &conn{s: NewServer(ServerOptions{MaxTrusted: 256 << 20, Trusted: func(c *access.Caller) bool { return c.Local() }}, s, nil)}
	if n := local.maxEntries(3 << 20); n != 64<<20/32 {
		t.Errorf("%d entries of anybody", n)
	}
	if local.caller.Addr = netip.MustParseAddr("127.0.0.1"); local.maxEntries(1) != 64<<20/32 || local.maxEntries(3<<20) != 256<<20/32 {
		t.Errorf("%d and %d entries of this machine", local.maxEntries(1), local.maxEntries(3<<20))
	}
}

func TestHeaderTime(t *testing.T) {
	const short = 50 * time.Millisecond
	ours := newAuthority(t, "our authority")
	files := ours.issue("server", leaf{names: []string{"127.0.0.1"}})
	for name, bytes := range map[string][]byte{"silence": nil, "half a length": {0, 0}, "half a hello": {0x16, 3, 1, 2, 0, 1}} {
		t.Run(name, func(t *testing.T) {
			r := serve(t, ServerOptions{HeaderTimeout: short, ReadTimeout: short}, nothing{}, nil)
			addr, _ := r.secure(t, files)
			if len(bytes) != 6 {
				p := r.dial(t)
				p.send(bytes)
				p.ended()
				eventually(t, "the count", func() bool { return r.count("connections timed out") == 1 })
			}
			before := r.count("connections timed out")
			nc, err := net.Dial("tcp", strings.TrimPrefix(addr, "tls://"))
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(patience))
			p := &peer{nc, t}
			p.send(bytes)
			p.ended()
			eventually(t, "the count of TLS", func() bool { return r.count("connections timed out") == before+1 })
		})
	}
	r := serve(t, ServerOptions{HeaderTimeout: short}, nothing{}, nil)
	p := r.dial(t)
	for i := range int32(2) {
		p.send(framed(logCall(i, "x")))
		p.answer(i, proto.OK)
		time.Sleep(3 * short) // who has called may be silent for longer
	}
}

// One address cannot hold all the room for large frames.
func TestInFlightOfAnAddressIsBounded(t *testing.T) {
	release := make(chan struct{})
	s := &sink{before: func(_ context.Context, b *proto.Batch) (proto.ResultCode, error) {
		if c := b.Cursor(); c.Next() && c.Message()[0] == 'h' {
			<-release
		}
		return proto.OK, nil
	}}
	r := serve(t, ServerOptions{MaxInFlight: 4 << 20, MaxFrame: 1 << 20, ReadTimeout: 100 * time.Millisecond}, s, nil)
	addr := r.abroad(t)
	call := framed(logCall(1, strings.Repeat("x", 1_000_000)))
	holding := dialFrom(t, 7, addr)
	holding.send(framed(logCall(1, strings.Repeat("h", 1_000_000))))
	eventually(t, "a frame in flight", func() bool { return r.count("bytes in flight") > 0 })
	waiting := dialFrom(t, 7, addr)
	go waiting.Write(call)
	for range 3 { // from elsewhere there is room
		p := dialFrom(t, 8, addr)
		go p.Write(call)
		p.answer(1, proto.OK)
	}
	eventually(t, "the one without room", func() bool { return r.count("frames without room") == 1 })
	close(release)
	holding.answer(1, proto.OK)
	eventually(t, "a word of it in the log", func() bool { return strings.Contains(r.log.String(), "connections of its address hold all") })
	eventually(t, "everything is given back", func() bool { return r.count("bytes in flight") == 0 })
}

// Who finds the room of all taken gives back what it had of its own address.
func TestInFlightOfAllIsBounded(t *testing.T) {
	release := make(chan struct{})
	s := &sink{before: func(context.Context, *proto.Batch) (proto.ResultCode, error) { <-release; return proto.OK, nil }}
	r := serve(t, ServerOptions{MaxInFlight: 4 << 20, MaxFrame: 1 << 20, ReadTimeout: 100 * time.Millisecond}, s, nil)
	addr := r.abroad(t)
	call := framed(logCall(1, strings.Repeat("x", 1_000_000)))
	var holding []*peer
	for n := range byte(4) {
		p := dialFrom(t, 10+n, addr)
		go p.Write(call)
		holding = append(holding, p)
	}
	eventually(t, "four frames in flight", func() bool { return r.count("bytes in flight") > 4_000_000 })
	stays := dialFrom(t, 20, addr) // and with it what is known of its address
	eventually(t, "a connection", func() bool { return r.count("connections") == 5 })
	late := dialFrom(t, 20, addr)
	go late.Write(call)
	eventually(t, "the one without room", func() bool { return r.count("frames without room") == 1 })
	eventually(t, "a word of it in the log", func() bool { return strings.Contains(r.log.String(), "connections of all addresses hold all") })
	close(release)
	for _, p := range holding {
		p.answer(1, proto.OK)
	}
	go stays.Write(call)
	stays.answer(1, proto.OK)
}

// One hostile address with as many connections as it gets, and fifty good ones: the good do not feel it.
func TestHostilePeerDoesNotSlowOthers(t *testing.T) {
	const good, calls = 50, 20
	r := serve(t, ServerOptions{MaxConnections: 256, MaxPerAddress: 40, MaxInFlight: 32 << 20, MaxFrame: 8 << 20}, nothing{}, nil)
	addr := r.abroad(t)
	quiet := crowd(t, addr, good, calls)
	stop := make(chan struct{})
	var hostile sync.WaitGroup
	for i := range 80 {
		hostile.Go(func() { attack(addr, i, stop) })
	}
	eventually(t, "the attack", func() bool {
		return r.count("bytes in flight") >= 7<<20 && r.count("connections refused by address") > 0 && r.count("frames bad") > 0 && r.count("frames too large") > 0
	})
	busy := crowd(t, addr, good, calls)
	close(stop)
	hostile.Wait()
	t.Logf("the slowest of %d calls: %v alone, %v beside the attack; refused by address %d, bad %d, too large %d", good*calls, quiet, busy,
		r.count("connections refused by address"), r.count("frames bad"), r.count("frames too large"))
	if limit := max(20*quiet, 2*time.Second); busy > limit {
		t.Errorf("a call took %v beside the attack, %v without it", busy, quiet)
	}
}

// crowd makes calls, small and large, over many connections from other addresses at once and returns how long the
// slowest took.
func crowd(t *testing.T, addr string, conns, calls int) (slowest time.Duration) {
	small, large := framed(logCall(1, "x")), framed(logCall(1, strings.Repeat("x", 400_000)))
	took := make([]time.Duration, conns)
	var all sync.WaitGroup
	for i := range conns {
		p := dialFrom(t, byte(100+i%10), addr)
		all.Go(func() {
			defer p.Close()
			for n := range calls {
				began := time.Now()
				call := small
				if n%5 == 0 {
					call = large
				}
				if _, err := p.Write(call); err != nil {
					t.Error(err)
					return
				}
				if _, err := io.ReadFull(p, make([]byte, 24)); err != nil {
					t.Error(err)
					return
				}
				took[i] = max(took[i], time.Since(began))
			}
		})
	}
	all.Wait()
	return slices.Max(took)
}

// attack does one of the things that a hostile peer does, again and again: holding room with a large frame that never
// ends, claiming sizes, sending junk, opening connections and leaving them.
func attack(addr string, kind int, stop chan struct{}) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 66)}}
	for {
		select {
		case <-stop:
			return
		default:
		}
		nc, err := d.DialContext(context.Background(), "tcp", addr)
		if err != nil {
			continue
		}
		switch kind % 5 {
		case 0:
			nc.Write(append(binary.BigEndian.AppendUint32(nil, 7<<20), make([]byte, 6<<20)...))
			<-stop
		case 1:
			nc.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		case 2:
			nc.Write(framed([]byte("junk, junk, junk")))
		case 3:
			fmt.Fprint(nc, "\x00\x00")
			<-stop
		case 4:
			nc.Write(framed(logCall(1, "a"), logCall(2, "b")))
		}
		nc.Close()
		time.Sleep(time.Millisecond)
	}
}
