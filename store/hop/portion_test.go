package hop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/spool"
)

// numbers returns n distinct messages.
func numbers(n int) (messages []string) {
	for i := range n {
		messages = append(messages, fmt.Sprintf("%06d", i))
	}
	return messages
}

// atMost answers TRY_LATER to calls of more than n entries.
func atMost(n int) func(*proto.Batch) (proto.ResultCode, error) {
	return func(b *proto.Batch) (proto.ResultCode, error) {
		if b.Count() > n {
			return proto.TryLater, nil
		}
		return proto.OK, nil
	}
}

// TestNetworkMakesCallsSmaller: a peer that answers TRY_LATER to calls of more than some entries, like Flume with its
// channel, or refuses them with an exception, like an Inkwell, gets smaller calls at once, and every entry once and in
// order.
func TestNetworkMakesCallsSmaller(t *testing.T) {
	noLeaks(t)
	refuses := func(n int) func(*proto.Batch) (proto.ResultCode, error) {
		return func(b *proto.Batch) (proto.ResultCode, error) {
			if b.Count() > n {
				return 0, errors.New("too many")
			}
			return proto.OK, nil
		}
	}
	for name, judge := range map[string]func(*proto.Batch) (proto.ResultCode, error){
		"1": atMost(1), "100": atMost(100), "5000": atMost(5000), "an exception to more than 1": refuses(1), "an exception to more than 300": refuses(300),
	} {
		t.Run(name, func(t *testing.T) {
			in, set := &inbox{judge: judge}, stats.New()
			n := openNetwork(t, NetworkOptions{Addrs: []string{startPeer(t, "", in).addr}, Stats: set})
			messages := numbers(10_000)
			if err := n.Append(t.Context(), batchOf(messages...)); err != nil {
				t.Fatal(err)
			}
			wantMessages(t, in, messages...)
			if got := set.Get("scribe_overall:sent"); got != 10_000 {
				t.Errorf("%d are counted as sent", got)
			}
			if in.mu.Lock(); len(in.refused) > 1+len(in.sizes)/4 {
				t.Errorf("%d calls were refused, %d taken", len(in.refused), len(in.sizes))
			}
			if got := set.Get("scribe_overall:calls made smaller"); got != int64(len(in.refused)) {
				t.Errorf("%d calls made smaller, %d were refused", got, len(in.refused))
			}
			in.mu.Unlock()
		})
	}
}

// TestNetworkKeepsNumbersInParts: the entries of a batch that is sent in several calls keep their numbers.
func TestNetworkKeepsNumbersInParts(t *testing.T) {
	noLeaks(t)
	var next atomic.Int64
	next.Store(7)
	in := &inbox{}
	in.judge = func(b *proto.Batch) (proto.ResultCode, error) {
		code, err := atMost(9)(b)
		for _, s := range b.Spans() {
			if s.First != next.Load() || int(s.Count) != b.Count() {
				t.Errorf("numbers %d…, %d of %d entries, want %d…", s.First, s.Count, b.Count(), next.Load())
			}
			if code == proto.OK {
				next.Add(int64(s.Count))
			}
		}
		return code, err
	}
	n := openNetwork(t, NetworkOptions{Addrs: []string{startPeer(t, "", in).addr}})
	b := batchOf(numbers(1000)...)
	b.Number([16]byte{1}, next.Load(), b.Count())
	if err := n.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if next.Load() != 1007 {
		t.Errorf("numbers up to %d came", next.Load())
	}
}

// TestNetworkSplitsWhatComesInOnePiece: max_batch_size also applies to a single larger batch.
func TestNetworkSplitsWhatComesInOnePiece(t *testing.T) {
	noLeaks(t)
	in := new(inbox)
	n := openNetwork(t, NetworkOptions{Addrs: []string{startPeer(t, "", in).addr}, MaxCall: 32 << 10})
	messages := []string{strings.Repeat("a", 40<<10)}
	for i := range 5000 {
		messages = append(messages, fmt.Sprint(i, strings.Repeat("x", 90)))
	}
	if err := n.Append(t.Context(), batchOf(messages...)); err != nil {
		t.Fatal(err)
	}
	wantMessages(t, in, messages...)
	for i, size := range in.calls() {
		if size > 32<<10 && i > 0 {
			t.Errorf("call %d has %d bytes", i, size)
		}
	}
	if n := len(in.calls()); n > 40 {
		t.Errorf("%d calls", n)
	}
}

