package journal

import (
	"errors"
	"testing"
	"time"

	"inkwell/proto"
)

// The rest of a journal is what the outlets of all former runs had to deliver and did not, and it is handed over again
// until that has succeeded once. What was delivered is not in it, and is not delivered again.
func TestRest(t *testing.T) {
	l, w := joined(t)
	l.use(together, "all")
	w.write(t, l, "a", 5)
	w.write(t, l, "b", 5)
	l.j.Stop(10 * time.Second)
	l.use(but("a"), "all", "a") // the rest of both is that of two runs now
	w.write(t, l, "a", 5)
	l.j.Stop(10 * time.Second)
	l.use(but("a"), "all")
	w.write(t, l, "b", 5)
	until(t, "a is delivered", func() bool { return l.shelf.get("a") == lines("a", 0, 10) })
	l.j.Stop(10 * time.Second)
	away := errors.New("away")
	if _, err := l.j.Rest(t.Context(), func(*proto.Batch) error { return away }); !errors.Is(err, away) {
		t.Fatal(err)
	}
	got := make(map[string]string)
	take := func(b *proto.Batch) error {
		for c := b.Cursor(); c.Next(); {
			got[string(c.Category())] += string(c.Message())
		}
		return nil
	}
	for range 2 {
		if damaged, err := l.j.Rest(t.Context(), take); err != nil || damaged != 0 {
			t.Fatal(damaged, err)
		}
	}
	if got["a"] != "" || got["b"] != lines("b", 0, 10) {
		t.Errorf("the rest is %q", got)
	}
	if bytes, entries := l.j.Backlog(); bytes != 0 || entries != 0 {
		t.Errorf("the journal still has %d bytes, %d entries", bytes, entries)
	}
	l.use(but("a"))
	w.write(t, l, "a", 1)
	w.write(t, l, "b", 1)
	l.end(t)
	expect(t, l.shelf, "a", lines("a", 0, 11))
	expect(t, l.shelf, "all", lines("b", 10, 11))
}

// A state directory with a move that is not complete is opened only by the same move, which keeps its ID.
func TestMoveIsExclusive(t *testing.T) {
	dir := t.TempDir()
	openFor := func(move string) (id string, err error) {
		j, err := Open(Options{StateDir: dir, Move: move})
		if err != nil {
			return "", err
		}
		return j.MoveID(), j.Close()
	}
	first, err := openFor("the journal to topic a")
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"", "the journal to topic b"} {
		if _, err := openFor(other); err == nil {
			t.Errorf("%q opens it", other)
		}
	}
	again, err := openFor("the journal to topic a")
	if err != nil || again != first || len(first) != 32 {
		t.Errorf("IDs %q and %q, %v", first, again, err)
	}
	j, err := Open(Options{StateDir: dir, Move: "the journal to topic a"})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.EndMove(), j.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := openFor(""); err != nil {
		t.Error(err)
	}
}
