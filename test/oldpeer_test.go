package test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"inkwell/test/harness"
)

// answer is what an old peer does with a call.
type answer int

const (
	takes       answer = iota // OK
	refuses                   // TRY_LATER
	throws                    // an exception
	isSilent                  // nothing, the connection stays
	hangsUp                   // closes the connection instead of an answer
	answersHalf               // takes it, and closes in the middle of the answer: the sender cannot know
	answersNil                // an answer without a result
)

// oldPeer knows only Log, in the old style, as Zipkin's and many home-made servers. What it took is in entries.
type oldPeer struct {
	addr   string
	listen net.Listener
	judge  func(call int, entries []harness.Entry) answer // of the calls that hold entries

	mu      sync.Mutex
	calls   int
	entries []harness.Entry
	unsure  int // entries that were taken without a whole answer
	seen    map[answer]int
	conns   map[net.Conn]bool
	strict  bool // a call came in the newer style
	largest int  // bytes of a frame
}

func newOldPeer(t *testing.T, judge func(call int, entries []harness.Entry) answer) *oldPeer {
	t.Helper()
	p := &oldPeer{addr: harness.FreeAddr(t), judge: judge, seen: map[answer]int{}, conns: map[net.Conn]bool{}}
	var err error
	if p.listen, err = net.Listen("tcp", p.addr); err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := p.listen.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns[conn] = true
			p.mu.Unlock()
			work.Go(func() {
				if err := p.serve(conn); err != nil && !errors.Is(err, net.ErrClosed) {
					t.Errorf("old peer: %v", err)
				}
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = p.listen.Close()
		p.cut()
		work.Wait()
	})
	return p
}

// cut closes the connections, as a peer does that is restarted.
func (p *oldPeer) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

func (p *oldPeer) port() string {
	_, port, _ := net.SplitHostPort(p.addr)
	return port
}

// serve answers the calls of a connection. An error is one in what the sender sent.
func (p *oldPeer) serve(conn net.Conn) error {
	in := bufio.NewReader(conn)
	for {
		var head [4]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return nil
		}
		n := binary.BigEndian.Uint32(head[:])
		if n == 0 || n > 16_384_000 { // as Flume's source
			return fmt.Errorf("a frame of %d bytes", n)
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(in, frame); err != nil {
			return nil
		}
		p.mu.Lock()
		p.largest = max(p.largest, len(frame))
		p.mu.Unlock()
		d := &thriftReader{rest: frame}
		name, seq, strict := d.header()
		if strict {
			p.mu.Lock()
			p.strict = true
			p.mu.Unlock()
		}
		if name != "Log" {
			return fmt.Errorf("a call of %s, of which some servers that know only Log die", name)
		}
		entries := d.log()
		if d.err != nil {
			return d.err
		}
		if !p.react(conn, seq, entries) {
			return nil
		}
	}
}

// react answers a Log call and says whether the connection goes on.
func (p *oldPeer) react(conn net.Conn, seq uint32, entries []harness.Entry) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	how := takes
	if len(entries) > 0 { // others only want to know whether there is somebody
		how = p.judge(p.calls, entries)
		p.calls++
		p.seen[how]++
	}
	reply := binary.BigEndian.AppendUint32(append(harness.AppendString(nil, "Log"), 2), seq)
	switch how {
	case takes, answersHalf:
		p.entries = append(p.entries, entries...)
		reply = harness.Frame(append(reply, 8, 0, 0, 0, 0, 0, 0, 0))
		if how == answersHalf {
			p.unsure += len(entries)
			reply = reply[:len(reply)/2]
		}
	case refuses:
		reply = harness.Frame(append(reply, 8, 0, 0, 0, 0, 0, 1, 0))
	case throws:
		reply = exception("Log", seq, 6, "Internal error processing Log")
	case answersNil:
		reply = harness.Frame(append(reply, 0))
	case isSilent:
		return true
	case hangsUp:
		return false
	}
	_, err := conn.Write(reply)
	return err == nil && how != answersHalf
}

// exception is an answer of type TApplicationException in the old style.
func exception(method string, seq uint32, kind byte, text string) []byte {
	b := binary.BigEndian.AppendUint32(append(harness.AppendString(nil, method), 3), seq)
	b = harness.AppendString(harness.AppendField(b, 11, 1), text)
	return harness.Frame(append(harness.AppendField(b, 8, 2), 0, 0, 0, kind, 0))
}

