package harness

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Fault is what a Proxy does to the connections through it.
type Fault int

// The faults. When Refuse, Swallow or LoseAnswers ends, connections that have lost bytes are cut.
const (
	Pass        Fault = iota
	Refuse            // connections are closed as soon as they are made
	Swallow           // half-open: bytes vanish in both directions without an error
	Pause             // bytes wait
	LoseAnswers       // requests arrive; with the first byte of an answer the connection breaks
	Slow              // a few bytes at a time
	Delay             // everything is late
)

var faultNames = [...]string{"pass", "refuse", "swallow", "pause", "lose answers", "slow", "delay"}

// String is the fault's name.
func (f Fault) String() string { return faultNames[f] }

// The parameters of the faults.
const (
	slowBytes = 400
	slowWait  = 5 * time.Millisecond
	delayWait = 60 * time.Millisecond
	pauseLook = 5 * time.Millisecond
)

// Proxy stands between a client and a server, and breaks their connections:
//
//	client ──► Addr ── fault ──► target
type Proxy struct {
	Addr   string
	Cuts   atomic.Int64 // connections that were broken on purpose
	Lost   atomic.Int64 // answers that were
	target string
	fault  atomic.Int32
	ln     net.Listener
	work   sync.WaitGroup

	mu    sync.Mutex
	links map[*link]bool
}

// link is one connection through the proxy.
type link struct {
	p              *Proxy
	client, server net.Conn
	maimed         atomic.Bool // bytes of it have vanished
}

// NewProxy starts a proxy that ends with the test.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	p := &Proxy{Addr: FreeAddr(tb), target: target, links: make(map[*link]bool)}
	var err error
	if p.ln, err = net.Listen("tcp", p.Addr); err != nil {
		tb.Fatal(err)
	}
	p.work.Go(p.accept)
	tb.Cleanup(p.close)
	return p
}

func (p *Proxy) close() {
	_ = p.ln.Close() // ends accept
	p.Cut()
	p.work.Wait()
}

// Set ends the current fault and begins another.
func (p *Proxy) Set(f Fault) {
	p.fault.Store(int32(f))
	if f == Refuse {
		p.Cut()
		return
	}
	for _, l := range p.standing() {
		if l.maimed.Load() {
			l.cut()
		}
	}
}

// Cut breaks all open connections.
func (p *Proxy) Cut() {
	for _, l := range p.standing() {
		l.cut()
	}
}

func (p *Proxy) standing() (links []*link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		links = append(links, l)
	}
	return links
}

func (p *Proxy) now() Fault { return Fault(p.fault.Load()) }

func (p *Proxy) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		if p.now() == Refuse {
			p.Cuts.Add(1)
			_ = client.Close() // that is the fault
			continue
		}
		p.work.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		_ = client.Close() // as if nobody listened
		return
	}
	l := &link{p: p, client: client, server: server}
	p.mu.Lock()
	p.links[l] = true
	p.mu.Unlock()
	p.work.Go(func() { l.pump(server, client, false) })
	l.pump(client, server, true)
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// cut breaks a connection on purpose: both ends see a reset.
func (l *link) cut() {
	l.p.Cuts.Add(1)
	for _, c := range []net.Conn{l.client, l.server} {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // else the end would look orderly
		}
	}
	l.end()
}

func (l *link) end() {
	_ = l.client.Close() // a second time does nothing
	_ = l.server.Close()
}

// pump copies bytes from src to dst until one of them ends.
func (l *link) pump(dst, src net.Conn, answers bool) {
	defer l.end()
	buf := make([]byte, 16<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 && !l.bring(dst, buf[:n], answers) || err != nil {
			return
		}
	}
}

// bring writes b, subject to the current fault; it returns false if the connection has to end.
func (l *link) bring(dst net.Conn, b []byte, answers bool) bool {
	for len(b) > 0 {
		n := len(b)
		switch fault := l.p.now(); {
		case l.maimed.Load() || fault == Swallow:
			l.maimed.Store(true)
			return true
		case fault == Refuse:
			return false
		case fault == Pause:
			time.Sleep(pauseLook)
			continue
		case fault == LoseAnswers && answers:
			l.p.Lost.Add(1)
			l.cut()
			return false
		case fault == Slow:
			time.Sleep(slowWait)
			n = min(n, slowBytes)
		case fault == Delay:
			time.Sleep(delayWait)
		}
		if _, err := dst.Write(b[:n]); err != nil {
			return false
		}
		b = b[n:]
	}
	return true
}
