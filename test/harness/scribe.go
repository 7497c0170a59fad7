package harness

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// Entry is one entry of a Log call.
type Entry struct{ Category, Message string }

// The answers to a Log call.
const (
	OK       = 0
	TryLater = 1
)

// The types of the Thrift binary protocol that are used here.
const (
	typeI32    = 8
	typeI64    = 10
	typeString = 11
	typeStruct = 12
	typeMap    = 13
	typeList   = 15
)

// Scribe is a client for the Scribe protocol, written independently from the protocol's description. Not safe for
// concurrent use.
type Scribe struct {
	Conn   net.Conn
	Strict bool // calls carry the version word of newer clients
	seq    int32
	buf    []byte
}

// DialScribe connects to addr.
func DialScribe(addr string) (*Scribe, error) {
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &Scribe{Conn: conn}, nil
}

// Close closes the connection.
func (s *Scribe) Close() { _ = s.Conn.Close() }

// AppendString appends a string of the protocol.
func AppendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// AppendField appends the header of a field.
func AppendField(b []byte, typ byte, id uint16) []byte {
	return binary.BigEndian.AppendUint16(append(b, typ), id)
}

// header appends the header of a call.
func (s *Scribe) header(b []byte, method string) []byte {
	s.seq++
	if s.Strict {
		b = binary.BigEndian.AppendUint32(b, 0x80010001)
		return binary.BigEndian.AppendUint32(AppendString(b, method), uint32(s.seq))
	}
	return binary.BigEndian.AppendUint32(append(AppendString(b, method), 1), uint32(s.seq))
}

// Frame prepends the length to a message.
func Frame(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// LogCall appends a whole Log call in its frame to b.
func (s *Scribe) LogCall(b []byte, entries []Entry) []byte {
	start := len(b)
	b = s.header(append(b, 0, 0, 0, 0), "Log")
	b = append(AppendField(b, typeList, 1), typeStruct)
	b = binary.BigEndian.AppendUint32(b, uint32(len(entries)))
	for _, e := range entries {
		b = AppendString(AppendField(b, typeString, 1), e.Category)
		b = AppendString(AppendField(b, typeString, 2), e.Message)
		b = append(b, 0)
	}
	b = append(b, 0)
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// Log sends a call and returns its answer. After an error it is not known whether the entries were taken.
func (s *Scribe) Log(entries ...Entry) (code int, err error) {
	s.buf = s.LogCall(s.buf[:0], entries)
	if _, err := s.Conn.Write(s.buf); err != nil {
		return 0, err
	}
	return s.LogReply(s.seq)
}

// LogReply reads the answer to the Log call number seq. It must be byte for byte what the original answers.
func (s *Scribe) LogReply(seq int32) (code int, err error) { return s.reply(seq, "\x00") }

// PeerReply reads the answer to a Log call that may have had spans: the answer of the original, followed, if there were
// spans, by the field by which an Inkwell identifies itself.
func (s *Scribe) PeerReply(seq int32) (code int, err error) {
	return s.reply(seq, "\x00", string([]byte{typeI32, 0, 2, 0, 0, 0, 1, 0}))
}

// reply reads an answer. One of ends must follow its code.
func (s *Scribe) reply(seq int32, ends ...string) (code int, err error) {
	reply, err := s.Frame()
	if err != nil {
		return 0, err
	}
	want := append(AppendString(nil, "Log"), 2)
	want = binary.BigEndian.AppendUint32(want, uint32(seq))
	want = append(want, typeI32, 0, 0, 0, 0, 0)
	if len(reply) < 20 || !bytes.Equal(reply[:len(want)], want) || reply[18] > TryLater ||
		!slices.Contains(ends, string(reply[19:])) {
		return 0, fmt.Errorf("answer % x to call %d", reply, seq)
	}
	return int(reply[18]), nil
}

// Frame reads one frame.
func (s *Scribe) Frame() ([]byte, error) {
	if err := s.Conn.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(s.Conn, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > 64<<20 {
		return nil, fmt.Errorf("answer of %d bytes", n)
	}
	body := make([]byte, n)
	_, err := io.ReadFull(s.Conn, body)
	return body, err
}

// Exception is an answer of type TApplicationException.
type Exception struct {
	Text string
	Kind int32
}

func (e *Exception) Error() string { return fmt.Sprintf("exception %d: %s", e.Kind, e.Text) }

// Call makes a call with the encoded arguments and returns the body of the answer.
func (s *Scribe) Call(method string, args []byte) ([]byte, error) {
	if _, err := s.Conn.Write(Frame(append(s.header(nil, method), args...))); err != nil {
		return nil, err
	}
	reply, err := s.Frame()
	if err != nil {
		return nil, err
	}
	head := len(method) + 9
	if len(reply) < head || string(reply[4:4+len(method)]) != method ||
		int32(binary.BigEndian.Uint32(reply[head-4:])) != s.seq {
		return nil, fmt.Errorf("answer % x to %s", reply, method)
	}
	body := reply[head:]
	switch reply[head-5] {
	case 2:
		return body, nil
	case 3:
		e := new(Exception)
		n := int(binary.BigEndian.Uint32(body[3:]))
		e.Text = string(body[7 : 7+n])
		e.Kind = int32(binary.BigEndian.Uint32(body[7+n+3:]))
		return nil, e
	}
	return nil, fmt.Errorf("answer of type %d to %s", reply[head-5], method)
}

// Counter asks for one counter.
func (s *Scribe) Counter(name string) (int64, error) {
	body, err := s.Call("getCounter", append(AppendString(AppendField(nil, typeString, 1), name), 0))
	if err != nil {
		return 0, err
	}
	if len(body) != 12 || body[0] != typeI64 {
		return 0, fmt.Errorf("answer % x to getCounter", body)
	}
	return int64(binary.BigEndian.Uint64(body[3:])), nil
}

// Counters asks for all counters.
func (s *Scribe) Counters() (map[string]int64, error) {
	body, err := s.Call("getCounters", []byte{0})
	if err != nil {
		return nil, err
	}
	if len(body) < 10 || body[0] != typeMap || body[3] != typeString || body[4] != typeI64 {
		return nil, fmt.Errorf("answer % x to getCounters", body)
	}
	all := make(map[string]int64)
	p := body[9:]
	for range binary.BigEndian.Uint32(body[5:]) {
		n := int(binary.BigEndian.Uint32(p))
		if len(p) < 4+n+8 {
			return nil, errors.New("getCounters ends early")
		}
		all[string(p[4:4+n])] = int64(binary.BigEndian.Uint64(p[4+n:]))
		p = p[12+n:]
	}
	return all, nil
}
