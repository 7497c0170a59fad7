package collector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"inkwell/internal/access"
	"inkwell/internal/config"
	"inkwell/internal/rpc"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store/books"
)

// taking is a handler that notes what it gets.
type taking struct {
	code    proto.ResultCode
	calls   int
	entries []string
	spans   []proto.Span
	refused int64 // that were accounted for
}

func (h *taking) Log(_ context.Context, b *proto.Batch) (proto.ResultCode, error) {
	h.calls++
	for c := b.Cursor(); c.Next(); {
		h.entries = append(h.entries, string(c.Category())+"="+string(c.Message()))
	}
	h.spans = append(h.spans, b.Spans()...)
	return h.code, nil
}

func (h *taking) account(list []books.Refusal) {
	for _, r := range list {
		h.refused += r.Entries
	}
}

// gated is a gate before h.
func gated(t *testing.T, o Options, h taker, rules ...access.Rule) *gate {
	t.Helper()
	allow, err := access.Parse(rules)
	if err != nil {
		t.Fatal(err)
	}
	o.Stats = stats.New()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	g := newGate(o)
	g.to = h
	g.rules.Store(allow)
	return g
}

// by is the context of a call from addr.
func by(addr string) context.Context {
	return access.NewContext(context.Background(), &access.Caller{Identity: access.Identity{Addr: netip.MustParseAddr(addr)}})
}

func TestGate(t *testing.T) {
	stream := [16]byte{1}
	numbered := func(pairs ...string) *proto.Batch { // but for the last entry
		b := batch(pairs...)
		b.AppendSpan(proto.Span{Stream: stream, First: 100, Count: 2})
		b.AppendSpan(proto.Span{Count: 1})
		b.AppendSpan(proto.Span{Stream: stream, First: 500, Count: int32(len(pairs)/2) - 4})
		return b
	}
	rule := access.Rule{From: "10.0.0.0/8", Categories: "web.* mail"}
	all := []string{"web.a", "1", "other", "2", "mail", "3", "mail", "4", "web.b", "5", "web.b", "6", "web.b", "7"}
	spans := []proto.Span{{Stream: stream, First: 100, Count: 1}, {Count: 1}, {Stream: stream, First: 500, Count: 3}}
	tests := []struct {
		name         string
		from         string
		rules        []access.Rule
		limit        int
		batch        *proto.Batch
		entries      []string
		spans        []proto.Span
		denied, long int64
	}{
		{"no rules", "192.0.2.1", nil, 0, batch("x", "1"), []string{"x=1"}, nil, 0, 0},
		{"all allowed", "10.1.1.1", []access.Rule{rule}, 0, batch("web.x", "1", "mail", "2"), []string{"web.x=1", "mail=2"}, nil, 0, 0},
		{"some allowed", "10.1.1.1", []access.Rule{rule}, 0, numbered(all...), []string{"web.a=1", "mail=3", "mail=4", "web.b=5", "web.b=6", "web.b=7"}, spans, 1, 0},
		{"none allowed", "192.0.2.1", []access.Rule{rule}, 0, batch("web.x", "1", "mail", "2"), nil, nil, 2, 0},
		{"long", "192.0.2.1", nil, 4, batch("x", "1", "x", "12345", "y", "1234"), []string{"x=1", "y=1234"}, nil, 0, 1},
		{"long and not allowed", "10.1.1.1", []access.Rule{rule}, 4, batch("x", "12345", "mail", "12345", "mail", "1"), []string{"mail=1"}, nil, 1, 1},
		{"a long call of short ones", "10.1.1.1", []access.Rule{rule}, 4, batch("mail", "1", "mail", "1234"), []string{"mail=1", "mail=1234"}, nil, 0, 0},
		{"an empty call", "192.0.2.1", []access.Rule{rule}, 4, batch(), nil, nil, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := new(taking)
			g := gated(t, Options{Limits: Limits{MaxMessage: tt.limit}}, h, tt.rules...)
			for range 2 { // with what the first call left in the pool
				*h = taking{}
				if code, err := g.Log(by(tt.from), tt.batch); code != proto.OK || err != nil {
					t.Fatal(code, err)
				}
				if diff := cmp.Diff(tt.entries, h.entries) + cmp.Diff(tt.spans, h.spans); diff != "" {
					t.Error(diff)
				}
				if h.refused != tt.denied+tt.long {
					t.Errorf("%d are accounted for, want %d", h.refused, tt.denied+tt.long)
				}
			}
			if g.denied.Load() != 2*tt.denied || g.long.Load() != 2*tt.long {
				t.Errorf("denied %d, long %d", g.denied.Load(), g.long.Load())
			}
		})
	}
	h := &taking{code: proto.TryLater}
	g := gated(t, Options{}, h, rule)
	if code, err := g.Log(by("10.0.0.1"), batch("x", "1", "mail", "2")); code != proto.TryLater || err != nil || g.denied.Load()+h.refused != 0 {
		t.Errorf("%v %v, counted %d: such a call comes again", code, err, g.denied.Load())
	}
}

