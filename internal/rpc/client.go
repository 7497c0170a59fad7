package rpc

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"inkwell/internal/killpoint"
	"inkwell/proto"
)

// maxCall is the longest frame that is ever sent: what the original accepts.
const maxCall = 256 << 20

// ClientOptions configure a client; each field says what its zero value means.
type ClientOptions struct {
	DialTimeout time.Duration // the TLS handshake included; 0 = 5 s
	Timeout     time.Duration // of a call, from its first byte to its reply; 0 = 30 s
	MaxReply    int           // bytes; 0 = 64 KiB
	// Source returns the source of a stream, which is sent to the peer once; nil = sources are not known.
	Source func(stream [16]byte) (proto.Source, bool)
	// Asks says that the client can go elsewhere, which makes its calls ask how the peer is: see Condition. nil = it
	// cannot. The value may change at any time.
	Asks *atomic.Bool
	TLS  *Credentials // for tls:// addresses; nil = no certificate, and the system's authorities
}

// Client sends Log calls over one connection, one at a time. Not safe for concurrent use.
type Client struct {
	o     ClientOptions
	addr  string
	nc    net.Conn
	seqID int32
	out   *bufio.Writer // collects the parts of a frame into TLS records; nil without TLS

	asks    bool // the current call asks how the peer is
	asked   bool // the peer has answered a call with spans …
	inkwell bool // … and has shown that it is an Inkwell
	refused int  // entries of the last call that the peer says it has dropped

	condition Condition // of the peer, in its last answer

	naming     naming
	report     []byte // sent with the next call
	head, tail []byte
	spans      []proto.Span
	parts      [][]byte    // of the frame
	writing    net.Buffers // parts that are not written yet
	reply      []byte
}

// records is how many bytes are collected before they are written over TLS: four full records.
const records = 64 << 10

// Dial connects to the scribe or inkwell at addr: HOST:PORT, tls://HOST:PORT or unix:PATH. With TLS the certificate
// must be valid for HOST.
func Dial(ctx context.Context, addr string, o ClientOptions) (*Client, error) {
	o.DialTimeout = cmp.Or(o.DialTimeout, 5*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	o.MaxReply = cmp.Or(o.MaxReply, 64<<10)
	nc, err := connect(ctx, addr, dialOptions{timeout: o.DialTimeout, tls: o.TLS})
	if err != nil {
		return nil, err
	}
	c := &Client{o: o, addr: addr, nc: nc, reply: make([]byte, 256)}
	c.naming = naming{source: o.Source, told: make(map[[16]byte]bool)}
	if _, secure := nc.(*tls.Conn); secure {
		c.out = bufio.NewWriterSize(nc, records)
	}
	return c, nil
}

// Log sends the entries of all batches as one call, without copying them, and waits for the answer. The batches must
// not be changed before Log returns.
//
// After an error the client is closed, and it is unknown whether the entries were taken. The error is a
// *proto.ApplicationError if the peer could not serve the call. The client is also closed when ctx ends before Log
// returns.
func (c *Client) Log(ctx context.Context, batches []*proto.Batch) (proto.ResultCode, error) {
	code, err := c.log(ctx, batches)
	if err == nil {
		return code, nil
	}
	if ended := context.Cause(ctx); ended != nil {
		err = ended
	}
	return code, errors.Join(fmt.Errorf("call Log of %s: %w", c.addr, err), c.Close())
}

// Report sends a report about the sender, in a call without entries. Errors are those of Log. It is for peers that have
// shown that they are an Inkwell; others ignore it.
func (c *Client) Report(ctx context.Context, report []byte) error {
	c.report = report
	defer func() { c.report = nil }()
	_, err := c.Log(ctx, nil)
	return err
}

func (c *Client) log(ctx context.Context, batches []*proto.Batch) (proto.ResultCode, error) {
	if err := c.compose(batches); err != nil {
		return 0, err
	}
	by := time.Now().Add(c.o.Timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(by) {
		by = d
	}
	if err := c.nc.SetDeadline(by); err != nil {
		return 0, err
	}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { c.nc.SetDeadline(time.Unix(1, 0)) })
		defer func() {
			if !stop() { // the deadline may be set at any moment, and would hit the next call
				c.nc.Close()
			}
		}()
	}
	err := c.write()
	killpoint.Reach("rpc.call.sent")
	clear(c.parts) // do not retain the caller's batches
	if err != nil {
		return 0, explain(c.alert(err))
	}
	code, err := c.answer()
	if err != nil && !errors.As(err, new(*proto.ApplicationError)) {
		err = &unanswered{err}
	}
	return code, explain(err)
}

// write sends the frame.
func (c *Client) write() error {
	if c.out == nil {
		c.writing = c.parts
		_, err := c.writing.WriteTo(c.nc)
		return err
	}
	for _, part := range c.parts {
		if _, err := c.out.Write(part); err != nil {
			return err
		}
	}
	return c.out.Flush()
}

