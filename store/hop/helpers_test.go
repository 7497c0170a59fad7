package hop

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/internal/faultfs"
	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/spool"
)

func entriesOf(category string, messages ...string) *proto.Batch {
	var b proto.Batch
	for _, m := range messages {
		b.Append([]byte(category), []byte(m))
	}
	return &b
}

// quarantine opens a Quarantine and closes it at the end of the test, with to.
func quarantine(t *testing.T, to store.Store, o QuarantineOptions) *Quarantine {
	t.Helper()
	q, err := OpenQuarantine(to, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

// network opens a Network to a peer with the handler in.
func network(t *testing.T, in *inbox) *Network {
	t.Helper()
	n, err := NewNetwork(NetworkOptions{Addrs: []string{startPeer(t, "", in).addr}})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// has reports whether a message of b begins with text.
func has(b *proto.Batch, text string) bool {
	for c := b.Cursor(); c.Next(); {
		if strings.HasPrefix(string(c.Message()), text) {
			return true
		}
	}
	return false
}

// refusePoison refuses calls with a message that begins with "poison" for good.
func refusePoison(b *proto.Batch) (proto.ResultCode, error) {
	if has(b, "poison") {
		return 0, errors.New("cannot")
	}
	return proto.OK, nil
}

// recordsIn returns the messages in the spool name below dir.
func recordsIn(t *testing.T, dir, name string) (messages []string) {
	t.Helper()
	d, err := faultfs.OpenDir(filepath.Join(dir, name), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for rec, err := range spool.Records(d) {
		if err != nil {
			t.Fatal(err)
		}
		var b proto.Batch
		if err := canonical(&b, rec); err != nil {
			t.Fatal(err)
		}
		for c := b.Cursor(); c.Next(); {
			messages = append(messages, string(c.Message()))
		}
	}
	return messages
}