func TestGateAllocatesNothing(t *testing.T) {
	if raceEnabled {
		return // the detector drops what is pooled on purpose
	}
	g := gated(t, Options{Limits: Limits{MaxMessage: 3}}, quiet{}, access.Rule{From: "10.0.0.0/8", Categories: "a"})
	b, ctx := batch("a", "1", "b", "2", "a", "12345"), by("10.0.0.1")
	if n := testing.AllocsPerRun(1000, func() { g.Log(ctx, b) }); n >= 1 {
		t.Errorf("%v allocations a call", n)
	}
}

type quiet struct{}

func (quiet) Log(context.Context, *proto.Batch) (proto.ResultCode, error) { return proto.OK, nil }
func (quiet) account([]books.Refusal)                                     {}

func TestControlIsForThoseWhoMay(t *testing.T) {
	rule := access.Rule{From: "192.0.2.1", Control: true}
	for _, tt := range []struct {
		name string
		ctx  context.Context
		may  bool
	}{
		{"loopback", by("127.0.0.1"), true}, {"unix", access.NewContext(context.Background(), &access.Caller{Identity: access.Identity{Unix: new(access.Peer)}}), true},
		{"by rule", by("192.0.2.1"), true}, {"a stranger", by("203.0.113.9"), false}, {"nobody knows", context.Background(), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			g := gated(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, nil, rule)
			set := stats.New()
			c := newControl(taken(t, set, t.TempDir()), set, "")
			c.gate = g
			setErr := c.SetOption(tt.ctx, "k", "v")
			if v, err := c.GetOption(tt.ctx, "k"); (setErr == nil) != tt.may || (v == "v") != tt.may || err != nil {
				t.Errorf("set: %v, got %q %v", setErr, v, err)
			}
			for range 3 {
				if err := c.Reinitialize(tt.ctx); err != nil {
					t.Error(err)
				}
				if err := c.Shutdown(tt.ctx); err != nil {
					t.Error(err)
				}
			}
			stopped := false
			select {
			case <-c.shutdown:
				stopped = true
			default:
			}
			want := int64(7)
			if tt.may {
				want = 0
			}
			if n := g.uncontrolled.Load(); stopped != tt.may || n != want || strings.Count(log.String(), "\n") != int(min(want, 1)) {
				t.Errorf("stopped %v, counted %d, log %s", stopped, n, log.String())
			}
		})
	}
}

