package forwarder

import (
	"cmp"
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
	Block WhenFull = iota // stop reading, so that the writer of the pipe waits
	Drop                  // read on, and drop and count the lines
)

const (
	// pipeShipments bounds the memory: this many times shipmentFull, plus what is being read.
	pipeShipments = 5
	// pipePatience is how long a call may take while the memory is full; then its batch goes to the spool.
	pipePatience = time.Second
	// drainDefault is the default of PipeOptions.DrainTimeout.
	drainDefault = 10 * time.Second
)

// PipeOptions configure a Pipe.
type PipeOptions struct {
	To           []string
	Calls        Calls
	SpoolDir     string // "" = memory only
	SpoolMax     int64  // bytes; 0 = unbounded
	Category     string
	Version      string // of the program, for the collector
	Host         string // name of this machine, for the collector; "" = its hostname
	Prefix       string // put before each line; see ParsePrefix
	WhenFull     WhenFull
	Echo         io.Writer     // gets a copy of what is read, if not nil, until a write fails
	DrainTimeout time.Duration // how long Run waits for the network at the end; 0 = 10 s
	Logger       *slog.Logger
	Stats        *stats.Set
}

// Counts is what a Pipe has done, in entries. Delivered includes what earlier runs had left in the spool.
type Counts struct {
	Read, Delivered, Spooled, Dropped int64
	Refused                           int64 // dropped by the next hop, as it reports
	SpooledBytes                      int64
	SpoolDir                          string
}

// Pipe delivers the lines that it reads from a pipe. It keeps reading whatever the network does: what the next hop does
// not accept at once stays in memory (some 16 MiB), then in the spool. Only when both are full does the writer of the
// pipe have to wait, or are lines dropped.
type Pipe struct {
	o      PipeOptions
	in     *os.File
	hop    *nextHop
	queue  *pipeQueue
	report *reporter
}

// OpenPipe opens the spool and does everything else that can fail. If another process has the spool, Run reads while it
// waits for the spool (see succession.go). Nothing is read before Run. Run must be called; it releases what OpenPipe
// took. r still belongs to the caller.
func OpenPipe(r *os.File, o PipeOptions) (*Pipe, error) {
	if o.Category == "" {
		return nil, errors.New("a pipe needs a category")
	}
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.Stats = cmp.Or(o.Stats, stats.New())
	o.DrainTimeout = cmp.Or(o.DrainTimeout, drainDefault)
	h, err := openHop(hopOptions{
		to: o.To, name: o.Category, calls: o.Calls, host: o.Host, dir: o.SpoolDir, max: o.SpoolMax, patient: true,
		log: o.Logger, stats: o.Stats,
	})
	if err != nil {
		return nil, err
	}
	p := &Pipe{o: o, in: r, hop: h, queue: newPipeQueue(h, o), report: h.newReporter("pipe", o.Version, o.Category)}
	p.report.detail = p.Detail
	return p, nil
}

// Run reads until the end of input. When ctx ends, it reads on until the writers of the pipe have ended, for five
// seconds at most, and then to the end of the current line; what follows stays in the pipe. When abort ends, it stops
// reading at once.
//
// Then it delivers what was read. What the network does not accept within DrainTimeout stays in the spool, and the
// error is ErrLeftInSpool. It does not wait for that if another process waits for the spool, or if abort has ended.
// Without a spool the error says how much is lost; it is also faultfs.ErrLocked if another process still has the spool.
// Run may be called once.
func (p *Pipe) Run(ctx, abort context.Context) (Counts, error) {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(abort, cancel)()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(ending.Linger+p.o.DrainTimeout, cancel) })()
	shipped := make(chan error, 1)
	go func() { shipped <- p.queue.ship(hard) }()
	reporting, end := context.WithCancel(hard)
	var reports sync.WaitGroup
	reports.Go(func() { p.report.run(reporting) })

	readErr := p.read(ctx, abort, hard)
	time.AfterFunc(p.o.DrainTimeout, cancel)
	var watch sync.WaitGroup
	watch.Go(func() { p.hop.whenWanted(hard, cancel) })
	p.queue.close()
	shipErr := <-shipped
	if shipErr == nil {
		shipErr = p.hop.drain(hard)
	}
	if hard.Err() != nil {
		shipErr = nil // count reports what is left
		p.hop.abort()
	}
	end()
	reports.Wait()
	if hard.Err() == nil {
		p.report.last()
	}
	cancel()
	watch.Wait()
	closeErr := p.hop.Close() // which may deliver some more, so it comes before count
	counts, err := p.count()
	return counts, errors.Join(readErr, err, shipErr, closeErr)
}

// Spooled returns a channel that is closed when the pipe has its spool. Without a spool it is never closed.
func (p *Pipe) Spooled() <-chan struct{} { return p.hop.spooled }

func (p *Pipe) read(ctx, abort, hard context.Context) error {
	r, err := newLineReader(ctx, abort, p.in, p.o)
	if err != nil {
		return err
	}
	err = r.run(func(data []byte, rest bool) int { return p.queue.put(hard, data, rest) })
	return errors.Join(err, r.close())
}

// count says what became of the entries. The error says which are left.
func (p *Pipe) count() (Counts, error) {
	c := Counts{Read: p.queue.read, Dropped: p.queue.dropped, SpoolDir: p.o.SpoolDir}
	left := p.queue.left()
	c.Dropped += left
	c.SpooledBytes, c.Spooled = p.hop.backlog()
	c.Refused = p.o.Stats.Overall(hop.Thrown).Load()
	c.Delivered = p.hop.before() + c.Read - c.Dropped - c.Spooled - c.Refused
	var err error
	if c.Refused > 0 {
		err = fmt.Errorf("%d entries were thrown away by the next hop: "+
			"none of its rules lets this sender write their category, or they are too long", c.Refused)
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
