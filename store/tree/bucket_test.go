package tree

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/testkit"
	"inkwell/proto"
	"inkwell/store"
)

// memo is a store that records what it was given and fails on demand.
type memo struct {
	got  []string
	fail error
}

func (m *memo) Append(_ context.Context, b *proto.Batch) error {
	if m.fail != nil {
		return m.fail
	}
	for c := b.Cursor(); c.Next(); {
		m.got = append(m.got, string(c.Category())+"="+string(c.Message()))
	}
	return nil
}

func (m *memo) Close() error { return nil }

func memos(n int) (children []*store.Child, all []*memo) {
	for range n {
		m := new(memo)
		children, all = append(children, store.OpenChild(m)), append(all, m)
	}
	return children, all
}

// offer appends a batch in the way the owner of a tree does.
func offer(t *testing.T, s store.Store, b *proto.Batch) error {
	t.Helper()
	if store.Prepare(s, b) {
		t.Fatal("something was opened that has to be marked")
	}
	return s.Append(t.Context(), b)
}

func entriesOf(category string, messages ...string) *proto.Batch {
	var b proto.Batch
	for _, m := range messages {
		b.Append([]byte(category), []byte(m))
	}
	return &b
}

// The buckets that the original was observed to choose.
func TestBucketsAreThoseOfTheOriginal(t *testing.T) {
	for _, c := range []struct {
		kind    string
		n       int
		rng     uint64
		message string
		want    int
	}{
		{"key_hash", 5, 0, "123:v", 5}, {"key_hash", 5, 0, "1:v", 3}, {"key_hash", 5, 0, "abc:v", 4}, {"key_hash", 5,
			0, "café:v", 1}, {"key_hash", 5, 0, "zürich:x", 3},
		{"key_hash", 1200, 0, "123:v", 460}, {"key_hash", 5, 0, "nokey", 0}, {"key_hash", 5, 0, ":empty",
			0}, {"key_hash", 5, 0, "123\x00x:v", 5}, {"key_hash", 5, 0, "\x00x:v", 0},
		{"key_modulo", 5, 0, "0:a", 1}, {"key_modulo", 5, 0, "1:b", 2}, {"key_modulo", 5, 0, "7:c", 3}, {"key_modulo",
			5, 0, "-7:d", 5}, {"key_modulo", 5, 0, "x:e", 1},
		{"key_modulo", 5, 0, "99999999999999999999:f", 3}, {"key_modulo", 5, 0, "nokey", 0},
		{"key_range", 5, 100, "0:a", 1}, {"key_range", 5, 100, "99:b", 5}, {"key_range", 5, 100, "100:c",
			1}, {"key_range", 5, 100, "150:d", 3}, {"key_range", 5, 0, "150:d", 0},
		{"context_log", 5, 0, "a\x01b\x01c\x017\x01rest", 3}, {"context_log", 5, 0, "a\x01b\x01c\x010", 0},
		{"context_log", 5, 0, "a\x01b\x01c\x0118446744073709551614", 5}, {"context_log", 5, 0,
			"a\x01b\x01c\x019223372036854775808", 0}, {"context_log", 5, 0, "a\x01b\x01c\x0199999999999999999999", 1},
		{"context_log", 5, 0, "a\x01b\x01c\x01 -3x", 4}, {"context_log", 5, 0, "a\x01b\x01c\x01-99999999999999999999",
			1}, {"context_log", 5, 0, "none", 0}, {"what", 5, 0, "a\x01b\x01c\x017", 3},
	} {
		children, _ := memos(c.n + 1)
		k := NewBucket(BucketOptions{Kind: c.kind, Delimiter: ':', Range: c.rng}, children)
		if got := k.choose([]byte(c.message)); got != c.want {
			t.Errorf("%s of %d: %q goes to %d, want %d", c.kind, c.n, c.message, got, c.want)
		}
	}
}

