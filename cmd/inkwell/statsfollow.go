package main

import (
	"context"
	"path/filepath"
	"time"

	"inkwell/archive"
	"inkwell/archive/format"
	"inkwell/archive/tally"
)

// liveEvery is how often the table of stats -f is printed, if something came.
const liveEvery = 2 * time.Second

// liveCount is stats -f: it counts what comes from now on, or from --since on.
type liveCount struct {
	a       *app
	r       *archiveReading
	o       *statsFlags
	counter *counter
	all     []*liveSeries
	every   time.Duration // how often files are looked at
	lines   int64         // that were counted when the table was printed last
	printed bool
}

// liveSeries is a series that is followed.
type liveSeries struct {
	archive.Follower
	lines archive.Lines
}

// follow counts until ctx ends, and returns the counts.
func (a *app) follow(ctx context.Context, r *archiveReading, args []string, o *statsFlags) (*tally.Tally, error) {
	reader, err := format.New(o.format, o.fields())
	if err != nil {
		return nil, usageError{err}
	}
	l := &liveCount{a: a, r: r, o: o, every: time.Second / 4,
		counter: &counter{reader: reader, o: o, tally: new(tally.Tally)}}
	var finders []*archive.Finder
	for _, arg := range args {
		if archive.InDepot(arg) {
			return nil, usagef("-f %s: a depot has finished files only; follow the directory of the collector", arg)
		}
		abs, err := filepath.Abs(arg)
		if err != nil {
			return nil, err
		}
		finders = append(finders, &archive.Finder{Path: abs})
	}
	begin := 0 // behind what is there
	if o.since != "" {
		begin = -1
	}
	for shown := time.Now(); ctx.Err() == nil; begin = -1 { // what is there later is new
		if err := l.look(ctx, finders, begin); err != nil && ctx.Err() == nil {
			return nil, err
		}
		if now := time.Now(); !l.printed || now.Sub(shown) >= liveEvery {
			if err := l.print(); err != nil {
				return nil, err
			}
			shown = now
		}
		sleep(ctx, l.every)
	}
	return l.counter.tally, nil
}

// look counts what is new. Series that were not there before are begun behind so many of their last lines, -1 = with
// all.
func (l *liveCount) look(ctx context.Context, finders []*archive.Finder, begin int) error {
	for _, finder := range finders {
		list, err := finder.New()
		if err != nil {
			return err
		}
		for _, s := range list {
			one := &liveSeries{Follower: archive.Follower{Query: l.r.Query, Series: s}}
			if _, err := one.Begin(ctx, begin); err != nil {
				return err
			}
			l.all = append(l.all, one)
		}
	}
	l.r.Forget() // and so what the books say is read again
	for _, one := range l.all {
		err := one.Look(ctx, func(c *archive.Chunk) error {
			if text := one.lines.Add(c.Data); text != nil {
				l.counter.add(chunkText{text, c.First})
			}
			return l.r.check()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// print prints the table when it has changed, on a terminal in the place of the one before.
func (l *liveCount) print() error {
	total, err := l.counter.tally.Total()
	if err != nil || l.printed && total.Count == l.lines {
		return err
	}
	head := ""
	switch {
	case l.a.onTerminal():
		head = "\x1b[H\x1b[2J"
	case l.printed:
		head = "\n"
	}
	if _, err := l.a.output().Write([]byte(head)); err != nil {
		return err
	}
	l.printed, l.lines = true, total.Count
	return l.a.printCounts(l.counter.tally, l.o)
}
