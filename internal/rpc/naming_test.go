package rpc

import (
	"context"
	"slices"
	"sync"
	"testing"

	"inkwell/proto"
)

// TestClientTellsSourcesOnce tells each stream once a connection, again after a call that was not taken, and nothing
// more to a peer that is no Inkwell.
func TestClientTellsSourcesOnce(t *testing.T) {
	var mu sync.Mutex
	var told []string
	later := true
	s := &sink{before: func(_ context.Context, b *proto.Batch) (proto.ResultCode, error) {
		mu.Lock()
		defer mu.Unlock()
		for n := range b.Namings {
			told = append(told, n.Source.String())
		}
		if later {
			return proto.TryLater, nil
		}
		return proto.OK, nil
	}}
	r := serve(t, ServerOptions{}, s, nil)
	c := client(t, r.addr, ClientOptions{Source: func(id [16]byte) (proto.Source, bool) {
		return proto.Source{Host: "h", Path: string('a' + rune(id[0]))}, id[0] != 3
	}})
	send := func(streams ...byte) {
		t.Helper()
		mu.Lock()
		told = nil
		mu.Unlock()
		b := new(proto.Batch)
		for i, id := range streams {
			b.Append([]byte("c"), []byte("m"))
			b.Number([16]byte{id, 1}, int64(i), 1)
		}
		if _, err := c.Log(t.Context(), []*proto.Batch{b}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(list ...string) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(told, list) {
			t.Errorf("told %q, want %q", told, list)
		}
	}
	send(1, 2, 1)
	want("h:b", "h:c")
	mu.Lock()
	later = false
	mu.Unlock()
	send(2, 1)
	want("h:c", "h:b")
	send(1, 3, 2)
	want()
	send(4)
	want("h:e")
	c.naming.end(true, false)
	send(5)
	want()
}
