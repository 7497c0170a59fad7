package collector

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/access"
	"inkwell/internal/rpc"
	"inkwell/proto"
	"inkwell/store/books"
)

// taker gets what the gate lets through. It is the intake.
type taker interface {
	rpc.Handler
	// account records refused entries for audits.
	account([]books.Refusal)
}

// gate stands between the server and the intake. It lets through the entries that the caller may write and that are not
// too long, and decides who may control the server. Refused entries are dropped, counted and answered OK, because they
// would be refused again. Safe for concurrent use.
type gate struct {
	to         taker
	log        *slog.Logger
	maxMessage int // bytes, 0 = no limit
	rules      atomic.Pointer[access.Rules]
	passes     sync.Pool                    // *pass
	reports    func(*access.Caller, []byte) // gets the reports of callers that may write something; may be nil

	denied, long, uncontrolled *atomic.Int64
	said                       [3]atomic.Int64 // when each of the events below was last logged, in Unix seconds
}

// The events that are logged at most once a minute.
const (
	saidDenied = iota
	saidLong
	saidControl
)

// maxCategory is how many bytes of its category an entry may have beside the longest message.
const maxCategory = 32 << 10

// pass is the data of one call; it is reused.
type pass struct {
	runs    []proto.Run
	allowed []bool // of the runs
	kept    proto.Batch
	dropped []books.Refusal
}

// drop adds a refused entry to list, which aliases category.
func drop(list []books.Refusal, category []byte, s proto.Span, why string) []books.Refusal {
	if k := len(list) - 1; k >= 0 {
		l := &list[k]
		next := l.Stream == s.Stream && (s.Stream == [16]byte{} || l.First+l.Entries == s.First)
		if next && l.Why == why && string(l.Category) == string(category) {
			l.Entries++
			return list
		}
	}
	return append(list, books.Refusal{Category: category, Stream: s.Stream, First: s.First, Entries: 1, Why: why})
}

func newGate(o Options) *gate {
	return &gate{
		log: o.Logger, maxMessage: o.Limits.MaxMessage, passes: sync.Pool{New: func() any { return new(pass) }},
		denied: o.Stats.Overall("refused not allowed"), long: o.Stats.Overall("refused message size"),
		uncontrolled: o.Stats.Overall("refused control"),
	}
}

// Log passes on the entries that are allowed. It implements rpc.Handler.
func (g *gate) Log(ctx context.Context, b *proto.Batch) (proto.ResultCode, error) {
	rules := g.rules.Load()
	if text := b.Report(); text != nil && g.reports != nil && rules.MayWrite(access.FromContext(ctx)) {
		g.reports(access.FromContext(ctx), text)
	}
	long := g.hasLong(b)
	if rules == nil && !long {
		return g.to.Log(ctx, b)
	}
	p := g.passes.Get().(*pass)
	defer g.passes.Put(p)
	p.runs, p.allowed = b.AppendRuns(p.runs[:0]), p.allowed[:0]
	var denied int64
	caller := access.FromContext(ctx)
	for _, r := range p.runs {
		ok := rules.Allows(caller, r.Category)
		p.allowed = append(p.allowed, ok)
		if !ok {
			denied += int64(r.Count)
		}
	}
	if denied == 0 && !long {
		return g.to.Log(ctx, b)
	}
	tooLong := g.filter(p, b)
	if denied+tooLong == 0 {
		return g.to.Log(ctx, b)
	}
	code, err := proto.OK, error(nil)
	if p.kept.Count() > 0 {
		code, err = g.to.Log(ctx, &p.kept)
	}
	if code == proto.OK && err == nil { // otherwise the client sends the call again
		rpc.Throw(ctx, denied+tooLong)
		g.tell(caller, denied, tooLong)
		g.to.account(p.dropped)
	}
	return code, err
}

// hasLong says whether b has an entry that is over the limit. It copies nothing, as filter does.
func (g *gate) hasLong(b *proto.Batch) bool {
	if g.maxMessage == 0 || b.Size() <= g.maxMessage {
		return false
	}
	for c := b.Cursor(); c.Next(); {
		if !g.fits(c.Category(), c.Message()) {
			return true
		}
	}
	return false
}

// fits says whether an entry is within the limit.
func (g *gate) fits(category, message []byte) bool {
	return g.maxMessage == 0 || len(message) <= g.maxMessage && len(message)+len(category) <= g.maxMessage+maxCategory
}

// filter puts the entries of b that pass into p.kept, with their numbers. It returns how many of the allowed ones are
// too long.
func (g *gate) filter(p *pass, b *proto.Batch) (long int64) {
	p.kept.Reset()
	p.kept.ShareNamings(b)
	p.dropped = p.dropped[:0]
	cur := b.Cursor()
	for i, r := range p.runs {
		for range r.Count {
			cur.Next()
			fits := g.fits(r.Category, cur.Message())
			if p.allowed[i] && !fits {
				long++
			}
			switch {
			case !p.allowed[i]:
				p.dropped = drop(p.dropped, r.Category, cur.Number(), "not allowed")
				continue
			case !fits:
				p.dropped = drop(p.dropped, r.Category, cur.Number(), "message too long")
				continue
			}
			p.kept.AppendFrom(&cur, cur.Message())
		}
	}
	return long
}

// tell counts the refused entries, and logs them once a minute.
func (g *gate) tell(caller *access.Caller, denied, long int64) {
	g.denied.Add(denied)
	g.long.Add(long)
	if denied > 0 && g.due(saidDenied) {
		g.log.Warn("entries are dropped: no rule allows this peer to write their category",
			"peer", peerName(caller), "entries", denied)
	}
	if long > 0 && g.due(saidLong) {
		g.log.Warn("entries are dropped: their messages are too long",
			"peer", peerName(caller), "entries", long, "limit", g.maxMessage)
	}
}

// controls says whether the caller may stop or reload the server, or set options; a refusal is counted, and logged once
// a minute.
func (g *gate) controls(ctx context.Context, what string) bool {
	caller := access.FromContext(ctx)
	if g.rules.Load().MayControl(caller) {
		return true
	}
	g.uncontrolled.Add(1)
	if g.due(saidControl) {
		g.log.Warn("refused: only this machine, or a peer of an <allow> block with control=yes, may do that",
			"call", what, "peer", peerName(caller))
	}
	return false
}

// due says whether an event may be logged now, and notes that it was.
func (g *gate) due(what int) bool {
	now := time.Now().Unix()
	last := g.said[what].Load()
	return now-last >= 60 && g.said[what].CompareAndSwap(last, now)
}

func peerName(c *access.Caller) string {
	if c == nil {
		return "unknown"
	}
	return c.String()
}
