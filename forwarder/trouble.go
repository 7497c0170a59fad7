package forwarder

import (
	"fmt"
	"time"
)

// Trouble says what is wrong with a forwarder, "" when nothing is. The next hop comes first, because nothing arrives
// without it.
func (f *Forwarder) Trouble() string {
	if text := f.hop.trouble(); text != "" {
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
func (p *Pipe) Trouble() string { return p.hop.trouble() }

// trouble says what is wrong with the way to the next hop.
func (h *nextHop) trouble() string { return h.network.Trouble() }

// details describes each address.
func (h *nextHop) details() (list []HopDetail) {
	for _, p := range h.network.Peers() {
		d := HopDetail{Address: p.Address, Inkwell: p.Inkwell}
		if !p.Connected.IsZero() {
			d.Connected = &p.Connected
		}
		if !p.Down.IsZero() {
			d.Down = &p.Down
		}
		if p.Err != nil {
			d.LastError, d.Failed = p.Err.Error(), &p.Failed
		}
		list = append(list, d)
	}
	return list
}

// spoolDetail describes the spool; nil = there is none, or another process has it.
func (h *nextHop) spoolDetail() *SpoolDetail {
	if !h.hasSpool() {
		return nil
	}
	bytes, entries := h.backlog()
	d := &SpoolDetail{Dir: h.dir.Path(), Bytes: bytes, Entries: entries}
	for _, since := range []time.Time{h.buffer.Since(), h.holds.look(int64(h.held()))} {
		if !since.IsZero() {
			d.Age = max(d.Age, time.Since(since))
		}
	}
	return d
}
