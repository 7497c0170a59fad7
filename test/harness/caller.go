package harness

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

// Caller sends the numbered lines of one source in Log calls, and notes of each call how often it was sent and whether
// it was answered. The first fields are set before Run; the results are read after it, Answered at any time.
//
// A caller never sends a call again, so that whatever is there twice was doubled by the server. One that is Stubborn
// sends a call until it is answered OK, as old clients do.
type Caller struct {
	Addr, Source, Category string
	Stubborn               bool
	Most                   int           // lines of a call; calls have 1 to Most of them, in turn
	Pause                  time.Duration // before each call

	Answered atomic.Int64 // calls that were answered OK
	Calls    []Call
	Later    int // answers TRY_LATER
	Lost     int // calls, or answers to them, that were lost
}

// Call is one Log call.
type Call struct {
	Run
	Sent  int  // how often
	Acked bool // it was answered OK
}

// Run makes calls until stop is closed. After that a stubborn caller finishes its last call, for as long as ctx lasts.
func (c *Caller) Run(ctx context.Context, stop <-chan struct{}) {
	var conn *Scribe
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	pause := c.Pause
	for again := false; c.waits(ctx, stop, again, pause); {
		if conn == nil {
			var err error
			if conn, err = DialScribe(c.Addr); err != nil {
				conn, pause = nil, max(c.Pause, 5*time.Millisecond)
				continue
			}
			pause = c.Pause
		}
		if !again {
			c.Calls = append(c.Calls, Call{Run: Run{First: c.Next(), Lines: 1 + len(c.Calls)*31%c.Most}})
		}
		call := &c.Calls[len(c.Calls)-1]
		call.Sent++
		switch code, err := conn.Log(Entries(c.Category, c.Source, call.First, call.end())...); {
		case err != nil:
			c.Lost++
			conn.Close()
			conn = nil
		case code != OK:
			c.Later++
		default:
			call.Acked = true
			c.Answered.Add(1)
		}
		again = c.Stubborn && !call.Acked
	}
}

// waits makes the pause before a call, and reports whether it is to be made.
func (c *Caller) waits(ctx context.Context, stop <-chan struct{}, again bool, pause time.Duration) bool {
	select {
	case <-stop:
		if !again {
			return false
		}
	default:
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// Next returns the number of the next line.
func (c *Caller) Next() int {
	if len(c.Calls) == 0 {
		return 0
	}
	return c.Calls[len(c.Calls)-1].end()
}

// Found is what became of the calls of a Caller.
type Found struct {
	Lines   int // of calls that were answered OK
	Missing int // of these
	Resent  int // lines that are there again because they were sent again
	Doubled int // lines that are there more often than they were sent
}

// Judge fails the test unless every call is there whole or not at all, at least once if it was answered OK, and no more
// often than it was sent; and, if nothing was sent again, the lines are in order.
func (c *Caller) Judge(tb testing.TB, a *Account) (f Found) {
	tb.Helper()
	for _, call := range c.Calls {
		n := a.Count(call.First)
		for seq := call.First; seq < call.end(); seq++ {
			if a.Count(seq) != n {
				tb.Errorf("%s: line %d is there %d times, the first of its call %d times: a call is taken whole or "+
					"not at all",
					c.Source, seq, a.Count(seq), n)
				return f
			}
		}
		if call.Acked {
			f.Lines += call.Lines
			if n == 0 {
				f.Missing += call.Lines
			}
		}
		f.Resent += call.Lines * max(0, min(n, call.Sent)-1)
		f.Doubled += call.Lines * max(0, n-call.Sent)
	}
	if f.Missing > 0 || f.Doubled > 0 {
		tb.Errorf("%s: of %d acknowledged lines %d are missing, %d are there more often than they were sent: %v",
			c.Source,
			f.Lines, f.Missing, f.Doubled, a.Resent[:min(len(a.Resent), 10)])
	}
	if a.Late > 0 && !c.Stubborn {
		tb.Errorf("%s: %d lines are out of order", c.Source, a.Late)
	}
	if f.Lines == 0 {
		tb.Errorf("%s: no call was answered OK", c.Source)
	}
	return f
}