// TestNetworkIsPatientWithASlowPeer: a peer that needs some time for each entry gets calls that it can answer within
// half of the time-out, and therefore every entry once.
func TestNetworkIsPatientWithASlowPeer(t *testing.T) {
	noLeaks(t)
	in := &inbox{judge: func(b *proto.Batch) (proto.ResultCode, error) {
		time.Sleep(time.Duration(b.Count()) * time.Millisecond)
		return proto.OK, nil
	}}
	set := stats.New()
	n := openNetwork(t, NetworkOptions{Addrs: []string{startPeer(t, "", in).addr}, Timeout: 2 * time.Second,
		Stats: set})
	messages := numbers(4000)
	if err := n.Append(t.Context(), batchOf(messages...)); err != nil {
		t.Fatal(err)
	}
	wantMessages(t, in, messages...)
	if got := set.Get("scribe_overall:failed calls"); got != 0 {
		t.Errorf("%d calls failed", got)
	}
}

// TestNetworkSaysHowMuchWasTaken: entries that were taken before a call failed are not offered again.
func TestNetworkSaysHowMuchWasTaken(t *testing.T) {
	noLeaks(t)
	for name, fail := range map[string]struct {
		code proto.ResultCode
		err  error
	}{"TRY_LATER": {proto.TryLater, nil}, "exception": {0, errors.New("no")}} {
		t.Run(name, func(t *testing.T) {
			var room atomic.Int32
			room.Store(100)
			in := &inbox{}
			in.judge = func(b *proto.Batch) (proto.ResultCode, error) {
				if room.Add(-int32(b.Count())) < 0 {
					room.Add(int32(b.Count()))
					return fail.code, fail.err
				}
				return proto.OK, nil
			}
			n := openNetwork(t, NetworkOptions{Addrs: []string{startPeer(t, "", in).addr}})
			messages := numbers(300)
			b := batchOf(messages...)
			err := n.Append(t.Context(), b)
			var part *store.PartialError
			if !errors.As(err, &part) || !part.InOrder || part.Left != 200 {
				t.Fatalf("error %v, want one with 200 left", err)
			}
			if later := errors.Is(err, store.ErrTryLater); later != (fail.err == nil) {
				t.Errorf("error %v", err)
			}
			wantMessages(t, in, messages[:100]...)
			room.Store(1000)
			if err := n.Append(t.Context(), store.Rest(b, err)); err != nil {
				t.Fatal(err)
			}
			wantMessages(t, in, messages...)
		})
	}
}

// TestNetworkDoesNotRepeatWhatTimedOut: a call that timed out is followed by smaller ones, whatever their result.
func TestNetworkDoesNotRepeatWhatTimedOut(t *testing.T) {
	noLeaks(t)
	in, over := new(inbox), make(chan struct{})
	t.Cleanup(func() { close(over) })
	in.judge = func(b *proto.Batch) (proto.ResultCode, error) {
		if b.Count() > 5 {
			<-over // no answer comes in time
			return proto.TryLater, nil
		}
		return proto.OK, nil
	}
	n := openNetwork(t, NetworkOptions{Addrs: []string{startPeer(t, "", in).addr}, Timeout: 200 * time.Millisecond})
	b := batchOf(numbers(40)...)
	failed := 0
	for err := n.Append(t.Context(), b); err != nil; err = n.Append(t.Context(), b) {
		b = store.Rest(b, err)
		failed++
	}
	wantMessages(t, in, numbers(40)...)
	if failed != 2 { // 16 and 8, and then never more than 4
		t.Errorf("%d calls timed out", failed)
	}
}

// TestBufferAcksWhatPassed: a replay to a slow peer that is interrupted does not start from the beginning.
func TestBufferAcksWhatPassed(t *testing.T) {
	noLeaks(t)
	in, path := new(inbox), t.TempDir()
	var taken atomic.Int32
	in.judge = func(b *proto.Batch) (proto.ResultCode, error) {
		if b.Count() > 2 || int(taken.Load())+b.Count() > 20 {
			return proto.TryLater, nil
		}
		taken.Add(int32(b.Count()))
		return proto.OK, nil
	}
	sp, _ := openSpool(t, path, spool.Options{}, nil)
	b := OpenBuffer(network(t, in), sp, BufferOptions{Retry: soon()})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	messages := numbers(50)
	for _, m := range messages {
		if err := b.Append(ended, batchOf(m)); err != nil { // to the spool
			t.Fatal(err)
		}
	}
	until(t, "the peer is full", func() bool { return len(in.got()) == 20 })
	until(t, "what passed is acknowledged", func() bool { _, entries := b.Backlog(); return entries == 30 })
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	taken.Store(-1000)
	sp, _ = openSpool(t, path, spool.Options{}, nil)
	mustDrain(t, newBuffer(t, network(t, in), sp, BufferOptions{}))
	wantMessages(t, in, messages...)
}

