package tree

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/proto"
	"inkwell/store"
)

// kept is a store.Keeper that records its calls.
type kept struct {
	memo
	asked []string
}

func (k *kept) Mark(m *store.Marks) error    { return k.ask("mark") }
func (k *kept) Publish(*faultfs.Later) error { return k.ask("publish") }
func (k *kept) Seal() error                  { return k.ask("seal") }
func (k *kept) Check(time.Time) error        { return k.ask("check") }

func (k *kept) ask(what string) error {
	k.asked = append(k.asked, what)
	return k.fail
}

// TestTreeIsWalkedToItsLeaves has buckets with a store for each category. The stores are created for what their bucket
// gets, opened, not written to before they are marked, and visited for everything else, even if one of them fails.
func TestTreeIsWalkedToItsLeaves(t *testing.T) {
	leaves := make(map[string]*kept)
	var buckets []*store.Child
	for _, bucket := range []string{"0", "1"} {
		buckets = append(buckets, store.OpenChild(NewByCategory(ByCategoryOptions{Limit: 9,
			Child: func(name string) *store.Child {
				leaf := new(kept)
				leaves[bucket+name] = leaf
				return &store.Child{Open: func() (store.Store, error) { return leaf, nil }}
			}})))
	}
	k := NewBucket(BucketOptions{Kind: "key_modulo", Delimiter: ':'}, buckets)
	b := entriesOf("a", "no key", "1:x")
	b.AppendBatch(entriesOf("b", "2:y"))
	if !store.Prepare(k, b) || !store.Fresh(k) || !store.Keeps(k) {
		t.Fatal("what was opened need not be marked")
	}
	if got := slices.Sorted(maps.Keys(leaves)); !slices.Equal(got, []string{"0a", "1a", "1b"}) {
		t.Fatalf("made: %q", got)
	}
	if err := store.Mark(k, new(store.Marks)); err != nil || store.Prepare(k, b) {
		t.Fatalf("error is %v; it is to be marked again", err)
	}
	if err := k.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if got := leaves["1b"].got; !slices.Equal(got, []string{"b=2:y"}) {
		t.Errorf("1b has %q", got)
	}
	broken := errors.New("broken")
	leaves["0a"].fail = broken
	for _, err := range []error{store.Publish(k, nil), store.Check(k, time.Now()), store.Seal(k)} {
		if !errors.Is(err, broken) {
			t.Errorf("error is %v", err)
		}
	}
	for name, leaf := range leaves {
		if want := []string{"mark", "publish", "check", "seal"}; !slices.Equal(leaf.asked, want) {
			t.Errorf("%s was asked for %q, want %q", name, leaf.asked, want)
		}
	}
}

// TestFailoverLeavesAFailedPrimaryAlone: Check is not called for a failed primary, because its error would be that of
// the whole tree.
func TestFailoverLeavesAFailedPrimaryAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := new(kept), new(kept)
		f := NewFailover(func() (store.Store, error) { return first, nil }, second,
			FailoverOptions{Schedule: every(time.Minute)})
		store.Prepare(f, nil)
		first.fail = errAway
		if err := f.Append(t.Context(), entriesOf("c", "1")); err != nil {
			t.Fatal(err)
		}
		if err := store.Check(f, time.Now()); err != nil || len(first.asked) > 0 || len(second.asked) != 1 {
			t.Errorf("error is %v; the first was asked for %q, the second for %q", err, first.asked, second.asked)
		}
		if err := store.Mark(f, new(store.Marks)); !errors.Is(err, errAway) {
			t.Errorf("error of a mark is %v", err)
		}
		first.fail = nil
		time.Sleep(time.Minute)
		if err := store.Check(f, time.Now()); err != nil || store.Status(f) != "" ||
			!slices.Contains(first.asked, "check") {
			t.Errorf("error is %v, status %q; the first was asked for %q", err, store.Status(f), first.asked)
		}
	})
}

// TestFailoverLooksForItsPrimary: it is found out whether the primary is reachable before anything has to be sent.
func TestFailoverLooksForItsPrimary(t *testing.T) {
	f := NewFailover(func() (store.Store, error) { return unreachable{}, nil }, new(memo),
		FailoverOptions{Schedule: every(time.Minute)})
	store.Prepare(f, nil)
	if err := store.Check(f, time.Now()); err != nil || store.Status(f) != errAway.Error() {
		t.Errorf("error is %v, status %q", err, store.Status(f))
	}
}

// unreachable is a store whose peer is not reachable.
type unreachable struct{}

func (unreachable) Append(context.Context, *proto.Batch) error { return errAway }
func (unreachable) Connect(context.Context) error              { return errAway }
func (unreachable) Close() error                               { return nil }

// TestSenderOpensWhatItNeeds: a Sender prepares its tree itself.
func TestSenderOpensWhatItNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away, m := true, new(memo)
		s := NewSender(NewBucket(BucketOptions{}, []*store.Child{{Open: func() (store.Store, error) {
			if away {
				return nil, errAway
			}
			return m, nil
		}}, store.OpenChild(new(memo))}))
		b := entriesOf("c", "1")
		if err := s.Append(t.Context(), b); !errors.Is(err, errAway) || s.Status() != "away" {
			t.Errorf("error is %v, status %q", err, s.Status())
		}
		away = false
		time.Sleep(time.Second)
		if err := s.Check(time.Now()); err != nil || s.Status() != "" {
			t.Errorf("error is %v, status %q", err, s.Status())
		}
		if err := errors.Join(s.Append(t.Context(), b), s.Close()); err != nil ||
			!slices.Equal(m.got, []string{"c=1"}) {
			t.Errorf("error is %v; it has %q", err, m.got)
		}
	})
}
