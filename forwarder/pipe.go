package forwarder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"inkwell/internal/stats"
)

// WhenFull says what a Pipe does when memory and spool are full.
type WhenFull int

// The two things a Pipe can do.
const (
	Block WhenFull = iota // stop reading: the writer of the pipe waits
	Drop                  // read on, throw away and count
)

const (
	// pipeParcels bounds the memory: that many times parcelFull, and what is being read.
	pipeParcels = 5
	// pipePatience is how long a call may last while the memory is full; then its batch goes to the spool.
	pipePatience = time.Second
	// pipeGrace is how long, after ctx ended, the end of a line that was begun is waited for.
	pipeGrace = time.Second
	// drainDefault is how long the end waits for the network.
	drainDefault = 10 * time.Second
)

// PipeOptions says what a Pipe does.
type PipeOptions struct {
	To           []string
	Calls        Calls
	SpoolDir     string // "" = memory only
	SpoolMax     int64  // bytes; 0 = unbounded
	Category     string
	WhenFull     WhenFull
	Echo         io.Writer     // gets a copy of what is read, if not nil; after an error no more
	DrainTimeout time.Duration // how long the end waits for the network; 0 = 10 s
	Logger       *slog.Logger
	Stats        *stats.Set
}

// Counts is what a Pipe did, in entries. Delivered includes what earlier runs had left in the spool.
type Counts struct {
	Read, Delivered, Spooled, Dropped int64
	SpooledBytes                      int64
	SpoolDir                          string
}

// Pipe hands on the lines that come from a pipe. It reads whatever the network does: what the next hop does not take at once stays
// in memory (some 16 MiB), then in the spool. Only when both are full the writer of the pipe has to wait, or lines are dropped.
type Pipe struct {
	o      PipeOptions
	in     *os.File
	hop    *nextHop
	before int64 // entries in the spool at the start
	load   *load
}

// OpenPipe opens the spool and does everything else that can fail; the error is faultfs.ErrLocked when another process has the spool.
// Nothing is read before Run, which must be called, and which releases what OpenPipe took; r stays the caller's.
func OpenPipe(r *os.File, o PipeOptions) (*Pipe, error) {
	if o.Category == "" {
		return nil, errors.New("a pipe needs a category")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Stats == nil {
		o.Stats = stats.New()
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = drainDefault
	}
	h, err := openHop(hopOptions{to: o.To, calls: o.Calls, dir: o.SpoolDir, max: o.SpoolMax, log: o.Logger, stats: o.Stats})
	if err != nil {
		return nil, err
	}
	p := &Pipe{o: o, in: r, hop: h, load: newLoad(h, o)}
	_, p.before = h.backlog()
	return p, nil
}

// Run reads until the end of input, or until ctx ends: then to the end of the line that was begun, and what is behind it stays in the
// pipe. Then it delivers what was read; what the network does not take within DrainTimeout stays in the spool, and the error is
// ErrLeftInSpool. Run may be called once.
func (p *Pipe) Run(ctx context.Context) (Counts, error) {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	atEnd := func() { time.AfterFunc(p.o.DrainTimeout, cancel) }
	stop := context.AfterFunc(ctx, atEnd)
	shipped := make(chan error, 1)
	go func() { shipped <- p.load.ship(hard) }()

	readErr := p.read(ctx, hard)
	if stop() {
		atEnd()
	}
	p.load.close()
	shipErr := <-shipped
	if shipErr == nil {
		shipErr = p.hop.drain(hard)
	}
	if hard.Err() != nil {
		shipErr = nil // count says what is left
	}
	closeErr := p.hop.Close() // which still may have delivered something
	counts, err := p.count()
	return counts, errors.Join(readErr, err, shipErr, closeErr)
}

func (p *Pipe) read(ctx, hard context.Context) error {
	r, err := newLineReader(p.in, p.o)
	if err != nil {
		return err
	}
	err = r.run(ctx, func(data []byte, rest bool) int { return p.load.put(hard, data, rest) })
	return errors.Join(err, r.close())
}

// count says what became of the entries, and with an error if some are left.
func (p *Pipe) count() (Counts, error) {
	c := Counts{Read: p.load.read, Dropped: p.load.dropped, SpoolDir: p.o.SpoolDir}
	left := p.load.left()
	c.Dropped += left
	c.SpooledBytes, c.Spooled = p.hop.backlog()
	c.Delivered = p.before + c.Read - c.Dropped - c.Spooled
	var err error
	if left > 0 {
		err = fmt.Errorf("%d entries could be neither delivered nor spooled and are lost", left)
	}
	if c.Spooled > 0 {
		err = errors.Join(fmt.Errorf("%w: %d entries, %d bytes in %s; the next run with this spool delivers them",
			ErrLeftInSpool, c.Spooled, c.SpooledBytes, c.SpoolDir), err)
	}
	return c, err
}
