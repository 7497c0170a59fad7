package forwarder

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"inkwell/internal/stats"
)

// TestPipeHandsItsSpoolOver ends a pipe whose peer hangs in a call, with all the time in the world to wait for it,
// while another waits for the spool: it must not wait. The successor delivers both, each once and in its order.
func TestPipeHandsItsSpoolOver(t *testing.T) {
	peer := newPeer(t)
	peer.store.knowNumbers(t) // the call that is broken off has arrived
	block := make(chan struct{})
	peer.store.block = block
	peer.start()
	o := PipeOptions{To: []string{peer.addr}, SpoolDir: t.TempDir(), Category: "c", DrainTimeout: time.Hour}
	begin := func() (w *os.File, done chan error) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		p, err := OpenPipe(r, o)
		if err != nil {
			t.Fatal(err)
		}
		done = make(chan error, 1)
		go func() {
			_, err := p.Run(context.Background(), context.Background())
			r.Close()
			done <- err
		}()
		return w, done
	}
	write := func(w *os.File, lines []string) {
		if _, err := w.WriteString(joined(lines)); err != nil {
			t.Fatal(err)
		}
	}
	wait := func(done chan error) error {
		select {
		case err := <-done:
			return err
		case <-time.After(waitMax):
			t.Fatal("the pipe does not end")
			return nil
		}
	}
	first, second := numbered("a", 0, 1000), numbered("b", 0, 1000)
	w1, done1 := begin()
	write(w1, first)
	w2, done2 := begin()
	write(w2, second[:500])
	w1.Close()
	if err := wait(done1); !errors.Is(err, ErrLeftInSpool) {
		t.Errorf("the first: %v", err)
	}
	close(block)
	write(w2, second[500:])
	w2.Close()
	if err := wait(done2); err != nil {
		t.Errorf("the second: %v", err)
	}
	got := peer.store.get("c")
	for _, want := range [][]string{first, second} {
		of := slices.DeleteFunc(slices.Clone(got), func(line string) bool { return line[0] != want[0][0] })
		if !slices.Equal(of, want) {
			t.Errorf("%d lines of %c, want %d", len(of), want[0][0], len(want))
		}
	}
}

// TestSuccessorWaitsNoMore: once a process has the spool, its own lock as the one that waits is gone. It would take
// that for another process's, and leave what it read in the spool at its end.
func TestSuccessorWaitsNoMore(t *testing.T) {
	peer := newPeer(t)
	peer.start()
	o := hopOptions{to: []string{peer.addr}, dir: t.TempDir(), patient: true, log: slog.New(slog.DiscardHandler), stats: stats.New()}
	first, err := openHop(o)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		next, err := openHop(o)
		if err != nil {
			t.Fatal(err)
		}
		first.whenWanted(t.Context(), func() {})
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		<-next.spooled
		if wanted, err := next.dir.Locked(nextLock); wanted || err != nil {
			t.Fatalf("the lock is taken: %v, %v", wanted, err)
		}
		first = next
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
}