// alert returns the alert that the peer sent before it closed the connection, instead of err, which only says that it
// did. With TLS 1.3, the refusal of our certificate arrives after the handshake.
func (c *Client) alert(err error) error {
	if c.out == nil {
		return err
	}
	if _, said := c.nc.Read(c.reply[:1]); said != nil && said != io.EOF {
		return said
	}
	return err
}

// compose fills c.parts with the frame of one call for all batches.
func (c *Client) compose(batches []*proto.Batch) error {
	count, size := 0, 0
	c.spans = c.spans[:0]
	for _, b := range batches {
		c.spans = b.AppendSpans(c.spans, count)
		count += b.Count()
		size += b.Size()
	}
	c.seqID++
	c.head = proto.AppendLogHeader(append(c.head[:0], 0, 0, 0, 0), c.seqID, count)
	c.naming.begin(c.spans)
	c.asks = c.o.Asks != nil && c.o.Asks.Load()
	c.tail = proto.AppendLogTrailer(c.tail[:0], proto.Trailer{
		Spans: c.spans, Namings: c.naming.list, Sources: c.naming.count, Report: c.report,
		Asks: c.asks,
	})
	size += len(c.head) - 4 + len(c.tail)
	if size > maxCall {
		return fmt.Errorf("a call of %d bytes, the limit is %d", size, maxCall)
	}
	binary.BigEndian.PutUint32(c.head, uint32(size))
	c.parts = append(c.parts[:0], c.head)
	for _, b := range batches {
		if b.Count() > 0 {
			c.parts = append(c.parts, b.Entries())
		}
	}
	c.parts = append(c.parts, c.tail)
	return nil
}

// cleanRefusal makes the text of a peer's exception fit to be shown.
func cleanRefusal(err error) {
	var refusal *proto.ApplicationError
	if errors.As(err, &refusal) {
		refusal.Text = clean(refusal.Text)
	}
}

// answer waits for the reply to the call that was sent.
func (c *Client) answer() (proto.ResultCode, error) {
	have, err := io.ReadAtLeast(c.nc, c.reply, 4)
	if err != nil {
		return 0, fmt.Errorf("wait for the reply: %w", err)
	}
	n := int(int32(binary.BigEndian.Uint32(c.reply)))
	if speaksTLS(c.reply) && c.out == nil {
		return 0, ErrSpeaksTLS
	}
	switch {
	case n <= 0 || n > c.o.MaxReply:
		return 0, fmt.Errorf("a reply of length %d, the limit is %d (is there a scribe at this address?)",
			n, c.o.MaxReply)
	case have > 4+n:
		return 0, fmt.Errorf("%d bytes behind a reply, which was to be the only one", have-4-n)
	}
	frame := c.reply
	if 4+n > len(frame) {
		frame = make([]byte, 4+n)
		copy(frame, c.reply[:have])
	}
	if _, err := io.ReadFull(c.nc, frame[have:4+n]); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, fmt.Errorf("read the reply: %w", err)
	}
	reply, err := proto.DecodeLogReply(frame[4 : 4+n])
	if err == nil && reply.SeqID != c.seqID {
		err = fmt.Errorf("the reply is to call %d, not to %d", reply.SeqID, c.seqID)
	}
	if err != nil {
		cleanRefusal(err)
	} else if len(c.spans) > 0 || c.asks {
		c.condition = Condition{Senders: reply.Senders, Leaving: reply.Leaving}
		c.asked, c.inkwell, c.refused = true, reply.Inkwell, reply.Refused
		c.naming.end(reply.Code == proto.OK, reply.Inkwell)
	}
	return reply.Code, err
}

// Inkwell says whether the peer is an Inkwell. It shows that in its answer to the first call with spans; before that,
// known is false. Methods other than Log must only be called on an Inkwell: there are servers that crash when they are
// called with a method that they do not know.
func (c *Client) Inkwell() (is, known bool) { return c.inkwell, c.asked }

// Condition is how a collector is, as it answers a sender that asks.
type Condition struct {
	Senders int  // that ask, of which this one may be one
	Leaving bool // it is about to stop: senders are to go elsewhere
}

// Condition returns the condition of the peer in its last answer, for a client that asks.
func (c *Client) Condition() Condition { return c.condition }

// Refused is how many entries of the last call the peer says it has dropped for good, because they are not allowed or
// too long.
func (c *Client) Refused() int { return c.refused }

// Close ends the connection; a second call does nothing.
func (c *Client) Close() error {
	// Closing TLS fails if the peer has already gone.
	if err := c.nc.Close(); err != nil && !errors.Is(err, net.ErrClosed) && c.out == nil {
		return fmt.Errorf("close the connection to %s: %w", c.addr, err)
	}
	return nil
}