// took is how many entries it took so far.
func (p *oldPeer) took() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.entries)
}

// ledger is what it took of a category.
func (p *oldPeer) ledger(category string) *harness.Ledger {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := harness.NewLedger()
	for _, e := range p.entries {
		if e.Category == category {
			l.Bytes([]byte(e.Message))
		}
	}
	return l
}

// thriftReader reads the binary protocol; after an error it returns zeros.
type thriftReader struct {
	rest []byte
	err  error
}

func (d *thriftReader) bytes(n int) []byte {
	if d.err == nil && (n < 0 || n > len(d.rest)) {
		d.err = fmt.Errorf("%d bytes wanted where there are %d", n, len(d.rest))
	}
	if d.err != nil {
		return make([]byte, max(0, min(n, 16)))
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *thriftReader) byte() byte     { return d.bytes(1)[0] }
func (d *thriftReader) i16() uint16    { return binary.BigEndian.Uint16(d.bytes(2)) }
func (d *thriftReader) i32() uint32    { return binary.BigEndian.Uint32(d.bytes(4)) }
func (d *thriftReader) string() string { return string(d.bytes(int(int32(d.i32())))) }

func (d *thriftReader) header() (name string, seq uint32, strict bool) {
	n := d.i32()
	if strict = n&0x80000000 != 0; strict {
		name = d.string()
		return name, d.i32(), true
	}
	name = string(d.bytes(int(n)))
	d.byte()
	return name, d.i32(), false
}

// log reads the arguments of a Log call, of which it knows the first.
func (d *thriftReader) log() (entries []harness.Entry) {
	for d.err == nil {
		typ := d.byte()
		if typ == 0 {
			return entries
		}
		if id := d.i16(); id != 1 || typ != 15 {
			d.skip(typ)
			continue
		}
		d.byte()
		for range d.i32() {
			var e harness.Entry
			for d.err == nil {
				typ := d.byte()
				if typ == 0 {
					break
				}
				switch id := d.i16(); {
				case id == 1 && typ == 11:
					e.Category = d.string()
				case id == 2 && typ == 11:
					e.Message = d.string()
				default:
					d.skip(typ)
				}
			}
			if d.err != nil {
				return nil
			}
			entries = append(entries, e)
		}
	}
	return entries
}

// skip passes over a value, as old peers do with what they do not know.
func (d *thriftReader) skip(typ byte) {
	switch typ {
	case 2, 3:
		d.bytes(1)
	case 6:
		d.bytes(2)
	case 8:
		d.bytes(4)
	case 4, 10:
		d.bytes(8)
	case 11:
		_ = d.string()
	case 12:
		for d.err == nil {
			inner := d.byte()
			if inner == 0 {
				return
			}
			d.i16()
			d.skip(inner)
		}
	case 15:
		inner := d.byte()
		for range d.i32() {
			if d.skip(inner); d.err != nil {
				return
			}
		}
	default:
		d.err = fmt.Errorf("type %d", typ)
	}
}

// toOldPeer is where entries come from on their way to an old peer: scribed or a forwarder.
type toOldPeer struct {
	name  string
	start func(t *testing.T, p *oldPeer) (send func(from, to int, poison ...string), stop func())
}

// forwardTo writes the configuration of a forwarder that follows dir/app.log and sends to an old peer.
func (p *oldPeer) forwardTo(t *testing.T, dir string) (conf string) {
	t.Helper()
	conf = filepath.Join(dir, "forward.conf")
	harness.WriteFile(t, conf, "inkwell 1\n<tail>\ncategory=cat\npath="+dir+"/app.log\n</tail>\n"+harness.RelayStore(
		"remote_host=127.0.0.1\nremote_port="+p.port()+"\ntimeout=1000\nmax_batch_size=5000", dir+"/spool"))
	return conf
}

var oldPeerSenders = []toOldPeer{
	{"scribed", func(t *testing.T, p *oldPeer) (func(int, int, ...string), func()) {
		conf := strings.NewReplacer("timeout=2000", "timeout=1000\nmax_batch_size=5000", "{CENTRAL}", p.port()).Replace(relayConf)
		s := ink.Scribed(t, conf)
		c := dialScribe(t, s.Addr)
		return func(from, to int, poison ...string) {
			entries := harness.Entries("cat", "src", from, to)
			for _, line := range poison {
				entries = append(entries[:len(entries)/2], append([]harness.Entry{{Category: "cat", Message: line}}, entries[len(entries)/2:]...)...)
			}
			mustLog(t, c, entries...)
		}, func() { s.Shutdown(t) }
	}},
	{"forward", func(t *testing.T, p *oldPeer) (func(int, int, ...string), func()) {
		dir := t.TempDir()
		conf := p.forwardTo(t, dir)
		path := filepath.Join(dir, "app.log")
		harness.WriteFile(t, path, "")
		f := ink.Start(t, harness.Command{Args: []string{"forward", "-c", conf, "--state", filepath.Join(dir, "state")}})
		return func(from, to int, poison ...string) {
			middle := (from + to) / 2
			text := string(harness.Lines("src", from, middle)) + strings.Join(poison, "") + string(harness.Lines("src", middle, to))
			appendTo(t, path, text)
		}, func() { f.Stop(t) }
	}},
}

// TestOldPeerThatIsTroubled answers now one way, now another: every entry arrives, those of calls with a whole answer once, in order.
func TestOldPeerThatIsTroubled(t *testing.T) {
	t.Parallel()
	moods := []answer{refuses, takes, hangsUp, takes, throws, takes, isSilent, takes, answersHalf, takes, answersNil, takes, refuses, refuses, takes}
	for _, from := range oldPeerSenders {
		t.Run(from.name, func(t *testing.T) {
			t.Parallel()
			p := newOldPeer(t, func(call int, _ []harness.Entry) answer {
				if call < len(moods) {
					return moods[call]
				}
				return takes
			})
			send, stop := from.start(t, p)
			n := 0
			for calls := 0; calls < len(moods) || p.took() < n; {
				if p.took() >= n { // all of it arrived: more
					send(n, n+100)
					n += 100
				}
				time.Sleep(10 * time.Millisecond)
				p.mu.Lock()
				calls = p.calls
				p.mu.Unlock()
			}
			harness.Until(t, "all lines have arrived", func() bool {
				p.mu.Lock()
				calls := p.calls
				p.mu.Unlock()
				return calls >= len(moods) && len(p.ledger("cat").Of("src").Seen) >= n && p.ledger("cat").Of("src").Count(n-1) > 0
			})
			stop()
			l := p.ledger("cat")
			l.Known(t, func(source string) bool { return source == "src" })
			l.All(t, "src", n)
			if twice := l.Of("src").Twice; twice > p.unsure {
				t.Errorf("%d lines came twice, of %d that had half an answer", twice, p.unsure)
			}
			if p.strict {
				t.Error("a call came in the newer style, which old peers need not know")
			}
		})
	}
}

// TestOldPeerThatNeverAnswers takes nothing and says nothing for a while: nothing is lost.
func TestOldPeerThatNeverAnswers(t *testing.T) {
	t.Parallel()
	for _, from := range oldPeerSenders {
		t.Run(from.name, func(t *testing.T) {
			t.Parallel()
			var silent sync.Once
			woken := make(chan struct{})
			p := newOldPeer(t, func(call int, _ []harness.Entry) answer {
				if call >= 2 {
					silent.Do(func() { close(woken) })
				}
				select {
				case <-woken:
					return takes
				default:
					return isSilent
				}
			})
			send, stop := from.start(t, p)
			send(0, 100)
			<-woken
			send(100, 200)
			harness.Until(t, "all lines have arrived", func() bool { return p.took() >= 200 })
			stop()
			p.ledger("cat").Exactly(t, map[string]int{"src": 200})
		})
	}
}

// TestOldPeerWithAPoisonousEntry answers every call with an exception that holds a certain entry: that one is set aside, those around
// it arrive, once and in order.
func TestOldPeerWithAPoisonousEntry(t *testing.T) {
	t.Parallel()
	const poison = "POISON\n"
	for _, from := range oldPeerSenders {
		t.Run(from.name, func(t *testing.T) {
			t.Parallel()
			p := newOldPeer(t, func(_ int, entries []harness.Entry) answer {
				for _, e := range entries {
					if strings.Contains(e.Message, poison) {
						return throws
					}
				}
				return takes
			})
			send, stop := from.start(t, p)
			send(0, 100, poison)
			send(100, 150)
			harness.Until(t, "what is around the poison has arrived", func() bool { return p.took() >= 150 })
			stop()
			p.ledger("cat").Exactly(t, map[string]int{"src": 150})
			if p.seen[throws] > 60 {
				t.Errorf("the poison was offered %d times", p.seen[throws])
			}
		})
	}
}

// appendTo adds text to a file.
func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
