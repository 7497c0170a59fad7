package hop

import (
	"context"
	"slices"
	"sync"
	"testing"

	"inkwell/proto"
)

// hearing is a peer that accepts reports.
type hearing struct {
	mu    sync.Mutex
	heard []string
	calls int
}

// Log implements rpc.Handler.
func (h *hearing) Log(_ context.Context, b *proto.Batch) (proto.ResultCode, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls++
	if text := b.Report(); text != nil {
		h.heard = append(h.heard, string(text))
	}
	return proto.OK, nil
}

func (h *hearing) told() ([]string, int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.heard), h.calls
}

// numbered returns an entry with a number, in answer to which an Inkwell shows that it is one.
func numbered(number int64) *proto.Batch {
	b := entriesOf("c", "m")
	b.Number([16]byte{1}, number, 1)
	return b
}

// TestReportsAreForInkwells: a report is neither sent nor a connection made for it before a peer has shown that it is
// an Inkwell. Then reports are sent, also over a new connection after its restart, and Close waits for the last one.
func TestReportsAreForInkwells(t *testing.T) {
	h := new(hearing)
	p := startPeer(t, "", h)
	n, err := NewNetwork(NetworkOptions{Addrs: []string{p.addr}})
	if err != nil {
		t.Fatal(err)
	}
	idle := func() { n.running.Wait() } // the sender lives as long as there is something to do
	n.Report([]byte("too early"))
	idle()
	if _, calls := h.told(); calls > 0 || p.ln.accepted.Load() > 0 {
		t.Errorf("a peer that is not known was called %d times", calls)
	}
	if err := n.Append(t.Context(), entriesOf("c", "without a number")); err != nil {
		t.Fatal(err)
	}
	n.Report([]byte("not known yet"))
	idle()
	if heard, _ := h.told(); len(heard) > 0 {
		t.Errorf("a peer that has not shown what it is was told %q", heard)
	}
	if err := n.Append(t.Context(), numbered(0)); err != nil {
		t.Fatal(err)
	}
	n.Report([]byte("one"))
	idle()
	p.stop()
	n.Report([]byte("to nobody")) // finds the connection closed
	idle()
	startPeer(t, p.addr, h)
	n.Report([]byte("two"))
	idle()
	n.Report([]byte("last"))
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n.Report([]byte("after the end"))
	if heard, _ := h.told(); !slices.Equal(heard, []string{"one", "two", "last"}) {
		t.Errorf("heard %q", heard)
	}
}
