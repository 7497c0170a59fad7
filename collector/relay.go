package collector

import (
	"context"
	"encoding/json"
	"path/filepath"
	"time"

	"inkwell/internal/fleet"
	"inkwell/proto"
	"inkwell/store/hop"
)

// relay reports the state of a collector that sends entries on to the next hops that have shown that they are an
// Inkwell: as soon as there is one, then every ten seconds, and at the end. A collector without a network store
// reports to nobody.
type relay struct {
	c      *Collector
	report fleet.Report // the fields that do not change
}

// relayLook is the interval at which a relay looks for a next hop to report to, while there is none.
const relayLook = time.Second

// newRelay returns a relay for a collector whose intake is open.
func newRelay(c *Collector, o *Options) *relay {
	name := o.StateDir
	if abs, err := filepath.Abs(name); err == nil {
		name = abs
	}
	return &relay{c: c, report: fleet.Report{
		Host: proto.CleanText(c.intake.host, proto.MaxHost), Name: proto.CleanText(name, proto.MaxPath),
		Program: "relay", Version: o.Version, Started: time.Now(),
	}}
}

// run reports until ctx ends.
func (r *relay) run(ctx context.Context) {
	for wait := relayLook; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if wait = relayLook; r.tell() > 0 {
			wait = fleet.Every
		}
	}
}

// last sends the last report, which says that the relay has ended in good order.
func (r *relay) last() {
	r.report.Ended = true
	r.tell()
}

// tell reports to each next hop, and returns to how many.
func (r *relay) tell() int {
	if r.report.Host == "" {
		return 0 // which has been logged
	}
	return r.c.intake.inUse().peers.Report(func() []byte {
		text, err := json.Marshal(r.now(time.Now()))
		if err != nil {
			r.c.log.Debug("a report cannot be made", "error", err)
			return []byte("{}")
		}
		return text
	})
}

// now returns the complete report.
func (r *relay) now(at time.Time) fleet.Report {
	now, j := r.report, r.c.intake.journal
	now.Lag, _ = j.Backlog()
	now.OldestAge = j.Oldest(at).Seconds()
	if s := spoolStatus(r.c.intake.inUse().spools.List(), at); s != nil {
		now.SpoolBytes, now.SpoolEntries, now.SpoolAge = s.Bytes, s.Entries, s.Oldest
	}
	_, trouble := r.c.control.ready()
	now.Trouble = proto.CleanText(trouble, proto.MaxPath)
	now.Sent, now.Failed = r.c.stats.Overall("sent").Load(), r.c.stats.Overall("failed calls").Load()
	now.Dropped = r.c.stats.Overall(hop.Thrown).Load() + r.c.stats.Overall("refused").Load() +
		r.c.stats.Overall("lost").Load()
	senders := r.c.Fleet()
	now.Senders = senders.Summary(at)
	return now
}
