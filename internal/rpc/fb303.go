package rpc

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"time"

	"github.com/apache/thrift/lib/go/thrift"

	"inkwell/proto/gen/fb303"
)

// maxReply bounds a reply of fb303 in bytes: the counters of 100,000 categories fit.
const maxReply = 64 << 20

// The fb303 options for which fb303 has no method of its own.
const (
	// IsInkwell is answered with "1" by an Inkwell, and with "" by any other server. Older senders, which cannot see
	// this in the answer to a call, ask for it.
	IsInkwell = "inkwell"
	// ReloadOption, when it is set to anything, makes an Inkwell reload its configuration. The answer comes when that
	// is done; an exception says why it was refused. (reinitialize has no answer.)
	ReloadOption = "inkwell.reload"
)

// configuration returns the TConfiguration for a transport and a protocol, which must share it because they overwrite
// each other's. As in the original, reads accept both styles and writes are old style. All sizes are bounded by limit.
func configuration(limit int32, timeout time.Duration) *thrift.TConfiguration {
	return &thrift.TConfiguration{
		MaxMessageSize: limit, MaxFrameSize: limit, MaxContainerSize: limit / 8,
		ConnectTimeout: timeout, SocketTimeout: timeout,
		TBinaryStrictRead: thrift.BoolPtr(false), TBinaryStrictWrite: thrift.BoolPtr(false),
	}
}

// bounded is a connection with a final deadline that later deadlines cannot extend. Without it, deadlines that move
// with each read would let a peer answer byte by byte for ever.
type bounded struct {
	net.Conn
	by time.Time
}

func (b bounded) earlier(t time.Time) time.Time {
	if t.IsZero() || t.After(b.by) {
		return b.by
	}
	return t
}

func (b bounded) SetDeadline(t time.Time) error      { return b.Conn.SetDeadline(b.earlier(t)) }
func (b bounded) SetReadDeadline(t time.Time) error  { return b.Conn.SetReadDeadline(b.earlier(t)) }
func (b bounded) SetWriteDeadline(t time.Time) error { return b.Conn.SetWriteDeadline(b.earlier(t)) }

// question connects to the Thrift service at addr. An answer has at most limit bytes, and memory is taken only for what
// has arrived. Everything together, connecting included, must end within the timeout.
func question(
	ctx context.Context, addr string, limit int32, o dialOptions,
) (*thrift.TStandardClient, io.Closer, error) {
	by := time.Now().Add(o.timeout)
	nc, err := connect(ctx, addr, o)
	if err != nil {
		return nil, nil, err
	}
	if _, secure := nc.(*tls.Conn); !secure {
		nc = &plainAnswers{Conn: nc}
	}
	client, closer := asking(bounded{nc, by}, limit, o.timeout)
	return client, closer, nil
}

// asking returns a Thrift client over nc. Each of its waits has the timeout.
func asking(nc net.Conn, limit int32, timeout time.Duration) (*thrift.TStandardClient, io.Closer) {
	conf := configuration(limit, timeout)
	framed := thrift.NewTFramedTransportConf(thrift.NewTSocketFromConnConf(nc, conf), conf)
	p := thrift.NewTBinaryProtocolConf(framed, conf)
	return thrift.NewTStandardClient(p, p), framed
}

// FB303 connects to the fb303 service of the scribe or inkwell at addr (see Dial). All questions together must end
// within the timeout. The client is not safe for concurrent use; closing the Closer ends it. A context with a later
// deadline must not be used with it: Thrift repeats a read that timed out, without a pause, until the deadline.
func FB303(
	addr string, timeout time.Duration, credentials *Credentials,
) (*fb303.FacebookServiceClient, io.Closer, error) {
	client, closer, err := question(context.Background(), addr, maxReply,
		dialOptions{timeout: timeout, tls: credentials})
	if err != nil {
		return nil, nil, err
	}
	return fb303.NewFacebookServiceClient(client), closer, nil
}