// TestQuarantineLetsOthersPass: an entry that a peer always answers with TRY_LATER, like fluentd a line that is no
// JSON, is held separately, also over a restart, until it is taken or set aside.
func TestQuarantineLetsOthersPass(t *testing.T) {
	noLeaks(t)
	var mended atomic.Bool
	in, set, path := new(inbox), stats.New(), t.TempDir()
	in.judge = func(b *proto.Batch) (proto.ResultCode, error) {
		if has(b, "bad") && !mended.Load() {
			return proto.TryLater, nil
		}
		return proto.OK, nil
	}
	open := func(after time.Duration) *Buffer {
		t.Helper()
		sp, _ := openSpool(t, path, spool.Options{}, nil)
		q, err := OpenQuarantine(network(t, in), QuarantineOptions{Dir: path, After: after, Stats: set})
		if err != nil {
			t.Fatal(err)
		}
		return newBuffer(t, q, sp, BufferOptions{})
	}
	b := open(time.Hour)
	good := numbers(200)
	all := slices.Insert(slices.Insert(slices.Clone(good), 150, "bad 2"), 50, "bad 1")
	if err := b.Append(t.Context(), batchOf(all...)); err != nil {
		t.Fatal(err)
	}
	mustDrain(t, b)
	wantMessages(t, in, good...)
	if got := set.Get("scribe_overall:held"); got != 2 {
		t.Errorf("%d are held", got)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got := recordsIn(t, path, "held"); !slices.Equal(got, []string{"bad 1", "bad 2"}) {
		t.Errorf("held: %q", got)
	}

	b = open(50 * time.Millisecond) // set aside while others pass, not before
	until(t, "the first is offered again", func() bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		return in.refused[len(in.refused)-1] == 1 && len(in.refused) > 30
	})
	if got := set.Get("scribe_overall:refused"); got != 0 {
		t.Errorf("%d are set aside although nothing shows that others are taken", got)
	}
	until(t, "both are set aside", func() bool {
		mustSend(t, b, "other")
		return set.Get("scribe_overall:refused") == 2
	})
	if got := recordsIn(t, path, refusedDir); !slices.Equal(got, []string{"bad 1", "bad 2"}) {
		t.Errorf("set aside: %q", got)
	}

	mustSend(t, b, "bad 3", "x", "y", "z")
	mustDrain(t, b)
	mended.Store(true)
	until(t, "what was held is taken", func() bool { return slices.Contains(in.got(), "bad 3") })
	until(t, "nothing is held", func() bool { return set.Get("scribe_overall:held") == 0 })
	if got := set.Get("scribe_overall:refused"); got != 2 {
		t.Errorf("%d are set aside", got)
	}
}

// TestQuarantineKeepsTheOrderOfABusyPeer: a peer that has no room for a while gets everything in order.
func TestQuarantineKeepsTheOrderOfABusyPeer(t *testing.T) {
	noLeaks(t)
	var room atomic.Int32
	in, path := new(inbox), t.TempDir()
	in.judge = func(b *proto.Batch) (proto.ResultCode, error) {
		if room.Add(-int32(b.Count())) < 0 {
			room.Add(int32(b.Count()))
			return proto.TryLater, nil
		}
		return proto.OK, nil
	}
	sp, _ := openSpool(t, path, spool.Options{}, nil)
	q, err := OpenQuarantine(network(t, in), QuarantineOptions{Dir: path})
	if err != nil {
		t.Fatal(err)
	}
	b := newBuffer(t, q, sp, BufferOptions{})
	messages := numbers(300)
	if err := b.Append(t.Context(), batchOf(messages...)); err != nil {
		t.Fatal(err)
	}
	for len(in.got()) < len(messages) {
		before := in.begun.Load()
		until(t, "it is busy for some attempts",
			func() bool { return in.begun.Load() > before+7 || len(in.got()) == len(messages) })
		room.Store(25)
	}
	mustDrain(t, b)
	wantMessages(t, in, messages...)
}

// TestQuarantineBeforeAJournalHoldsTheLast: with Again, even the last entry of a batch is held, so that a caller that
// repeats its batch is not blocked.
func TestQuarantineBeforeAJournalHoldsTheLast(t *testing.T) {
	noLeaks(t)
	in, set, dir := new(inbox), stats.New(), t.TempDir()
	in.judge = func(b *proto.Batch) (proto.ResultCode, error) {
		if has(b, "bad") {
			return proto.TryLater, nil
		}
		return proto.OK, nil
	}
	q := quarantine(t, network(t, in), QuarantineOptions{Dir: dir, Held: "held.1", Again: true, Stats: set})
	for _, messages := range [][]string{{"a", "bad"}, {"b"}, {"c"}, {"d"}, {"bad", "e"}, {"f", "g", "h"}} {
		b := batchOf(messages...)
		until(t, "it is taken", func() bool { return q.Append(t.Context(), b) == nil })
	}
	wantMessages(t, in, "a", "b", "c", "d", "e", "f", "g", "h")
	if got := recordsIn(t, dir, "held.1"); !slices.Equal(got, []string{"bad", "bad"}) || q.Held() != 2 {
		t.Errorf("held: %q, %d", got, q.Held())
	}
	if _, err := os.Stat(dir + "/" + refusedDir); !os.IsNotExist(err) {
		t.Errorf("something was set aside: %v", err)
	}
}