func TestRandomBucketsAreAllUsedAndStayOverARetry(t *testing.T) {
	children, all := memos(5)
	k := NewBucket(BucketOptions{Kind: "random"}, children)
	var messages []string
	for i := range 400 {
		messages = append(messages, strings.Repeat("x", i))
	}
	b := entriesOf("c", messages...)
	all[3].fail = errors.New("away")
	if err := offer(t, k, b); err == nil {
		t.Fatal("no error")
	}
	all[3].fail = nil
	if err := offer(t, k, b); err != nil {
		t.Fatal(err)
	}
	sum := 0
	for i, m := range all {
		sum += len(m.got)
		if (len(m.got) == 0) != (i == 0) {
			t.Errorf("bucket %d got %d messages", i, len(m.got))
		}
	}
	if sum != 400 {
		t.Errorf("%d messages in all, want 400", sum)
	}
}

func TestBucketRepeatsOnlyWhatFailed(t *testing.T) {
	children, all := memos(6)
	k := NewBucket(BucketOptions{Kind: "key_modulo", Delimiter: ':', RemoveKey: true}, children)
	all[2].fail, all[4].fail = store.ErrTryLater, errors.New("disk")
	b := entriesOf("c", "0:a", "1:b", "none", "3:d", "1:c")
	var part *store.PartialError
	if err := offer(t, k, b); !errors.As(err, &part) || part.Left != 3 || !errors.Is(err, store.ErrTryLater) {
		t.Fatalf("error is %v, want a store.PartialError with 3 entries", err)
	}
	all[4].fail = nil
	if err := offer(t, k, b); !errors.As(err, &part) || part.Left != 2 {
		t.Fatalf("error is %v, want a store.PartialError with 2 entries", err)
	}
	all[2].fail = nil
	if err := offer(t, k, b); err != nil {
		t.Fatal(err)
	}
	if err := offer(t, k, b); err != nil { // the same bytes again are another batch
		t.Fatal(err)
	}
	want := [][]string{{"c=none"}, {"c=a"}, {"c=b", "c=c"}, nil, {"c=d"}, nil}
	for i, m := range all {
		if twice := slices.Concat(want[i], want[i]); !slices.Equal(m.got, twice) {
			t.Errorf("bucket %d has %q, want %q", i, m.got, twice)
		}
	}
}

func TestMultiAllDoesNotRepeatAndAnyIsContentWithOne(t *testing.T) {
	children, all := memos(3)
	m := NewMulti(false, children)
	all[1].fail = errors.New("away")
	b := entriesOf("c", "1", "2")
	for range 3 {
		var part *store.PartialError
		if err := offer(t, m, b); !errors.As(err, &part) || part.Left != 2 {
			t.Fatalf("error is %v, want a store.PartialError with 2 entries", err)
		}
	}
	all[1].fail = nil
	if err := offer(t, m, b); err != nil {
		t.Fatal(err)
	}
	for i, s := range all {
		if !slices.Equal(s.got, []string{"c=1", "c=2"}) {
			t.Errorf("child %d has %q", i, s.got)
		}
	}
	children, all = memos(2)
	m = NewMulti(true, children)
	all[0].fail = errors.New("away")
	if err := offer(t, m, b); err != nil {
		t.Errorf("one of two took it, but: %v", err)
	}
	all[1].fail = errors.New("away")
	if err := offer(t, m, b); err == nil {
		t.Error("none took it, but there is no error")
	}
}

func TestByCategoryHasAStoreForEach(t *testing.T) {
	children := make(map[string]*memo)
	bad := errors.New("no such place")
	k := NewByCategory(ByCategoryOptions{Limit: 9, Child: func(name string) *store.Child {
		m := new(memo)
		if name != "bad" {
			children[name] = m
		}
		return &store.Child{Open: func() (store.Store, error) {
			if name == "bad" {
				return nil, bad
			}
			return m, nil
		}}
	}})
	var b proto.Batch
	for _, c := range []string{"a", "b", "bad", "a", "bad"} {
		b.Append([]byte(c), []byte("m"))
	}
	for range 2 {
		var part *store.PartialError
		if err := offer(t, k, &b); !errors.As(err, &part) || part.Left != 2 || !errors.Is(err, bad) {
			t.Fatalf("error is %v, want a store.PartialError with 2 entries", err)
		}
	}
	if !slices.Equal(children["a"].got, []string{"a=m", "a=m"}) || !slices.Equal(children["b"].got, []string{"b=m"}) {
		t.Errorf("a has %q, b %q", children["a"].got, children["b"].got)
	}
}

