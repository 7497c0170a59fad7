package forwarder

import (
	"context"
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

// PipeOptions says what a Pipe does.
type PipeOptions struct {
	To           []string
	SpoolDir     string // "" = memory only
	SpoolMax     int64  // bytes; 0 = unbounded
	Category     string
	WhenFull     WhenFull
	Echo         io.Writer     // gets a copy of what is read, if not nil
	DrainTimeout time.Duration // how long the end of input waits for the network; 0 = 10 s
	Logger       *slog.Logger
	Stats        *stats.Set
}

// Counts is what a Pipe did.
type Counts struct {
	Read, Delivered, Spooled, Dropped int64 // entries
	SpooledBytes                      int64
	SpoolDir                          string
}

// Pipe hands on the lines that come from a pipe.
type Pipe struct{ o PipeOptions }

// OpenPipe does everything that can fail. It does not take over r: the caller closes it after Run.
func OpenPipe(r *os.File, o PipeOptions) (*Pipe, error) { return &Pipe{o: o}, nil }

// Run reads until the end of input or of ctx.
func (p *Pipe) Run(ctx context.Context) (Counts, error) { return Counts{}, nil }
