package kafka

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"inkwell/store/depot"
)

// refusing is a depot that refuses some puts.
type refusing struct {
	depot.Depot
	left atomic.Int32 // puts to refuse
}

func (r *refusing) Put(ctx context.Context, name string, data *io.SectionReader) error {
	if r.left.Add(-1) >= 0 {
		return errors.New("503 Slow Down")
	}
	return r.Depot.Put(ctx, name, data)
}

// TestUploadsAreTriedAgain has the depot fail for longer than a session while the files of an epoch are staged: it is not
// begun anew, the membership goes on, and the status says why it waits.
func TestUploadsAreTriedAgain(t *testing.T) {
	_, addr := broker(t)
	dir := t.TempDir()
	a, err := ParseAddress("kafka://" + addr + "/logs?replicas=1&session=2s&every=1s&member=a")
	if err != nil {
		t.Fatal(err)
	}
	d, err := depot.Open(dir, depot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var epochs atomic.Int32
	flaky := &refusing{Depot: d}
	l, err := Open(t.Context(), Options{Address: a, Depot: flaky, Scratch: filepath.Join(t.TempDir(), "scratch"),
		MaxMessage: 1000, Begin: func(e Epoch) (Engine, error) {
			epochs.Add(1)
			return &lines{epoch: e}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	flaky.left.Store(3) // three seconds and a half
	add(t, l, 0, 100)
	for deadline := time.Now().Add(time.Minute); !strings.Contains(l.Status(), "503 Slow Down"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the status is %q", l.Status())
		}
	}
	until(t, dir, 100)
	if n := epochs.Load(); n > 2 { // that of the entries, and the one after it
		t.Errorf("%d epochs were begun for 100 entries", n)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// meeting is a depot whose puts of staged files wait for each other.
type meeting struct {
	depot.Depot
	all sync.WaitGroup
}

func (m *meeting) Put(ctx context.Context, name string, data *io.SectionReader) error {
	if strings.Contains(name, "/stage/") {
		m.all.Done()
		m.all.Wait()
	}
	return m.Depot.Put(ctx, name, data)
}

// TestFilesAreStagedAtOnce has an epoch of two files, each of which is put only while the other one is.
func TestFilesAreStagedAtOnce(t *testing.T) {
	w := newWorld(t)
	p := w.process(t, "p", 1<<30, true)
	p.uploads = fileUploads
	l := p.ledger()
	together := &meeting{Depot: l.depot}
	together.all.Add(2)
	l.depot = together
	at, err := l.takeOver(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = l.step(t.Context(), at, 8, p.make(t, at, 8)); err != nil {
		t.Fatal(err)
	}
	if missing, twice := w.faults(t, 8); missing > 0 || twice > 0 {
		t.Errorf("%d missing, %d twice", missing, twice)
	}
}

// TestUploadOfTakenName gives up when the name has other content, and when its context ends.
func TestUploadOfTakenName(t *testing.T) {
	d, err := depot.Open(t.TempDir(), depot.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var told error
	u := &uploader{Depot: d, slots: make(chan struct{}, 1), tell: func(err error) { told = err }}
	put := func(ctx context.Context, text string) error {
		return u.Put(ctx, "name", io.NewSectionReader(strings.NewReader(text), 0, int64(len(text))))
	}
	if err := put(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	if err := put(t.Context(), "other"); !errors.Is(err, depot.ErrTaken) {
		t.Errorf("other content: %v", err)
	}
	u.slots <- struct{}{} // somebody else's upload
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := put(ctx, "one"); !errors.Is(err, context.Canceled) || told != nil {
		t.Errorf("its context has ended: %v, %v", err, told)
	}
}
