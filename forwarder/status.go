package forwarder

import (
	"cmp"
	"context"
	"fmt"

	"inkwell/internal/status"
)

// maxInputs bounds how many files a status lists one by one.
const maxInputs = 1000

// Describe adds what only the forwarder knows to s. It waits for one second at most.
func (f *Forwarder) Describe(ctx context.Context, s *status.Status) {
	d := f.Detail(ctx)
	_, failing := f.ship.lasted()
	s.Daemon.Ready, s.Daemon.Trouble = !failing, d.Trouble
	d.describe(s)
	s.Spool = f.hop.spoolStatus()
	in := &status.Inputs{
		Count: d.Matched, Lag: d.Lag, Oldest: d.Oldest.Seconds(),
		Files: []status.Input{}, Hanging: append([]string{}, d.Hanging...),
	}
	for _, file := range d.Files[:min(len(d.Files), maxInputs)] {
		in.Files = append(in.Files, status.Input{
			Path: file.Path, Category: file.Category, Size: file.Size, Lag: file.Lag, Oldest: file.Age.Seconds(),
			State: file.State, Error: file.Error,
		})
	}
	s.Inputs = in
}

// Describe adds what only the pipe knows to s.
func (p *Pipe) Describe(ctx context.Context, s *status.Status) {
	d := p.Detail(ctx)
	s.Daemon.Ready, s.Daemon.Trouble = true, d.Trouble
	d.describe(s)
	s.Spool = p.hop.spoolStatus()
}

// describe adds the next hops to s.
func (d *Detail) describe(s *status.Status) {
	for _, h := range d.Hops {
		s.Hops = append(s.Hops, status.Hop{
			Address: h.Address, Up: h.Down == nil, Since: cmp.Or(h.Down, h.Connected), Inkwell: h.Inkwell,
			LastError: h.LastError, Failed: h.Failed,
		})
	}
}

// spoolStatus returns the state of the spool, nil if there is none.
func (h *nextHop) spoolStatus() *status.Store {
	d := h.spoolDetail()
	if d == nil {
		return nil
	}
	return &status.Store{Dir: d.Dir, Bytes: d.Bytes, Entries: d.Entries, Limit: h.o.max, Oldest: d.Age.Seconds()}
}

// Trouble says what is wrong with a forwarder, "" when nothing is. The next hop comes first, because nothing arrives
// without it.
func (f *Forwarder) Trouble() string {
	if text := f.hop.network.Trouble(); text != "" {
		return text
	}
	if _, failing := f.ship.lasted(); failing {
		return "lines cannot be handed on, neither to the next hop nor to the spool: see the log"
	}
	c := &f.follower.count
	for _, x := range []struct {
		n    int64
		text string
	}{
		{c.unreadable.Load(), "%d files or directories cannot be read: see the log"},
		{c.noRoom.Load(), "%d files wait for descriptors: raise the limit (ulimit -n)"},
		{c.hanging.Load(), "%d file systems hang: see the log"},
	} {
		if x.n > 0 {
			return fmt.Sprintf(x.text, x.n)
		}
	}
	return ""
}

// Trouble says what is wrong with a pipe, "" when nothing is.
func (p *Pipe) Trouble() string { return p.hop.network.Trouble() }
