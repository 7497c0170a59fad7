package forwarder

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"time"

	"inkwell/internal/fleet"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/store/hop"
)

// reporter sends the state of a forwarder or a pipe to the next hop, if that is an Inkwell: one second after the start,
// then every ten seconds, and at the end.
type reporter struct {
	report  fleet.Report // the fields that do not change
	network *hop.Network
	stats   *stats.Set
	detail  func(context.Context) Detail
	log     *slog.Logger
}

// firstReport is the delay of the first report: by then it is known whether the next hop is an Inkwell.
const firstReport = time.Second

// run reports until ctx ends.
func (r *reporter) run(ctx context.Context) {
	for wait := firstReport; ; wait = fleet.Every {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
			r.tell(ctx)
		}
	}
}

// last sends the last report, which says that the program has ended in good order.
func (r *reporter) last() {
	r.report.Ended = true
	r.tell(context.Background())
}

func (r *reporter) tell(ctx context.Context) {
	d, now := r.detail(ctx), r.report
	now.Files, now.Lag, now.OldestAge = d.Matched, d.Lag, d.Oldest.Seconds()
	for _, f := range d.Files {
		if f.State == fileUnreadable {
			now.Unreadable++
		}
	}
	if d.Spool != nil {
		now.SpoolBytes, now.SpoolEntries, now.SpoolAge = d.Spool.Bytes, d.Spool.Entries, d.Spool.Age.Seconds()
	}
	now.Trouble = proto.CleanText(d.Trouble, proto.MaxPath)
	now.Sent, now.Failed = r.stats.Overall("sent").Load(), r.stats.Overall("failed calls").Load()
	now.Dropped = r.stats.Overall(hop.Thrown).Load() + r.stats.Overall("refused").Load()
	text, err := json.Marshal(now)
	if err != nil {
		r.log.Debug("a report cannot be made", "err", err)
		return
	}
	r.network.Report(text)
}

// newReporter returns a reporter that reports to this hop.
func (h *nextHop) newReporter(program, version, name string) *reporter {
	if program == "forward" {
		if abs, err := filepath.Abs(name); err == nil {
			name = abs
		}
	}
	host := h.origin.source("").Clean().Host
	return &reporter{network: h.network, stats: h.o.stats, log: h.o.log, report: fleet.Report{
		Host: host, Name: proto.CleanText(name, proto.MaxPath), Program: program, Version: version,
		Started: time.Now()}}
}
