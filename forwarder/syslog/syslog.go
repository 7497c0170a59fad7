// Package syslog receives syslog messages over UDP, TCP and unix sockets:
//
//	datagram ─────────────┐
//	stream ── frames ─────┴─► message: time, host, program, text ── category ──► Queue ──► deliver
//
// RFC 3164, RFC 5424 and what is neither are recognized for each message, octet counting and lines (RFC 6587) for each
// frame. What cannot be parsed is kept as it came: no message is dropped because of its form. The parsers of the two
// RFCs are leodido/go-syslog.
//
// Everything that a sender chooses is bounded: the length of a message, the number of connections and of categories,
// and the memory that waits for delivery. When that memory is full, streams are not read, so that their senders wait,
// and the kernel drops datagrams, which is counted.
//
// Limitations: syslog has no acknowledgements. What is in the buffers of the kernel or in memory is lost when the
// process is killed, and no sender knows; what is in the spool is not lost. There is no TLS and no RELP.
package syslog

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/forwarder/category"
	"inkwell/forwarder/feed"
	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/store/stream"
)

// Format is which part of a message becomes the entry.
type Format int

// The formats.
const (
	Line    Format = iota // time, host, program and text, as syslog daemons write them to files
	Message               // the text alone
	Raw                   // everything, as it came
)

// ParseFormat parses line, message or raw.
func ParseFormat(s string) (Format, error) {
	for f, name := range []string{"line", "message", "raw"} {
		if s == name {
			return Format(f), nil
		}
	}
	return 0, fmt.Errorf("format %q: must be line, message or raw", s)
}

// Options say where messages are received and what becomes of them.
type Options struct {
	Listen         []string // udp://HOST:PORT, tcp://HOST:PORT, unix:PATH, unixgram:PATH
	Category       string   // can use {app}, {facility}, {severity}, {host} and {peer}; "" = {app}
	Format         Format
	MaxLine        int // bytes of a message, 1 KiB or more; longer ones are split; 0 = 64 KiB
	MaxConnections int // at once; 0 = 256
	MaxCategories  int // further entries get "other" for each name of Category; 0 = 4096
	Logger         *slog.Logger
	Stats          *stats.Set
}

const (
	defaultLine        = 64 << 10
	defaultConnections = 256
	defaultCategories  = 4096
	// Once the input is to end, a socket is read until nothing has come for quiet, but for lastCall at most.
	quiet    = 100 * time.Millisecond
	lastCall = 2 * time.Second
)

// names are what a category template may use.
var names = []string{"app", "facility", "severity", "host", "peer"}

// Validate reports everything that is wrong.
func (o *Options) Validate() error {
	var errs []error
	if len(o.Listen) == 0 {
		errs = append(errs, errors.New(
			"syslog needs an address to listen on, as udp://127.0.0.1:514 or unixgram:/dev/log"))
	}
	for _, a := range o.Listen {
		_, err := parseAddress(a)
		errs = append(errs, err)
	}
	_, err := category.ParseKnown(o.template(), names...)
	return errors.Join(append(errs, err)...)
}

func (o *Options) template() string {
	if o.Category == "" {
		return "{app}"
	}
	return o.Category
}

// Input receives messages. It is a feed.Feed.
type Input struct {
	o        Options
	log      *slog.Logger
	hostname string // of this machine
	sockets  []socket
	category *category.Namer
	queue    *feed.Queue[struct{}]
	received *stats.PerCategory
	readers  sync.WaitGroup
	conns    chan struct{} // holds a value for each connection
	crowded  atomic.Int64  // when too many connections were last logged, in Unix seconds

	lines, split, refused, dropped *atomic.Int64
}

// Listen opens the sockets of o, which must be valid. It is called before the process gives up its privileges; nothing
// is read before Run. Sockets of former inputs, whose Run has returned, are taken over if the address is the same. So
// nothing is lost that is sent in between, and a process that could not open the socket again keeps it.
func Listen(o Options, former ...*Input) (_ *Input, err error) {
	in := &Input{o: o}
	in.o.MaxLine = cmp.Or(in.o.MaxLine, defaultLine)
	if in.o.MaxConnections == 0 {
		in.o.MaxConnections = defaultConnections
	}
	in.o.MaxCategories = cmp.Or(in.o.MaxCategories, defaultCategories)
	in.conns = make(chan struct{}, in.o.MaxConnections)
	if in.hostname, err = os.Hostname(); err != nil {
		return nil, fmt.Errorf("find out the name of this machine: %w", err)
	}
	for _, text := range o.Listen {
		a, err := parseAddress(text)
		if err == nil {
			s := takeSocket(former, a)
			if s == nil {
				s, err = a.listen()
			}
			if err == nil {
				in.sockets = append(in.sockets, s)
				continue
			}
		}
		return nil, errors.Join(fmt.Errorf("listen for syslog on %s: %w", text, err), in.Close())
	}
	return in, nil
}

// takeSocket takes the socket of an address from the former input that has it; nil = none has.
func takeSocket(former []*Input, a address) socket {
	for _, in := range former {
		for i, s := range in.sockets {
			if s.String() == a.String() {
				in.sockets = slices.Delete(in.sockets, i, i+1)
				return s
			}
		}
	}
	return nil
}

// Name lists the addresses, as in syslog:udp://127.0.0.1:514.
func (in *Input) Name() string { return "syslog:" + strings.Join(in.o.Listen, ",") }

// Use sets the logger and the counters. It is called before Open.
func (in *Input) Use(log *slog.Logger, set *stats.Set) { in.o.Logger, in.o.Stats = log, set }

// Open begins a new stream. What is not delivered when the run ends is in the spool, with its numbers.
func (in *Input) Open(*faultfs.Dir) error {
	in.log = in.o.Logger
	in.received = in.o.Stats.PerCategory("received good")
	in.lines = in.o.Stats.Overall("lines read")
	in.split, in.refused = in.o.Stats.Overall("messages split"), in.o.Stats.Overall("connections refused")
	in.dropped = in.o.Stats.Overall("datagrams dropped")
	t, err := category.ParseKnown(in.o.template(), names...)
	if err != nil {
		return err
	}
	in.category = category.NewNamer(t, in.o.MaxCategories, nil, in.log)
	var id stream.ID
	rand.Read(id[:])
	in.queue = feed.NewQueue[struct{}](id, nil)
	return nil
}

// Run receives messages until ctx ends, and then reads what senders have sent by then.
func (in *Input) Run(ctx, hard context.Context, deliver feed.Deliver) error {
	shipped := make(chan error, 1)
	go func() {
		shipped <- in.queue.Ship(func(b *feed.Batch[struct{}]) error { return deliver(hard, b.Entries()) })
	}()
	for _, s := range in.sockets {
		in.log.Info("listening for syslog", "address", s.String())
		in.readers.Go(func() { s.serve(ctx, hard, in) })
	}
	in.readers.Wait()
	in.queue.Close()
	return <-shipped
}

// take puts a message into the queue; it waits while that is full. It is false when hard ended before there was room.
func (in *Input) take(hard context.Context, m *message) bool {
	name := in.category.Name(m.value)
	text := m.format(in.o.Format)
	return in.queue.Put(hard, func(b *feed.Batch[struct{}]) {
		b.Append(name, text)
		in.received.Add(name, 1)
		in.lines.Add(1)
	})
}

// Close closes the sockets.
func (in *Input) Close() error {
	var errs []error
	for _, s := range in.sockets {
		errs = append(errs, s.close())
	}
	in.sockets = nil
	return errors.Join(errs...)
}
