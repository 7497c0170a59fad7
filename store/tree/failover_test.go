package tree

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
)

var errAway = errors.New("away")

// every is a Schedule with equal pauses.
type every time.Duration

func (e every) Next() time.Duration { return time.Duration(e) }
func (e every) Reset()              {}

func TestFailoverTakesTheSecondStoreUntilItIsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, set := new(memo), new(memo), stats.New()
		opened := 0
		f := NewFailover(func() (store.Store, error) {
			if first.fail != nil && errors.Is(first.fail, store.ErrClosed) {
				return nil, first.fail
			}
			opened++
			return first, nil
		}, second, FailoverOptions{Schedule: every(10 * time.Second), Name: "c", Stats: set})
		send := func(message string) {
			t.Helper()
			if err := offer(t, f, entriesOf("c", message)); err != nil {
				t.Fatal(err)
			}
		}
		send("1")
		first.fail = &store.StatusError{Text: "Failed to connect", Err: errAway}
		send("2")
		if store.Status(f) != "Failed to connect" {
			t.Errorf("status is %q", store.Status(f))
		}
		first.fail = nil
		send("3") // not tried again yet
		time.Sleep(10 * time.Second)
		send("4")
		first.fail = store.ErrBroken
		send("5")
		first.fail = store.ErrClosed
		time.Sleep(10 * time.Second)
		send("6") // cannot be opened
		first.fail = nil
		time.Sleep(10 * time.Second)
		send("7")
		if store.Status(f) != "" {
			t.Errorf("status is %q", store.Status(f))
		}
		if want := []string{"c=1", "c=4", "c=7"}; !slices.Equal(first.got, want) {
			t.Errorf("the first has %q, want %q", first.got, want)
		}
		if want := []string{"c=2", "c=3", "c=5", "c=6"}; !slices.Equal(second.got, want) {
			t.Errorf("the second has %q, want %q", second.got, want)
		}
		if opened != 2 {
			t.Errorf("opened %d times", opened)
		}
		if n, all := set.Get("c:retries"), set.Get("scribe_overall:retries"); n != 3 || all != 3 {
			t.Errorf("retries: %d, overall %d", n, all)
		}
		second.fail, first.fail = errAway, errAway
		if err := offer(t, f, entriesOf("c", "8")); err == nil {
			t.Error("neither takes it, and there is no error")
		}
	})
}

// hanging is a store whose peer does not answer.
type hanging struct {
	memo
	answer chan struct{}
}

func (h *hanging) Append(context.Context, *proto.Batch) error {
	<-h.answer
	return errAway
}

// TestStatusDoesNotWaitForAPeer: the status is available while a store of the tree waits for its peer.
func TestStatusDoesNotWaitForAPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := &hanging{answer: make(chan struct{})}
		open := func() (store.Store, error) { return peer, nil }
		seconds := []*memo{new(memo), new(memo)}
		stores := []store.Store{NewFailover(open, seconds[0], FailoverOptions{Schedule: every(time.Second)}),
			NewMulti(true, []*store.Child{{Open: open, Replaceable: true}, store.OpenChild(seconds[1])})}
		for _, s := range stores {
			store.Prepare(s, nil)
			go func() {
				if err := s.Append(t.Context(), entriesOf("c", "1")); err != nil {
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		for _, s := range stores {
			if text := store.Status(s); text != "" { // or it never returns
				t.Errorf("status is %q", text)
			}
		}
		close(peer.answer)
		synctest.Wait()
		for _, m := range seconds {
			if !slices.Equal(m.got, []string{"c=1"}) {
				t.Errorf("the second store has %q", m.got)
			}
		}
	})
}
