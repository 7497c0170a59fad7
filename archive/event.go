package archive

import (
	"bytes"
	"time"

	"inkwell/archive/format"
)

// EventTime says that Since and Until of a Query are meant of the times that stand in the lines.
type EventTime struct {
	Format string        // by which the time is found; "" = by arrival, as always
	Slack  time.Duration // how much earlier or later than its own time a line may have come in
}

// events passes on the lines of a file whose own times are wanted. A line without one goes with that before it, as those
// of a stack trace do; before the first time, all are wanted that are near enough.
type events struct {
	since, until time.Time
	use          func(*Chunk) error
	reader       *format.Reader
	times        format.Times
	lines        Lines
	last         *Chunk // the one that came last
	at           int64  // of the content, where the line begins that has no end yet; -1 = not known
	wanted       bool   // the line before is
}

// widen makes room for the slack in the times at which blocks came in.
func (q *Query) widen() error {
	if q.Event.Format == "" {
		return nil
	}
	if _, err := format.New(q.Event.Format, []string{"time"}); err != nil {
		return err
	}
	q.eventSince, q.eventUntil = q.Since, q.Until
	if !q.Since.IsZero() {
		q.Since = q.Since.Add(-q.Event.Slack)
	}
	if !q.Until.IsZero() {
		q.Until = q.Until.Add(q.Event.Slack)
	}
	return nil
}

// events is nil if the times of lines do not matter.
func (q *Query) events(use func(*Chunk) error) *events {
	if q.Event.Format == "" {
		return nil
	}
	reader, _ := format.New(q.Event.Format, []string{"time"}) // which was made before
	return &events{since: q.eventSince, until: q.eventUntil, use: use, reader: reader, wanted: true}
}

// add passes on what is wanted of a chunk.
func (e *events) add(c *Chunk) error {
	own := *c
	if e.last == nil || len(e.lines.carry) == 0 {
		e.at = c.Raw
	}
	e.last = &own
	return e.filter(e.lines.Add(c.Data))
}

// end passes on a last line that has no end.
func (e *events) end() error {
	return e.filter(e.lines.Rest())
}

// filter passes on runs of lines that are wanted.
func (e *events) filter(text []byte) error {
	from := 0
	for at := 0; at < len(text); {
		end := len(text)
		if k := bytes.IndexByte(text[at:], '\n'); k >= 0 {
			end = at + k + 1
		}
		before := e.wanted
		if values, ok := e.reader.Read(withoutEnd(text[at:end])); ok {
			if own := e.times.Read(values[0]); !own.IsZero() {
				e.wanted = !own.Before(e.since) && (e.until.IsZero() || !own.After(e.until))
			}
		}
		if before && !e.wanted {
			if err := e.pass(text, from, at); err != nil {
				return err
			}
		}
		if !before && e.wanted {
			from = at
		}
		at = end
	}
	if e.wanted {
		if err := e.pass(text, from, len(text)); err != nil {
			return err
		}
	}
	if e.at >= 0 {
		e.at += int64(len(text))
	}
	return nil
}

// pass gives a part of a text to use.
func (e *events) pass(text []byte, from, to int) error {
	if from == to {
		return nil
	}
	c := *e.last
	if c.Data, c.Raw = text[from:to:to], e.at; c.Raw >= 0 {
		c.Raw += int64(from)
	}
	return e.use(&c)
}