// TestByCategoryHasOneChildForOneName has categories that cannot be file names, and more categories than the limit. A
// child for each of them would use the same files as others, or a file descriptor more.
func TestByCategoryHasOneChildForOneName(t *testing.T) {
	for _, c := range []struct {
		only string
		want map[string][]string
	}{
		{"", map[string][]string{"kept": {"kept=m"}, "a": {"a=m"}, store.UnsafeCategory: {"a/b=m", "../c=m", ".d=m"},
			store.OverflowCategory: {"b=m", "c=m"}}},
		{store.UnsafeCategory, map[string][]string{"kept": nil,
			store.UnsafeCategory: {"a=m", "a/b=m", "b=m", "../c=m", "kept=m", "c=m", ".d=m"}}},
	} {
		children := make(map[string]*memo)
		k := NewByCategory(ByCategoryOptions{Limit: 2, Only: c.only, Kept: []string{"kept"},
			Child: func(name string) *store.Child {
				if children[name] != nil {
					t.Errorf("%s is opened twice", name)
				}
				m := new(memo)
				children[name] = m
				return &store.Child{Open: func() (store.Store, error) { return m, nil }}
			}})
		if children["kept"] == nil {
			t.Error("what was kept is not there from the start")
		}
		var b proto.Batch
		for _, category := range []string{"a", "a/b", "b", "../c", "kept", "c", ".d"} {
			b.Append([]byte(category), []byte("m"))
		}
		if err := offer(t, k, &b); err != nil {
			t.Fatal(err)
		}
		for name, m := range children {
			if want, ok := c.want[name]; !ok || !slices.Equal(m.got, want) {
				t.Errorf("%s has %q, want %q", name, m.got, want)
			}
		}
		if len(children) != len(c.want) {
			t.Errorf("%d children, want %d", len(children), len(c.want))
		}
	}
}

// The status is available while a child waits for its peer.
func TestByCategoryHasAStatusWhileAChildWaits(t *testing.T) {
	peer, begun := &hanging{answer: make(chan struct{})}, make(chan struct{})
	k := NewByCategory(ByCategoryOptions{Limit: 9, Child: func(name string) *store.Child {
		return &store.Child{Open: func() (store.Store, error) {
			if name == "bad" {
				return nil, &store.StatusError{Text: "no such place", Err: errAway}
			}
			close(begun)
			return peer, nil
		}}
	}})
	var b proto.Batch
	b.Append([]byte("bad"), []byte("m"))
	b.Append([]byte("waits"), []byte("m"))
	appended, told := make(chan error, 1), make(chan string, 1)
	store.Prepare(k, &b)
	go func() { appended <- k.Append(t.Context(), &b) }()
	<-begun
	go func() { told <- store.Status(k) }()
	select {
	case got := <-told:
		if got != "no such place" {
			t.Errorf("status is %q", got)
		}
	case <-time.After(10 * time.Second):
		t.Error("the status waits for a child")
	}
	close(peer.answer)
	if err := <-appended; !errors.Is(err, errAway) {
		t.Error(err)
	}
}

// spanned is a store that records the spans it gets.
type spanned struct{ spans []proto.Span }

func (s *spanned) Append(_ context.Context, b *proto.Batch) error {
	s.spans = append(s.spans, b.Spans()...)
	return nil
}
func (s *spanned) Close() error { return nil }