// The rules of a configuration hold for connections that stand when it is read again.
func TestRulesAreReloaded(t *testing.T) {
	dir := t.TempDir()
	text := func(rule string) string {
		return "inkwell 1\n" + rule + "<store>\ncategory=default\ntype=file\nfile_path=" + dir + "\n</store>\n"
	}
	rules := text("<allow>\nfrom=loopback\ncategories=a\n</allow>\n")
	load := func() *config.Config { return config.Load("test.conf", []byte(rules)) }
	c, stop := launch(t, Options{Load: load})
	client := dial(t, c)
	send := func() {
		t.Helper()
		if code, err := client.Log(context.Background(), []*proto.Batch{batch("a", "1\n", "b", "2\n")}); code != proto.OK || err != nil {
			t.Fatal(code, err)
		}
	}
	send()
	if got := c.stats.Get("scribe_overall:refused not allowed"); got != 1 {
		t.Errorf("refused %d", got)
	}
	rules = text("<allow>\nfrom=loopback\ncategories=b\n</allow>\n<allow>\nfrom=10.0.0.0/8\ncategories=a\n</allow>\n")
	if err := c.Reload(); err != nil {
		t.Fatal(err)
	}
	send()
	for _, broken := range []string{"<allow>\nfrom=loopback\n</allow>\n", "<alow>\nfrom=loopback\ncategories=a\n</alow>\n", "<allow>\nform=loopback\ncategories=a\n</allow>\n"} {
		rules = text(broken)
		if err := c.Reload(); err == nil {
			t.Errorf("taken: %s", broken)
		}
	}
	send()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, category := range []string{"a", "b"} {
		data, err := os.ReadFile(filepath.Join(dir, category, category+"_00000"))
		if err != nil {
			t.Fatal(err)
		}
		got[category] = string(data)
	}
	if diff := cmp.Diff(map[string]string{"a": "1\n", "b": "2\n2\n"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestListenSaysWhatIsMissing(t *testing.T) {
	for want, o := range map[string]Options{
		"give tls_cert and tls_key": {Listen: []string{"127.0.0.1:0", "tls://127.0.0.1:0"}},
		"want HOST:PORT":            {Listen: []string{"tls:/127.0.0.1:0"}},
		"no such file":              {Listen: []string{"tls://127.0.0.1:0"}, TLS: rpc.TLSFiles{Cert: "/none", Key: "/none"}},
	} {
		o.Load, o.StateDir = filesIn(t.TempDir()), t.TempDir()
		if c, err := Open(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v %v, want an error with %q", c, err, want)
		}
	}
}

// A unix socket takes the place of one that a former run left, of nothing else, and every user who has the way to it
// may connect.
func TestUnixSockets(t *testing.T) {
	dir := t.TempDir()
	open := func(path string) error {
		c, err := Open(Options{Listen: []string{"unix:" + path}, Load: filesIn(t.TempDir()), StateDir: t.TempDir()})
		if err == nil {
			info, statErr := os.Lstat(path)
			if statErr != nil || info.Mode() != fs.ModeSocket|0o666 {
				t.Errorf("%s: %v, %v", path, info, statErr)
			}
			err = c.release()
		}
		return err
	}
	left := filepath.Join(dir, "left")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: left, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if err := open(left); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a socket on which somebody listens: %v", err)
	}
	ln.SetUnlinkOnClose(false)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(left); err != nil {
		t.Errorf("a socket that was left: %v", err)
	}

	file, link, fifo := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "fifo")
	if err := errors.Join(os.WriteFile(file, []byte("precious"), 0o600), os.Symlink(file, link), syscall.Mkfifo(fifo, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link, fifo} {
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := open(path); err == nil || !strings.Contains(err.Error(), "no socket") {
			t.Errorf("%s: %v", path, err)
		}
		if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) || after.Mode() != before.Mode() {
			t.Errorf("%s has changed: %v, %v", path, after, err)
		}
	}
	for want, path := range map[string]string{"can have 107": filepath.Join(dir, strings.Repeat("x", 120)), "want unix:PATH": "@abstract"} {
		if err := open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// What those who may set options make the server remember is bounded; what is known can always be changed.
func TestOptionsAreBounded(t *testing.T) {
	set := stats.New()
	c := newControl(taken(t, set, t.TempDir()), set, "")
	c.gate = gated(t, Options{}, nil)
	ctx := by("127.0.0.1")
	for i := range maxOptions + 10 {
		if err := c.SetOption(ctx, fmt.Sprint(i), "v"); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.SetOption(ctx, "0", "changed"); err != nil {
		t.Fatal(err)
	}
	all, err := c.GetOptions(ctx)
	if err != nil || len(all) != maxOptions || all["0"] != "changed" || all[fmt.Sprint(maxOptions)] != "" {
		t.Errorf("%d options, the first is %q, %v", len(all), all["0"], err)
	}
}
