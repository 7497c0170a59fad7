package rpc

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime/debug"

	"github.com/apache/thrift/lib/go/thrift"

	"inkwell/internal/killpoint"
	"inkwell/proto"
)

// maxArgs bounds the arguments of a method other than Log in bytes: option names and values, counter names.
const maxArgs = 64 << 10

// answer serves the calls in a frame one after the other, and collects the replies. After an error the connection must
// be closed.
func (c *conn) answer(frame []byte) error {
	for len(frame) > 0 {
		call, err := proto.DecodeCall(frame)
		if err == nil {
			frame, err = c.call(call)
		}
		if err != nil {
			return &fault{c.s.bad, err.Error()}
		}
		if len(c.out) > maxOut {
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// call serves one call and returns the bytes that follow it. An error means that the bytes are not a call.
func (c *conn) call(call proto.Call) (rest []byte, err error) {
	if call.Type != proto.TypeCall && call.Type != proto.TypeOneway {
		return nil, fmt.Errorf("a message of type %d, which is no call", call.Type)
	}
	at := len(c.out)
	c.out = append(c.out, 0, 0, 0, 0)
	if call.Method == "Log" {
		rest, err = c.logCall(call)
	} else {
		rest, err = c.otherCall(call)
	}
	n := len(c.out) - at - 4
	if n == 0 || err != nil || call.Type == proto.TypeOneway {
		c.out = c.out[:at]
	} else {
		binary.BigEndian.PutUint32(c.out[at:], uint32(n))
	}
	return rest, err
}

// logCall serves Log.
func (c *conn) logCall(call proto.Call) (rest []byte, err error) {
	if n := proto.LogCount(call.Args); n > c.maxEntries(n) { // refused before they are decoded
		_, rest, err := proto.SplitArgs(call.Args)
		if err != nil {
			return nil, err
		}
		c.refuse(call, n)
		return rest, nil
	}
	b := c.s.batches.Get().(*proto.Batch)
	defer c.s.batches.Put(b)
	defer b.Reset()
	rest, err = proto.DecodeLog(call.Args, b)
	if err != nil {
		return nil, err
	}
	if b.Count() > c.maxEntries(b.Count()) {
		c.refuse(call, b.Count())
		return rest, nil
	}
	ours, asks := len(b.Spans()) > 0 || b.Asks(), b.Asks()
	if b.Count() > 0 || b.Report() != nil || c.asked {
		c.settle(asks)
	}
	c.asked = asks
	c.thrown.Store(0)
	code, err := c.s.handler.Log(c.ctx, b)
	if err != nil {
		c.s.complaints.add("call failed", c.nc.RemoteAddr(), err.Error())
		c.out = proto.AppendException(c.out, call, proto.InternalError, "Internal error processing Log: "+err.Error())
		return rest, nil
	}
	killpoint.Reach("rpc.answer.ready")
	reply := proto.Reply{SeqID: call.SeqID, Code: code, Inkwell: ours, Refused: int(c.thrown.Load())}
	if asks {
		reply.Senders, reply.Leaving = int(c.s.settled.Load()), c.s.leaving.Load()
	}
	c.out = proto.AppendLogReply(c.out, reply)
	return rest, nil
}

// minEntry is the number of bytes of the longest frame for which a call may have one entry.
const minEntry = 32

// maxEntries is the limit for a call of n entries. As in maxFrame, whether the peer is trusted is only looked up if
// that matters.
func (c *conn) maxEntries(n int) int {
	o := &c.s.o
	switch limit := o.MaxFrame / minEntry; {
	case o.MaxEntries > 0:
		return o.MaxEntries
	case n > limit && c.trusted():
		return max(limit, o.MaxTrusted/minEntry)
	default:
		return limit
	}
}

// refuse answers a call of n entries, which are too many, with an exception: an Inkwell then sends the entries in
// smaller calls.
func (c *conn) refuse(call proto.Call, n int) {
	c.s.tooMany.Add(1)
	reason := fmt.Sprintf("a call of %d entries, the limit is %d", n, c.maxEntries(n))
	c.s.complaints.add("call refused", c.nc.RemoteAddr(), reason)
	c.out = proto.AppendException(c.out, call, proto.InternalError, reason)
}

// otherCall serves any other method through the generated code.
func (c *conn) otherCall(call proto.Call) (rest []byte, err error) {
	args, rest, err := proto.SplitArgs(call.Args)
	if err != nil {
		return nil, err
	}
	f := c.s.others[call.Method]
	switch {
	case f == nil:
		c.out = proto.AppendException(c.out, call, proto.UnknownMethod,
			fmt.Sprintf("Invalid method name: '%s'", call.Method))
	case len(args) > maxArgs:
		c.out = proto.AppendException(c.out, call, proto.InternalError,
			fmt.Sprintf("arguments of %d bytes, the limit is %d", len(args), maxArgs))
	default:
		c.out = append(c.out, c.process(f, call, args)...)
	}
	return rest, nil
}

// process calls generated code and returns its reply, which is empty for a oneway method. An error of the handler is in
// the reply; the handler logs what others than the caller have to know. A panic is answered and logged here.
func (c *conn) process(f thrift.TProcessorFunction, call proto.Call, args []byte) (reply []byte) {
	out := thrift.NewTMemoryBuffer()
	defer func() {
		if p := recover(); p != nil {
			c.s.log.Error("panic in a call", "method", call.Method, "panic", p, "stack", string(debug.Stack()))
			reply = proto.AppendException(nil, call, proto.InternalError, "Internal error processing "+call.Method)
		}
	}()
	in := thrift.NewTBinaryProtocolConf(&thrift.TMemoryBuffer{Buffer: bytes.NewBuffer(args)}, c.s.conf)
	_, _ = f.Process(c.ctx, call.SeqID, in, thrift.NewTBinaryProtocolConf(out, c.s.conf))
	return out.Bytes()
}
