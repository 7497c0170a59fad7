package rpc

import (
	"context"
	"io"
	"time"

	"github.com/apache/thrift/lib/go/thrift"

	"inkwell/proto/gen/fb303"
)

// maxReply bounds a reply of fb303 in bytes: the counters of 100,000 categories fit.
const maxReply = 64 << 20

// configuration is the one TConfiguration of a transport and a protocol: they overwrite each other's. Reads accept both styles, writes
// are old style, as the original does; sizes are held to limit.
func configuration(limit int32, timeout time.Duration) *thrift.TConfiguration {
	return &thrift.TConfiguration{
		MaxMessageSize: limit, MaxFrameSize: limit, MaxContainerSize: limit / 8,
		ConnectTimeout: timeout, SocketTimeout: timeout,
		TBinaryStrictRead: thrift.BoolPtr(false), TBinaryStrictWrite: thrift.BoolPtr(false),
	}
}

// FB303 connects to the fb303 service of the scribe or inkwell at addr (as Dial); timeout bounds connecting and each wait of a call. A
// reply takes no more memory than has arrived of it. The client is not safe for concurrent use; closing the Closer ends it.
func FB303(addr string, timeout time.Duration, credentials *Credentials) (*fb303.FacebookServiceClient, io.Closer, error) {
	conf := configuration(maxReply, timeout)
	nc, err := connect(context.Background(), addr, dialOptions{timeout: timeout, tls: credentials})
	if err != nil {
		return nil, nil, err
	}
	framed := thrift.NewTFramedTransportConf(thrift.NewTSocketFromConnConf(nc, conf), conf)
	p := thrift.NewTBinaryProtocolConf(framed, conf)
	return fb303.NewFacebookServiceClient(thrift.NewTStandardClient(p, p)), framed, nil
}
