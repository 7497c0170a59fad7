package depot

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
	"inkwell/rotate"
	"inkwell/store/books"
)

const (
	workers  = 4               // files uploaded to one depot concurrently
	retryMin = time.Second     // delay before a failed depot or file is tried again
	retryMax = time.Minute     // longest such delay
	nameWait = time.Second / 4 // delay before looking again for a file that does not have its final name yet
	tellFrom = 3               // consecutive failures from which on the status mentions them
)

// errNotYet says that an item has to wait for something else.
var errNotYet = errors.New("not yet")

// lane uploads the files of one route. After a failure of the depot, one file at a time is tried, with growing delays,
// until one succeeds.
type lane struct {
	s      *Shipper
	route  *Route
	layout layout
	bytes  atomic.Int64 // of waiting files
	files  atomic.Int64 // number of waiting files
	kick   chan struct{}
	ctx    context.Context
	end    context.CancelCauseFunc

	mu       sync.Mutex
	queue    []*item   // in order
	later    []*item   // items that failed or have to wait
	inFlight int       // items being uploaded
	fails    int       // consecutive failures of the depot
	until    time.Time // no attempt before this time
}

func newLane(s *Shipper, r *Route) *lane {
	l := &lane{s: s, route: r, layout: layout{root: r.Root, who: cmp.Or(r.Who, s.who), hive: r.Hive},
		kick: make(chan struct{}, workers)}
	l.ctx, l.end = context.WithCancelCause(context.Background())
	return l
}

// start starts the workers.
func (l *lane) start() {
	for range cmp.Or(l.s.o.tuning.workers, workers) {
		l.s.work.Go(l.loop)
	}
}

