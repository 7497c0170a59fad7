package pipelog

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// logger is a Run at work. One goroutine owns it.
type logger struct {
	o       Options
	when    schedule
	names   namer
	pending []byte // read, not yet written
	room    []byte // what pending began in when it last was empty
	// bytes of pending up to its last newline; kept, because looking for it again and again in a line of 64 MiB takes a
	// minute
	whole int
	ended bool // nothing more comes

	file    File      // nil = none open
	name    string    // of the file, or of the one before; "" = there was none
	until   time.Time // the end of the file's interval; zero = none
	midLine bool      // the file does not end with a newline that belongs there
	nextTry time.Time // of opening another file, after that failed
	pause   time.Time // until when nothing is written, after that failed

	open, write trouble
	toldFull    bool // since the last write that went well
}

// run takes chunks and writes them until they end, or until ctx has ended and the disk refuses. ended says whether all
// chunks are taken.
func (l *logger) run(ctx context.Context, chunks <-chan []byte) (ended bool, err error) {
	hurry := ctx.Done()
	var deadline time.Time // after ctx ended
	for {
		now := time.Now()
		if err := l.work(now); err != nil {
			return l.ended, err
		}
		switch {
		case l.ended && len(l.pending) == 0:
			return true, nil
		case !deadline.IsZero() && !now.Before(deadline) && l.waiting(now):
			return l.ended, fmt.Errorf("%w: %d bytes are lost; the last error: %s", ErrLost, len(l.pending),
				cmp.Or(l.write.last, l.open.last))
		}
		from := chunks
		if l.ended || l.full() {
			from = nil
		}
		timer := time.NewTimer(l.wait(now, deadline))
		select {
		case chunk, ok := <-from:
			l.ended = !ok
			l.take(chunk)
		case <-timer.C:
		case <-hurry:
			hurry, deadline = nil, time.Now().Add(patience)
		}
		timer.Stop()
	}
}

// take puts chunk behind pending.
func (l *logger) take(chunk []byte) {
	if i := bytes.LastIndexByte(chunk, '\n'); i >= 0 {
		l.whole = len(l.pending) + i + 1
	}
	if len(l.pending) > 0 {
		l.pending = append(l.pending, chunk...)
		return
	}
	l.room = append(l.room[:0], chunk...)
	l.pending = l.room
}

// full says whether no more may be read, and tells it once.
func (l *logger) full() bool {
	if len(l.pending) < l.o.Memory {
		return false
	}
	if !l.toldFull {
		l.toldFull = true
		l.o.Logger.Warn("memory is full: the writer of the pipe has to wait", "bytes", len(l.pending))
	}
	return true
}

// waiting says whether there is something that cannot be written now.
func (l *logger) waiting(now time.Time) bool { return len(l.pending) > 0 && now.Before(l.pause) }

// wait is how long nothing has to be done if nothing is read.
func (l *logger) wait(now, deadline time.Time) time.Duration {
	d := lookAtClock
	sooner := func(t time.Time) {
		if !t.IsZero() {
			d = max(min(d, t.Sub(now)), 0)
		}
	}
	if l.until.After(now) && (l.file != nil || l.o.Empty) {
		sooner(l.until)
	}
	if l.waiting(now) {
		sooner(l.pause)
		sooner(deadline)
	}
	if l.nextTry.After(now) {
		sooner(l.nextTry)
	}
	return max(d, time.Millisecond)
}

// work does everything that can be done at now.
func (l *logger) work(now time.Time) error {
	if now.Before(l.pause) {
		return nil
	}
	for {
		l.intervalOver(now) // within the loop: a line may have to end first
		ready := l.ready()
		if ready == 0 {
			return nil
		}
		if l.file == nil {
			if err := l.begin(now); err != nil {
				return err
			}
			if l.file == nil {
				return nil // later
			}
		}
		n, err := l.fits(ready, now)
		switch {
		case err != nil:
			l.refused(now, err)
			return nil
		case n == 0:
			l.turn(now, true) // if it fails the old file takes what does not fit
			continue
		}
		if !l.put(n, now) {
			return nil
		}
	}
}

// ready is how many bytes of pending may be written: up to the end of a line, or all of them at the end of the input or
// when a line is so long that it does not fit into memory.
func (l *logger) ready() int {
	if l.ended || len(l.pending) >= l.o.Memory && l.whole == 0 || l.midLine {
		return len(l.pending)
	}
	return l.whole
}

// fits is how many of the first ready bytes go into the file that is open; 0 = they belong into the next.
func (l *logger) fits(ready int, now time.Time) (int, error) {
	head := l.pending[:ready]
	if l.midLine { // whatever else holds: the line ends where it began
		return lineEnd(head), nil
	}
	if l.o.MaxSize == 0 || now.Before(l.nextTry) {
		return l.lines(head), nil
	}
	st, err := l.file.Stat() // others may write to it as well
	if err != nil {
		return 0, err
	}
	room := l.o.MaxSize - st.Size()
	switch {
	case int64(ready) <= room:
		return l.lines(head), nil
	case room > 0 && bytes.IndexByte(head[:room], '\n') >= 0:
		return bytes.LastIndexByte(head[:room], '\n') + 1, nil
	case st.Size() == 0:
		return lineEnd(head), nil // longer than the bound
	}
	return 0, nil
}

// lines cuts head behind its last newline, if it has one and the input goes on.
func (l *logger) lines(head []byte) int {
	if i := bytes.LastIndexByte(head, '\n'); i >= 0 && !l.ended {
		return i + 1
	}
	return len(head)
}

// lineEnd is the length of the first line, with its newline if that is there.
func lineEnd(data []byte) int {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1
	}
	return len(data)
}

// put writes the first n bytes and says whether that went well. What was written stays written: the rest is tried
// again.
func (l *logger) put(n int, now time.Time) bool {
	done, err := l.file.Write(l.pending[:n])
	if err == nil && done != n {
		err = io.ErrShortWrite
	}
	if done = min(max(done, 0), n); done > 0 {
		l.midLine = l.pending[done-1] != '\n'
		l.pending, l.whole = l.pending[done:], max(l.whole-done, 0)
	}
	if err != nil {
		l.refused(now, err)
		return false
	}
	l.write.over(l.o.Logger, "writing again", "file", l.name)
	l.toldFull = false
	if len(l.pending) == 0 && cap(l.room) > 1<<20 {
		l.room, l.pending = nil, nil // after a trouble
	}
	return true
}

// refused makes the logger wait before it tries again what failed.
func (l *logger) refused(now time.Time, err error) {
	l.pause = now.Add(again)
	l.write.begin(l.o.Logger, err, "cannot write: lines are kept in memory and tried again", "file", l.name)
}

// trouble is a state that is told when it begins and when it is over.
type trouble struct {
	since time.Time
	last  string // the error
}

func (t *trouble) is() bool { return !t.since.IsZero() }

func (t *trouble) begin(log *slog.Logger, err error, text string, args ...any) {
	t.last = err.Error()
	if !t.is() {
		t.since = time.Now()
		log.Error(text, append(args, "error", err)...)
	}
}

func (t *trouble) over(log *slog.Logger, text string, args ...any) {
	if t.is() {
		log.Warn(text, append(args, "after", time.Since(t.since).Round(time.Millisecond))...)
		*t = trouble{}
	}
}

// close closes the file that is open.
func (l *logger) close() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	l.o.Logger.Info("closing file", "file", l.name)
	if err != nil {
		return errors.Join(ErrLost, fmt.Errorf("close %s: %w", l.name, err))
	}
	return nil
}
