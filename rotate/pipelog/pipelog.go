// Package pipelog writes the lines of a pipe into files that it rotates by time and by size, under the names that
// Apache's rotatelogs gives them.
//
//	input ── reader ── chunks ──► pending ── whole lines ──► file ── interval over, or the next line would pass the bound ──► next file
//	                  (waits while        (kept while the disk
//	                   Memory is full)     refuses, tried again)
//
// Invariants: a line is in one file, whole; only one that is longer than Memory is begun before its end is known, and
// then the file is not changed before that end. A file with more than one line is never larger than MaxSize. What was
// written is never cut off again: a file is only emptied by being opened, where the options ask for it (Truncate,
// TruncateLater, Count). What cannot be written stays in memory and is tried again; when Memory is full the reader
// stops, so the writer of the pipe waits. A next file that cannot be opened leaves the old one in use.
//
// Run is one goroutine that owns everything, and one that reads. Time comes from time.Now and timers alone (in a
// synctest bubble it is the bubble's), files from Options.Open.
//
// Limitations: nothing is synced to the disk. Lines that several processes write to one pipe are only whole when they
// are no longer than PIPE_BUF (4096 bytes): the kernel mixes longer ones before anybody can read them. A second process
// that appends to the same file is seen, but can pass MaxSize by what it writes between the look and the write.
package pipelog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"
)

// Options says what is written where; the zero value is what the comments say, but Name and one of Every and MaxSize
// must be set.
type Options struct {
	// of the files: with % a template of strftime, else the begin of names that end in a number
	Name    string
	Every   time.Duration  // length of an interval, in whole seconds; 0 = no end by time
	MaxSize int64          // bytes of a file; 0 = no bound
	Zone    *time.Location // in which intervals begin and names are made; nil = UTC
	Link    string         // a hard link that always leads to the current file; "" = none
	// run with the name of the new file, and of the one before, after each change; "" = none
	Program string
	// names are Name, Name.1 … Name.(Count-1) in a circle, each emptied when its turn comes again; 0 = no circle
	Count         int
	OpenNow       bool         // make the first file before there is a line for it
	Empty         bool         // make a file for each interval, with or without lines; needs Every
	MakeDirs      bool         // make the directories of a file
	Truncate      bool         // always write Name itself, emptied instead of changed
	TruncateLater bool         // empty each file when it is opened, but the first
	Echo          io.Writer    // gets a copy of what is read; nil = nobody
	Memory        int          // bytes that are held while they cannot be written; 0 = 64 MiB
	Logger        *slog.Logger // nil = discard

	// Open opens a file for writing, as os.OpenFile does with mode 0666; nil = os.OpenFile.
	Open func(name string, flag int) (File, error)
}

// File is an open file of the log.
type File interface {
	io.WriteCloser
	Stat() (fs.FileInfo, error)
}

// What Run ends with when it does not end well.
var (
	// the first file cannot be opened, and waiting would not help
	ErrOpen = errors.New("no file to write to")
	ErrRead = errors.New("the input cannot be read")           // all that was read is written
	ErrEcho = errors.New("the copy of the input has gaps")     // all that was read is written
	ErrLost = errors.New("what was read could not be written") // until Run had to end
)

const (
	memoryDefault = 64 << 20
	chunkSize     = 64 << 10        // of a read: what a pipe holds
	again         = time.Second     // between two tries of what failed
	lookAtClock   = time.Minute     // so that a clock that was set is noticed
	patience      = 5 * time.Second // for a disk that refuses, after ctx ended
)

// Validate reports everything that is wrong.
func (o *Options) Validate() error {
	var errs []error
	bad := func(cond bool, format string, args ...any) {
		if cond {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(o.Name == "", "the name of the files is missing")
	bad(o.Every <= 0 && o.MaxSize <= 0, "neither an interval nor a size is given: the log would never be rotated")
	bad(o.Every < 0 || o.Every%time.Second != 0, "interval %v: want whole seconds", o.Every)
	bad(o.MaxSize < 0, "size %d: want bytes", o.MaxSize)
	bad(o.Count < 0, "count %d: want 1 or more", o.Count)
	bad(o.Count > 0 && isTemplate(o.Name), "names in a circle cannot have a %% in them")
	bad(o.Memory < 0, "memory %d: want bytes", o.Memory)
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.Memory == 0 {
		o.Memory = memoryDefault
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Open == nil {
		o.Open = func(name string, flag int) (File, error) { return os.OpenFile(name, flag, 0o666) }
	}
	return o
}

// Run writes what in yields until that ends; see ending.Until for an input that ends when it is told to. When ctx has
// ended a disk that refuses is waited for a few seconds more, no longer. The error wraps ErrOpen, ErrRead, ErrEcho or
// ErrLost.
func Run(ctx context.Context, in io.Reader, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	o = o.withDefaults()
	l := &logger{o: o, when: schedule{every: int64(o.Every / time.Second), zone: o.Zone}, names: namer{o: o}}
	r := &reader{in: in, echo: o.Echo, log: o.Logger, chunks: make(chan []byte), quit: make(chan struct{}),
		done: make(chan struct{})}
	if o.OpenNow || o.Empty && o.Every > 0 {
		if err := l.openFirst(); err != nil {
			return err
		}
	}
	go r.run()
	ended, err := l.run(ctx, r.chunks)
	close(r.quit)
	if ended { // else the reader may wait for ever
		<-r.done
		err = errors.Join(err, r.err)
	}
	return errors.Join(err, l.close())
}

// reader reads the input into two buffers in turn.
type reader struct {
	in     io.Reader
	echo   io.Writer
	log    *slog.Logger
	chunks chan []byte   // closed at the end; a chunk is valid until the next is taken
	quit   chan struct{} // nobody takes chunks any more
	done   chan struct{}
	err    error // after done
}

func (r *reader) run() {
	defer close(r.done)
	defer close(r.chunks)
	var bufs [2][]byte
	for i := 0; ; i++ {
		buf := &bufs[i%2]
		if *buf == nil {
			*buf = make([]byte, chunkSize)
		}
		n, err := r.in.Read(*buf)
		if n > 0 {
			r.copy((*buf)[:n])
			select {
			case r.chunks <- (*buf)[:n]:
			case <-r.quit:
				return
			}
		}
		switch {
		case err == io.EOF:
			return
		case err != nil:
			r.err = errors.Join(r.err, fmt.Errorf("%w: %w", ErrRead, err))
			return
		}
	}
}

// copy echoes p; that its reader went away stops the copy, not the log.
func (r *reader) copy(p []byte) {
	if r.echo == nil {
		return
	}
	if _, err := r.echo.Write(p); err != nil {
		r.err = fmt.Errorf("%w: %w", ErrEcho, err)
		r.log.Warn("cannot echo the input; continuing without", "error", err)
		r.echo = nil
	}
}
