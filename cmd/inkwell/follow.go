package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"inkwell/rotate"
)

// follower prints a series of files and goes on with what is appended.
//
// A compressed file is decoded as it grows: the decoder reads from a file that waits at its end instead of ending (growing). A plain
// file, which is only ever appended to, is followed with nxadm/tail (plainFollower). A file is left behind when a later one stands in
// the series, or when it is compressed and has its final name: such a file never changes.
type follower struct {
	w     io.Writer
	every time.Duration
	list  func() ([]piece, error)
	wait  bool // for files to come; else the end of the last one is the end

	done map[string]bool // final paths of files that were printed
}

// run goes on until ctx ends, or until the last file is finished when there is nothing to wait for.
func (f *follower) run(ctx context.Context) error {
	f.done = make(map[string]bool)
	for {
		pieces, err := f.list()
		if err != nil {
			return err
		}
		p, ok := f.next(pieces)
		switch {
		case ok:
			err := f.piece(ctx, p)
			if err != nil && !errors.Is(err, os.ErrNotExist) { // removed by retention meanwhile
				return err
			}
			f.done[p.final()] = true
		case !f.wait:
			return nil
		default:
			sleep(ctx, f.every)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// next returns the first piece that was not printed and forgets those that are gone.
func (f *follower) next(pieces []piece) (next piece, ok bool) {
	known := make(map[string]bool, len(pieces))
	for _, p := range pieces {
		if final := p.final(); f.done[final] {
			known[final] = true
		} else if !ok {
			next, ok = p, true
		}
	}
	f.done = known
	return next, ok
}

// finished says whether nothing more comes into p.
func (f *follower) finished(p piece) (bool, error) {
	pieces, err := f.list()
	if err != nil {
		return false, err
	}
	for i, q := range pieces {
		if q.final() == p.final() {
			sealed := q.codec != rotate.None && !q.open
			return sealed || i < len(pieces)-1, nil
		}
	}
	return true, nil // removed by retention
}

func (f *follower) piece(ctx context.Context, p piece) error {
	if p.codec == rotate.None {
		return (&plainFollower{follower: f, piece: p}).run(ctx)
	}
	var printed int64
	for {
		n, err := f.decode(ctx, p, printed)
		printed += n
		switch {
		case err == nil, errors.Is(err, errReaderGone), errors.Is(err, os.ErrNotExist):
			return err
		case !errors.Is(err, errCutBack) && n == 0:
			return fmt.Errorf("read %s: %w", p.path, err)
		}
		// The collector was killed and continues the file from an earlier place with the same bytes in other blocks.
		if !sleep(ctx, f.every) {
			return nil
		}
	}
}

// decode prints what p holds behind its first skip bytes until it is finished.
func (f *follower) decode(ctx context.Context, p piece, skip int64) (printed int64, err error) {
	file, err := p.openFile()
	if err != nil {
		return 0, err
	}
	defer file.Close()
	g := &growing{ctx: ctx, f: file, every: f.every, finished: func() (bool, error) { return f.finished(p) }}
	// Nothing at all in a file yet: a decoder would take that for an error.
	if err := g.await(); err != nil {
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return 0, err
	}
	r, err := rotate.NewReader(g, p.codec, true)
	if err != nil {
		return 0, err
	}
	_, err = io.CopyN(io.Discard, r, skip)
	if err == nil {
		printed, err = io.Copy(f.w, r)
	}
	if errors.Is(err, io.EOF) { // fewer bytes than before, and finished or interrupted
		err = nil
	}
	return printed, errors.Join(err, r.Close())
}

// errCutBack says that a file does not go on behind what was read of it: it was cut back, and perhaps written anew since.
var errCutBack = errors.New("the file was cut back")

// growing reads a file that is being appended to. At the end it waits for more; io.EOF comes when finished says that there is no more,
// or when ctx ends.
type growing struct {
	ctx      context.Context
	f        *os.File
	every    time.Duration
	finished func() (bool, error)

	at   int64  // bytes read
	tail []byte // the last of them, by which a file that was written anew is known
	last bool   // what stands now is all there will be
}

const growingTail = 64 // bytes

func (g *growing) Read(p []byte) (int, error) {
	if err := g.await(); err != nil {
		return 0, err
	}
	n, err := g.f.ReadAt(p, g.at)
	if n > 0 {
		err = nil
	}
	g.at += int64(n)
	g.tail = append(g.tail, p[max(0, n-growingTail):n]...)
	g.tail = g.tail[max(0, len(g.tail)-growingTail):]
	return n, err
}

// await returns nil when there are bytes to read.
func (g *growing) await() error {
	for {
		st, err := g.f.Stat()
		switch {
		case err != nil:
			return err
		case st.Size() > g.at:
			return g.goesOn()
		case st.Size() < g.at:
			return errCutBack
		case g.last:
			return io.EOF
		}
		if g.last, err = g.finished(); err != nil {
			return err
		}
		if !g.last && !sleep(g.ctx, g.every) {
			return io.EOF
		}
	}
}

// goesOn checks that what was read still stands before what comes.
func (g *growing) goesOn() error {
	now := make([]byte, len(g.tail))
	if _, err := g.f.ReadAt(now, g.at-int64(len(now))); err != nil {
		return err
	}
	if !bytes.Equal(now, g.tail) {
		return errCutBack
	}
	return nil
}

// sleep waits, and says false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
