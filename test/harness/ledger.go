package harness

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"
)

// Ledger counts the lines of every source in the output, and checks their order.
type Ledger struct {
	sources map[string]*Account
	foreign []error // lines that nobody sent
	lines   int
}

// Account is the part of one source.
type Account struct {
	Seen   []uint8 // how often, by number
	Lines  int     // that came, repetitions included
	Twice  int     // lines beyond the first of a number
	Late   int     // lines that came after one with a higher number for the first time: out of order
	Resent []Run   // where the order went back to a number that had come before
	top    int     // the highest number + 1
	last   int     // the number of the line before
}

// Run is a sequence of consecutive lines that came again.
type Run struct{ First, Lines int }

// NewLedger returns an empty ledger.
func NewLedger() *Ledger { return &Ledger{sources: make(map[string]*Account)} }

// add records one line.
func (l *Ledger) add(line []byte) {
	l.lines++
	source, seq, err := ParseLine(line)
	if err != nil {
		if len(l.foreign) < 20 {
			l.foreign = append(l.foreign, fmt.Errorf("line %d: %w", l.lines, err))
		}
		return
	}
	a := l.Of(source)
	a.add(seq)
}

// Of returns the account of a source.
func (l *Ledger) Of(source string) *Account {
	a := l.sources[source]
	if a == nil {
		a = &Account{last: -1}
		l.sources[source] = a
	}
	return a
}

// Lines returns the number of lines.
func (l *Ledger) Lines() int { return l.lines }

func (a *Account) add(seq int) {
	if seq >= len(a.Seen) {
		a.Seen = append(a.Seen, make([]uint8, seq+1+seq/2-len(a.Seen))...)
	}
	a.Lines++
	again := a.Seen[seq] > 0
	a.Seen[seq] = min(a.Seen[seq]+1, 255)
	switch {
	case again:
		a.Twice++
		if seq != a.last+1 || len(a.Resent) == 0 || a.Resent[len(a.Resent)-1].end() != seq {
			a.Resent = append(a.Resent, Run{First: seq})
		}
		a.Resent[len(a.Resent)-1].Lines++
	case seq < a.top:
		a.Late++
	}
	a.top = max(a.top, seq+1)
	a.last = seq
}

func (r Run) end() int { return r.First + r.Lines }

// Count returns how often the line with a number came.
func (a *Account) Count(seq int) int {
	if seq >= len(a.Seen) {
		return 0
	}
	return int(a.Seen[seq])
}

// missing returns a few of the numbers below n that did not come, and how many are missing in all.
func (a *Account) missing(n int) (some []int, all int) {
	for seq := range n {
		if a.Count(seq) == 0 {
			all++
			if len(some) < 10 {
				some = append(some, seq)
			}
		}
	}
	return some, all
}

// Known fails the test if there are lines that nobody sent, or sources other than those wanted.
func (l *Ledger) Known(tb testing.TB, wanted func(source string) bool) {
	tb.Helper()
	for _, err := range l.foreign {
		tb.Error(err)
	}
	for _, source := range slices.Sorted(maps.Keys(l.sources)) {
		if !wanted(source) {
			tb.Errorf("%d lines of source %s, which is none of these", l.sources[source].Lines, source)
		}
	}
}

// All fails the test unless lines 0 … n-1 of the source and no others came, and came in this order for the first time.
func (l *Ledger) All(tb testing.TB, source string, n int) {
	tb.Helper()
	a := l.Of(source)
	if some, all := a.missing(n); all > 0 {
		tb.Errorf("source %s: %d of %d lines are missing: %v …", source, all, n, some)
	}
	if a.top > n {
		tb.Errorf("source %s: line %d came, but only %d were sent", source, a.top-1, n)
	}
	if a.Late > 0 {
		tb.Errorf("source %s: %d lines are out of order", source, a.Late)
	}
}

// Exactly fails the test unless the ledger has lines 0 … n-1 of every source exactly once, in order, and nothing else.
func (l *Ledger) Exactly(tb testing.TB, want map[string]int) {
	tb.Helper()
	l.Known(tb, func(source string) bool { _, ok := want[source]; return ok })
	for _, source := range slices.Sorted(maps.Keys(want)) {
		l.All(tb, source, want[source])
		if a := l.Of(source); a.Twice > 0 {
			tb.Errorf("source %s: %d lines came twice: %v", source, a.Twice, a.Resent[:min(len(a.Resent), 10)])
		}
	}
}

// Bytes adds all lines of data.
func (l *Ledger) Bytes(data []byte) {
	for line := range bytes.Lines(data) {
		l.add(line)
	}
}