// TestNetworkDoesNotBlameTheSizeForABusyPeer: a TRY_LATER to an empty call does not change the size of calls.
func TestNetworkDoesNotBlameTheSizeForABusyPeer(t *testing.T) {
	noLeaks(t)
	var busy atomic.Bool
	busy.Store(true)
	in, set := new(inbox), stats.New()
	in.judge = func(b *proto.Batch) (proto.ResultCode, error) {
		if b.Count() == 0 && busy.Load() {
			return proto.TryLater, nil
		}
		return proto.OK, nil
	}
	n := wide(openNetwork(t, NetworkOptions{Addrs: []string{startPeer(t, "", in).addr}, Probe: true, Stats: set}))
	messages := numbers(5000)
	for range 3 {
		if err := n.Append(t.Context(), batchOf(messages...)); !errors.Is(err, store.ErrTryLater) {
			t.Errorf("error %v", err)
		}
	}
	busy.Store(false)
	if err := n.Append(t.Context(), batchOf(messages...)); err != nil {
		t.Fatal(err)
	}
	wantMessages(t, in, messages...)
	if got := set.Get("scribe_overall:calls made smaller"); got != 0 || in.begun.Load() != 5 {
		t.Errorf("%d calls made smaller, %d calls", got, in.begun.Load())
	}
}

// TestQuarantineCountsEachEntryByItself: what a peer answers to several callers in turn sets nothing aside, because it
// has refused none of their entries more than once.
func TestQuarantineCountsEachEntryByItself(t *testing.T) {
	noLeaks(t)
	in, set, path := new(inbox), stats.New(), t.TempDir()
	var refusing atomic.Bool
	in.judge = func(*proto.Batch) (proto.ResultCode, error) {
		if refusing.Load() {
			return 0, errors.New("no")
		}
		return proto.OK, nil
	}
	q, err := OpenQuarantine(network(t, in), QuarantineOptions{Dir: path, Stats: set})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if err := q.Append(t.Context(), batchOf("first")); err != nil { // the peer takes others
		t.Fatal(err)
	}
	refusing.Store(true)
	messages := numbers(3 * provedRefusals)
	for _, m := range messages {
		if err := q.Append(t.Context(), batchOf(m)); err == nil {
			t.Fatalf("%s is not offered again", m)
		}
	}
	refusing.Store(false)
	for _, m := range messages {
		if err := q.Append(t.Context(), batchOf(m)); err != nil {
			t.Fatal(err)
		}
	}
	wantMessages(t, in, append([]string{"first"}, messages...)...)
	if got := set.Get("scribe_overall:refused"); got != 0 {
		t.Errorf("%d are set aside", got)
	}
}

// TestQuarantineOffersWhatIsHeldAtTheEnd: a process that is about to end does not leave what the peer takes now to the
// next one.
func TestQuarantineOffersWhatIsHeldAtTheEnd(t *testing.T) {
	noLeaks(t)
	var mended atomic.Bool
	in, dir := new(inbox), t.TempDir()
	in.judge = func(b *proto.Batch) (proto.ResultCode, error) {
		if has(b, "bad") && !mended.Load() {
			return proto.TryLater, nil
		}
		return proto.OK, nil
	}
	q := quarantine(t, network(t, in), QuarantineOptions{Dir: dir, Again: true})
	for _, messages := range [][]string{{"bad 1"}, {"a"}, {"b"}, {"c"}, {"bad 2"}, {"d"}, {"e"}, {"f"}} {
		b := batchOf(messages...)
		until(t, "it is taken", func() bool { return q.Append(t.Context(), b) == nil })
	}
	if q.Offer(t.Context()); q.Held() != 2 {
		t.Fatalf("%d entries are held", q.Held())
	}
	mended.Store(true)
	if q.Offer(t.Context()); q.Held() != 0 {
		t.Errorf("%d entries are held", q.Held())
	}
	wantMessages(t, in, "a", "b", "c", "d", "e", "f", "bad 1", "bad 2")
}