// The numbers of the entries are kept, because the next hop recognizes duplicates by them.
func TestByCategoryPassesNumbersOn(t *testing.T) {
	children := make(map[string]*spanned)
	k := NewByCategory(ByCategoryOptions{Limit: 9, Child: func(name string) *store.Child {
		s := new(spanned)
		children[name] = s
		return &store.Child{Open: func() (store.Store, error) { return s, nil }}
	}})
	b := numbered("a", 7, "x", "y")
	b.AppendBatch(testkit.Batch("b", "plain"))
	b.AppendBatch(numbered("b", 3, "z"))
	b.AppendBatch(numbered("a", 9, "x"))
	if err := offer(t, k, b); err != nil {
		t.Fatal(err)
	}
	var all proto.Batch
	all.AppendBatch(numbered("a", 7, "x", "y", "x"))
	if got := children["a"].spans; !slices.Equal(got, all.Spans()) {
		t.Errorf("a got %v, want %v", got, all.Spans())
	}
	want := append([]proto.Span{{Count: 1}}, numbered("b", 3, "z").Spans()...)
	if got := children["b"].spans; !slices.Equal(got, want) {
		t.Errorf("b got %v, want %v", got, want)
	}
}

// A batch of which a part was given up, and a following batch with the same content, are two batches.
func TestTheSameAgainIsAnotherBatch(t *testing.T) {
	one, two := new(memo), &memo{fail: errors.New("away")}
	m := NewMulti(false, []*store.Child{store.OpenChild(one), store.OpenChild(two)})
	for n := range 2 {
		if err := offer(t, m, numbered("a", n, "beat")); err == nil {
			t.Fatal("one part is away, but there is no error")
		}
	}
	if !slices.Equal(one.got, []string{"a=beat", "a=beat"}) {
		t.Errorf("the part that works has %q, want both", one.got)
	}
}

// TestLateParts has a bucket that cannot be opened at first: the others get their shares, and it is opened and marked
// before it gets anything.
func TestLateParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blocked := errors.New("no such place")
		broken := false
		good, bad := new(memo), new(memo)
		late := &store.Child{Open: func() (store.Store, error) {
			if blocked != nil {
				return nil, blocked
			}
			return keeping{bad, &broken}, nil
		}}
		k := NewBucket(BucketOptions{Kind: "key_hash", Delimiter: ':'}, []*store.Child{store.OpenChild(good), late})
		var b proto.Batch
		b.Append([]byte("c"), []byte("no key"))
		b.Append([]byte("c"), []byte("1:x"))
		var part *store.PartialError
		if err := offer(t, k, &b); !errors.As(err, &part) || part.Left != 1 || !errors.Is(err, blocked) ||
			store.Status(k) != "no such place" {
			t.Fatalf("error is %v, status %q", err, store.Status(k))
		}
		blocked = nil
		if store.Prepare(k, &b); store.Status(k) == "" {
			t.Fatal("it was tried again at once")
		}
		time.Sleep(time.Second)
		for range 2 {
			if !store.Prepare(k, &b) || len(bad.got) > 0 {
				t.Fatalf("what was opened need not be marked; it has %q", bad.got)
			}
		}
		if err := store.Mark(k, new(store.Marks)); err != nil {
			t.Fatal(err)
		}
		if err := offer(t, k, &b); err != nil || store.Status(k) != "" {
			t.Fatalf("error is %v, status %q", err, store.Status(k))
		}
		if !slices.Equal(good.got, []string{"c=no key"}) || !slices.Equal(bad.got, []string{"c=1:x"}) {
			t.Errorf("they have %q and %q", good.got, bad.got)
		}
		broken = true
		b.Append([]byte("c"), []byte("1:y"))
		if err := offer(t, k, &b); !errors.Is(err, store.ErrBroken) {
			t.Errorf("error is %v, want that of all", err)
		}
	})
}

// keeping is a memo that is a Keeper and can break.
type keeping struct {
	*memo
	broken *bool
}

func (k keeping) Append(ctx context.Context, b *proto.Batch) error {
	if *k.broken {
		return store.ErrBroken
	}
	return k.memo.Append(ctx, b)
}
func (keeping) Mark(*store.Marks) error      { return nil }
func (keeping) Publish(*faultfs.Later) error { return nil }

func TestAtolEndsAtTheLimits(t *testing.T) {
	for text, want := range map[string]int64{"": 0, " 12x": 12, "-7": -7, "+3": 3, "x1": 0,
		"99999999999999999999": math.MaxInt64, "-99999999999999999999": math.MinInt64} {
		if got := atol([]byte(text)); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
}