// push adds an item to the queue.
func (l *lane) push(it *item) {
	l.bytes.Add(it.Size)
	l.files.Add(1)
	l.mu.Lock()
	l.queue = append(l.queue, it)
	l.mu.Unlock()
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

func (l *lane) loop() {
	for l.ctx.Err() == nil {
		it, wait := l.next(time.Now())
		if it != nil {
			l.endAttempt(it, l.upload(it))
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-l.ctx.Done():
		case <-l.kick:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// next takes the item to be uploaded now. nil: there is none for the time wait, unless one is pushed.
func (l *lane) next(now time.Time) (it *item, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wait = retryMax
	if l.fails > 0 {
		if l.inFlight > 0 {
			return nil, wait
		}
		if d := l.until.Sub(now); d > 0 {
			return nil, d
		}
	}
	for i, late := range l.later {
		if d := late.until.Sub(now); d > 0 {
			wait = min(wait, d)
			continue
		}
		it = late
		l.later = slices.Delete(l.later, i, i+1)
		break
	}
	if it == nil && len(l.queue) > 0 {
		it = l.queue[0]
		l.queue[0] = nil
		l.queue = l.queue[1:]
	}
	if it != nil {
		l.inFlight++
	}
	return it, wait
}

// endAttempt handles the result of an attempt to upload an item.
func (l *lane) endAttempt(it *item, err error) {
	if err == nil {
		l.s.done(it)
		l.bytes.Add(-it.Size)
		l.files.Add(-1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	about := "depot: " + it.path()
	switch {
	case err == nil:
		l.worked()
		if it.told {
			l.s.health.Set(about, nil)
		}
	case l.ctx.Err() != nil:
	case errors.Is(err, errNotYet):
		it.until = time.Now().Add(cmp.Or(l.s.o.tuning.retry, nameWait))
		l.later = append(l.later, it)
	default:
		l.failed(it, about, err)
	}
	for range workers { // wake the other workers, which may continue or have to wait again
		select {
		case l.kick <- struct{}{}:
		default:
		}
	}
}

// worked records that the depot works. The caller holds mu.
func (l *lane) worked() {
	if l.fails > 0 {
		l.fails = 0
		l.s.health.Set("depot "+l.route.Address, nil)
	}
}

// failed records a failed attempt, caused by the file or by the depot. The caller holds mu.
func (l *lane) failed(it *item, about string, err error) {
	l.s.o.Stats.Overall("depot failures").Add(1)
	it.fails++
	it.until = time.Now().Add(l.backoff(it.fails))
	l.later = append(l.later, it)
	var own *fileError
	if errors.Is(err, ErrTaken) || errors.As(err, &own) {
		if errors.Is(err, ErrTaken) {
			l.worked()
		}
		it.told = true
		l.s.health.Set(about, err)
		return
	}
	l.fails++
	l.until = time.Now().Add(l.backoff(l.fails))
	if l.fails >= tellFrom {
		l.s.health.Set("depot "+l.route.Address, fmt.Errorf("%w (%d files wait, nothing is lost)", err, l.files.Load()))
	}
}

// backoff returns the delay after so many failures, with a random part.
func (l *lane) backoff(fails int) time.Duration {
	d := min(cmp.Or(l.s.o.tuning.retry, retryMin)<<min(fails-1, 16), retryMax)
	return d*3/4 + rand.N(d/2+1)
}

// drain ends the lane when everything was uploaded, when an upload fails, or at the deadline.
func (l *lane) drain(deadline time.Time) {
	for time.Now().Before(deadline) {
		l.mu.Lock()
		over := l.fails > 0 || len(l.queue) == 0 && l.inFlight == 0 &&
			!slices.ContainsFunc(l.later, func(it *item) bool { return it.fails == 0 })
		l.mu.Unlock()
		if over {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	l.end(errors.New("the collector ends"))
}

// fileError is an error caused by a file, not by the depot.
type fileError struct{ err error }

func (e *fileError) Error() string { return e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

// upload does all steps for an item. Each step may have been done before.
func (l *lane) upload(it *item) error {
	if it.Marker != nil {
		return l.uploadMarker(it)
	}
	file, err := l.open(it)
	if err != nil {
		return err
	}
	err = l.put(it.Name, io.NewSectionReader(file, 0, it.Size))
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	killpoint.Reach("depot.put")
	manifest := faultfs.FormatLines(books.ManifestHeader, it.Line)
	if err := l.put(manifestOf(it.Name), io.NewSectionReader(bytes.NewReader(manifest), 0, int64(len(manifest)))); err != nil {
		return err
	}
	killpoint.Reach("depot.manifest")
	if err := it.forget(l.s.o.State); err != nil {
		return &fileError{err}
	}
	l.s.o.Stats.Overall("depot files").Add(1)
	l.s.o.Stats.Overall("depot bytes").Add(it.Size)
	l.s.o.Logger.Debug("a file is in the depot", "file", it.path(), "depot", l.route.Address, "name", it.Name)
	return nil
}

// uploadMarker uploads a marker after the files that it lists.
func (l *lane) uploadMarker(it *item) error {
	for _, file := range it.After {
		if l.s.Holds(it.Dir, file) {
			return errNotYet
		}
	}
	err := l.put(it.Name, io.NewSectionReader(bytes.NewReader(it.Marker), 0, int64(len(it.Marker))))
	if err != nil && !errors.Is(err, ErrTaken) { // taken by an earlier attempt: nobody else uses the name
		return err
	}
	if err := it.forget(l.s.o.State); err != nil {
		return &fileError{err}
	}
	return nil
}

// open opens the file to be uploaded. Its final name may be missing yet.
func (l *lane) open(it *item) (_ *faultfs.File, err error) {
	dir, err := faultfs.LookBeneath(l.route.Root, it.Dir)
	if err != nil {
		return nil, &fileError{fmt.Errorf("bring %s to the depot: %w", it.path(), err)}
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	at, err := l.find(dir, it.File)
	if errors.Is(err, errNotYet) {
		return nil, err
	}
	var f *faultfs.File
	if err == nil {
		f, err = dir.OpenFile(at, os.O_RDONLY, 0)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &fileError{fmt.Errorf("bring %s to the depot: it was removed or moved away before (bring it "+
			"back, or remove the note %s)",
			it.path(), filepath.Join(l.s.o.State.Path(), it.id()))}
	}
	if err != nil {
		return nil, &fileError{fmt.Errorf("bring %s to the depot: %w", it.path(), err)}
	}
	info, err := f.Stat()
	if err == nil && info.Size() != it.Size {
		err = fmt.Errorf("it has %d bytes, and had %d when it was finished (was it damaged, or replaced?)",
			info.Size(), it.Size)
	}
	if err != nil {
		return nil, &fileError{errors.Join(fmt.Errorf("bring %s to the depot: %w", it.path(), err), f.Close())}
	}
	return f, nil
}

// find returns where in dir a finished file is, errNotYet if it is still hidden. A file that has neither name may have
// been renamed between the two looks, so it is missing only if it has no final name after that either.
func (l *lane) find(dir *faultfs.Dir, name string) (at string, err error) {
	if at, _, err = rotate.FindPublished(dir, name); !errors.Is(err, fs.ErrNotExist) {
		return at, err
	}
	if l.s.o.tuning.unnamed != nil {
		l.s.o.tuning.unnamed()
	}
	if _, err = dir.Lstat(rotate.Hidden(name)); err == nil {
		return "", errNotYet
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	at, _, err = rotate.FindPublished(dir, name)
	return at, err
}

func (l *lane) put(name string, data *io.SectionReader) error {
	return Upload(l.ctx, l.route.Depot, name, data)
}
