package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/collector"
	"inkwell/internal/config"
	"inkwell/internal/rpc"
	"inkwell/proto"
)

// A call with refused entries comes again, because its answer was lost: missing entries beside them are reported
// nevertheless.
func TestAuditOfRefusedEntriesThatCameTwice(t *testing.T) {
	dir := t.TempDir()
	text := "inkwell 1\n<store>\ncategory=default\ntype=file\ncompress=gzip\nfile_path=" + dir + "\n</store>\n"
	c, err := collector.Open(collector.Options{Listen: []string{"127.0.0.1:0"}, StateDir: filepath.Join(dir, ".inkwell"),
		Load: func() *config.Config { return config.Load("test.conf", []byte(text)) }, Limits: collector.Limits{MaxMessage: 3}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	send := func(first int64, messages ...string) {
		t.Helper()
		b := new(proto.Batch)
		for _, m := range messages {
			b.Append([]byte("web"), []byte(m))
		}
		b.Number([16]byte{1}, first, len(messages))
		client, err := rpc.Dial(ctx, c.Addrs()[0].String(), rpc.ClientOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if code, err := client.Log(ctx, []*proto.Batch{b}); err != nil || code != proto.OK {
			t.Fatal(code, err)
		}
	}
	audit := func() result {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		return inkwell(t, nil, "audit", dir)
	}
	for range 2 { // the second time as if the answer to the first was lost
		send(0, "0", "too long", "2", "too long")
	}
	send(5, "5") // 4 is lost
	r := audit()
	if r.code != exitFailed || !strings.Contains(r.stdout, "missing 1,") || !strings.Contains(r.stdout, "4 entries refused") || strings.Contains(r.stdout, "count as refused") {
		t.Errorf("code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}
