package rpc

import (
	"fmt"
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

// FB303 connects to the fb303 service of the scribe or inkwell at addr; timeout bounds connecting and each wait of a call. The
// client is not safe for concurrent use; closing the Closer ends it.
func FB303(addr string, timeout time.Duration) (*fb303.FacebookServiceClient, io.Closer, error) {
	conf := configuration(maxReply, timeout)
	framed := thrift.NewTFramedTransportConf(thrift.NewTSocketConf(addr, conf), conf)
	if err := framed.Open(); err != nil {
		return nil, nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	p := thrift.NewTBinaryProtocolConf(framed, conf)
	return fb303.NewFacebookServiceClient(thrift.NewTStandardClient(p, p)), framed, nil
}
