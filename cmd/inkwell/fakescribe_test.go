package main

import (
	"encoding/binary"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fakeScribe answers calls with results that a test gives byte by byte, in the old style. It closes each connection
// after one answer and records the methods.
type fakeScribe struct {
	addr string

	mu      sync.Mutex
	results map[string]string // of a method: the fields of its result; a missing one closes the connection without an answer
	called  []string
	frames  []string // of Log: the arguments
}

func startFake(t *testing.T, results map[string]string) *fakeScribe {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeScribe{addr: ln.Addr().String(), results: maps.Clone(results)}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		serving.Wait()
	})
	return s
}

func (s *fakeScribe) serve(conn net.Conn) {
	defer conn.Close()
	var length [4]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return
	}
	frame := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(conn, frame); err != nil {
		return
	}
	n := binary.BigEndian.Uint32(frame) // old style: the name comes first
	method, rest := string(frame[4:4+n]), frame[4+n:]
	s.mu.Lock()
	s.called = append(s.called, method)
	result, ok := s.results[method]
	if method == "Log" {
		s.frames = append(s.frames, string(rest[5:]))
	}
	s.mu.Unlock()
	if !ok {
		return
	}
	reply := string(frame[:4+n]) + "\x02" + string(rest[1:5]) + result + "\x00"
	conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(reply))), reply...))
}

func (s *fakeScribe) methods() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.called)
}

func (s *fakeScribe) set(method, result string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results[method] = result
}

// port returns the port alone.
func (s *fakeScribe) port() string { return s.addr[strings.LastIndexByte(s.addr, ':')+1:] }

// The results of fb303: the header of field 0 and a value.
func i32Result(v uint32) string {
	return "\x08\x00\x00" + string(binary.BigEndian.AppendUint32(nil, v))
}
func i64Result(v uint64) string {
	return "\x0a\x00\x00" + string(binary.BigEndian.AppendUint64(nil, v))
}
func stringResult(s string) string { return "\x0b\x00\x00" + thriftString(s) }

func thriftString(s string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s
}

// countersResult is a map<string,i64> of alternating names and values.
func countersResult(pairs ...any) string {
	out := "\x0d\x00\x00\x0b\x0a" + string(binary.BigEndian.AppendUint32(nil, uint32(len(pairs)/2)))
	for i := 0; i < len(pairs); i += 2 {
		out += thriftString(pairs[i].(string)) + string(binary.BigEndian.AppendUint64(nil, uint64(pairs[i+1].(int))))
	}
	return out
}

// alive are the answers of a healthy server.
func alive() map[string]string {
	return map[string]string{
		"getStatus": i32Result(2), "getStatusDetails": stringResult(""), "getVersion": stringResult("2.2"), "getName": stringResult("Scribe"),
		"aliveSince": i64Result(1795426052), "Log": i32Result(0),
		"getCounters": countersResult("scribe_overall:received good", 12, "foo bar:received good", 7, "b:c:lost", 0, "scribe_overall:sent", 5),
	}
}
