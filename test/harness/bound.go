package harness

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Bound is a next hop with a limit. It stands in front of a server and answers TRY_LATER to a Log call that has more
// entries or bytes than allowed; other calls and their answers pass through.
type Bound struct {
	Addr    string
	Entries int
	Bytes   int          // of a call
	Later   atomic.Int64 // calls that were too large
	Passed  atomic.Int64
	target  string
	ln      net.Listener
	work    sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	ended bool
}

// NewBound starts a Bound that ends with the test.
func NewBound(tb testing.TB, target string, entries, bytes int) *Bound {
	tb.Helper()
	b := &Bound{Addr: FreeAddr(tb), Entries: entries, Bytes: bytes, target: target, conns: make(map[net.Conn]bool)}
	var err error
	if b.ln, err = net.Listen("tcp", b.Addr); err != nil {
		tb.Fatal(err)
	}
	b.work.Go(b.accept)
	tb.Cleanup(b.close)
	return b
}

func (b *Bound) close() {
	_ = b.ln.Close() // ends accept
	b.mu.Lock()
	b.ended = true
	for c := range b.conns {
		_ = c.Close() // ends serve
	}
	b.mu.Unlock()
	b.work.Wait()
}

func (b *Bound) accept() {
	for {
		client, err := b.ln.Accept()
		if err != nil {
			return
		}
		b.work.Go(func() { b.serve(client) })
	}
}

// keep notes a connection, so that close can end it.
func (b *Bound) keep(c net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns[c] = true
	return !b.ended
}

func (b *Bound) drop(c net.Conn) {
	b.mu.Lock()
	delete(b.conns, c)
	b.mu.Unlock()
	_ = c.Close() // whoever is at the other end has gone
}

func (b *Bound) serve(client net.Conn) {
	defer b.drop(client)
	server, err := net.DialTimeout("tcp", b.target, 5*time.Second)
	if err != nil {
		return // as if nobody listened
	}
	defer b.drop(server)
	if !b.keep(client) || !b.keep(server) {
		return
	}
	for {
		frame, err := readFrame(client)
		if err != nil {
			return
		}
		answer, err := b.answer(frame, server)
		if err != nil {
			return
		}
		if _, err := client.Write(Frame(answer)); err != nil {
			return
		}
	}
}

// answer returns the server's answer to a call, or TRY_LATER.
func (b *Bound) answer(frame []byte, server net.Conn) ([]byte, error) {
	head, entries, err := logHead(frame)
	if err != nil {
		return nil, err
	}
	if entries > b.Entries || len(frame) > b.Bytes && entries > 1 {
		b.Later.Add(1)
		return append(head, typeI32, 0, 0, 0, 0, 0, TryLater, 0), nil
	}
	b.Passed.Add(1)
	if _, err := server.Write(Frame(frame)); err != nil {
		return nil, err
	}
	return readFrame(server)
}

// logHead returns the header of an answer to a call, in the old style, and the number of entries in the call.
func logHead(frame []byte) (head []byte, entries int, err error) {
	const log = "\x00\x00\x00\x03Log\x01"
	if !strings.HasPrefix(string(frame), log) || len(frame) < len(log)+4+8 {
		return nil, 0, errors.New("not a Log call in the old style")
	}
	head = append([]byte(log[:len(log)-1]), 2)
	head = append(head, frame[len(log):len(log)+4]...)
	return head, int(binary.BigEndian.Uint32(frame[len(log)+8:])), nil
}

func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(r, frame)
	return frame, err
}
