package forwarder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"inkwell/internal/ending"
	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/store/hop"
)

// WhenFull says what a Pipe does when memory and spool are full.
type WhenFull int

// The two things a Pipe can do.
const (
	Block WhenFull = iota // stop reading: the writer of the pipe waits
	Drop                  // read on, throw away and count
)

const (
	// pipeShipments bounds the memory: that many times shipmentFull, and what is being read.
	pipeShipments = 5
	// pipePatience is how long a call may last while the memory is full; then its batch goes to the spool.
	pipePatience = time.Second
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
	Version      string // of the program, which a collector is told
	Host         string // that this machine is called; "" = what it calls itself
	Prefix       string // put before each line; see ParsePrefix
	WhenFull     WhenFull
	Echo         io.Writer     // gets a copy of what is read, if not nil; after an error no more
	DrainTimeout time.Duration // how long the end waits for the network; 0 = 10 s
	Logger       *slog.Logger
	Stats        *stats.Set
}

// Counts is what a Pipe did, in entries. Delivered includes what earlier runs had left in the spool.
type Counts struct {
	Read, Delivered, Spooled, Dropped int64
	Refused                           int64 // thrown away by the next hop, as it says
	SpooledBytes                      int64
	SpoolDir                          string
}

// Pipe hands on the lines that come from a pipe. It reads whatever the network does: what the next hop does not take at
// once stays in memory (some 16 MiB), then in the spool. Only when both are full the writer of the pipe has to wait, or
// lines are dropped.
type Pipe struct {
	o      PipeOptions
	in     *os.File
	hop    *nextHop
	load   *load
	report *reporter
}

// OpenPipe opens the spool and does everything else that can fail. A spool that another process has is waited for while
// Run reads (see succession.go). Nothing is read before Run, which must be called, and which releases what OpenPipe
// took; r stays the caller's.
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
	h, err := openHop(hopOptions{to: o.To, calls: o.Calls, host: o.Host, dir: o.SpoolDir, max: o.SpoolMax, patient: true, log: o.Logger, stats: o.Stats})
	if err != nil {
		return nil, err
	}
	p := &Pipe{o: o, in: r, hop: h, load: newLoad(h, o), report: h.newReporter("pipe", o.Version, o.Category)}
	p.report.detail = p.Detail
	return p, nil
}

// Run reads until the end of input, or after ctx ended until the writers of the pipe have ended, five seconds at most,
// and then to the end of the line that was begun; what is behind it stays in the pipe. Then it delivers what was read;
// what the network does not take within DrainTimeout stays in the spool, and the error is ErrLeftInSpool. That takes no
// time when another process waits for the spool, or when abort ends, which also ends the reading. Without a spool the
// error says how much is lost; it is faultfs.ErrLocked, too, if another process has the spool still. Run may be called
// once.
func (p *Pipe) Run(ctx, abort context.Context) (Counts, error) {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(abort, cancel)()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(ending.Linger+p.o.DrainTimeout, cancel) })()
	shipped := make(chan error, 1)
	go func() { shipped <- p.load.ship(hard) }()
	reporting, end := context.WithCancel(hard)
	var reports sync.WaitGroup
	reports.Go(func() { p.report.run(reporting) })

	readErr := p.read(ctx, abort, hard)
	time.AfterFunc(p.o.DrainTimeout, cancel)
	var watch sync.WaitGroup
	watch.Go(func() { p.hop.whenWanted(hard, cancel) })
	p.load.close()
	shipErr := <-shipped
	if shipErr == nil {
		shipErr = p.hop.drain(hard)
	}
	if hard.Err() != nil {
		shipErr = nil // count says what is left
		p.hop.abort()
	}
	end()
	reports.Wait()
	if hard.Err() == nil {
		p.report.last()
	}
	cancel()
	watch.Wait()
	closeErr := p.hop.Close() // which still may have delivered something
	counts, err := p.count()
	return counts, errors.Join(readErr, err, shipErr, closeErr)
}

// Spooled is closed when the pipe has its spool; a pipe without one never closes it.
func (p *Pipe) Spooled() <-chan struct{} { return p.hop.spooled }

func (p *Pipe) read(ctx, abort, hard context.Context) error {
	r, err := newLineReader(ctx, abort, p.in, p.o)
	if err != nil {
		return err
	}
	err = r.run(func(data []byte, rest bool) int { return p.load.put(hard, data, rest) })
	return errors.Join(err, r.close())
}

// count says what became of the entries, and with an error if some are left.
func (p *Pipe) count() (Counts, error) {
	c := Counts{Read: p.load.read, Dropped: p.load.dropped, SpoolDir: p.o.SpoolDir}
	left := p.load.left()
	c.Dropped += left
	c.SpooledBytes, c.Spooled = p.hop.backlog()
	c.Refused = p.o.Stats.Overall(hop.Thrown).Load()
	c.Delivered = p.hop.before() + c.Read - c.Dropped - c.Spooled - c.Refused
	var err error
	if c.Refused > 0 {
		err = fmt.Errorf("%d entries were thrown away by the next hop: none of its rules lets this sender write their category, or they are too long", c.Refused)
	}
	if left > 0 {
		lost := fmt.Errorf("%d entries could be neither delivered nor spooled and are lost", left)
		if p.o.SpoolDir == "" {
			lost = fmt.Errorf("%w (with --spool DIR they would wait there for the next run)", lost)
		}
		err = errors.Join(err, lost)
		if p.o.SpoolDir != "" && !p.hop.hasSpool() {
			err = fmt.Errorf("%w: spool in %s: %w", err, p.o.SpoolDir, faultfs.ErrLocked)
		}
	}
	if c.Spooled > 0 {
		err = errors.Join(fmt.Errorf("%w: %d entries, %d bytes in %s; the next run with this spool delivers them",
			ErrLeftInSpool, c.Spooled, c.SpooledBytes, c.SpoolDir), err)
	}
	return c, err
}
