package collector

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"inkwell/internal/access"
	"inkwell/internal/faultfs"
	"inkwell/internal/fleet"
	"inkwell/internal/stats"
	"inkwell/internal/status"
	"inkwell/store"
)

const (
	fleetName  = "fleet"     // of the file in the state directory
	fleetEvery = time.Minute // between two saves, unless somebody came or ended:
	fleetSoon  = time.Second // then it is no longer than that
)

// muster keeps the fleet: it hears reports, and saves what was heard once a minute, when somebody came or ended, and at
// the end.
type muster struct {
	table fleet.Table
	file  store.StateFile
	log   *slog.Logger
	done  chan struct{}
	saver sync.WaitGroup
}

// openMuster reads what a former process knew. The state directory belongs to the collector by now.
func openMuster(o *Options) (*muster, error) {
	dir, err := faultfs.OpenBeneath(o.StateRoot, o.StateDir, o.tuning.injector)
	if err != nil {
		return nil, fmt.Errorf("open state directory %s for the fleet: %w", o.StateDir, err)
	}
	m := &muster{file: store.StateFile{Dir: dir, Name: fleetName, Log: o.Logger}, log: o.Logger, done: make(chan struct{})}
	var senders []fleet.Sender
	if _, err := m.file.Load(&senders); err != nil {
		o.Logger.Warn("what was known of the senders cannot be read; they are known again when they report", "error", err)
	} else {
		m.table.Restore(senders)
	}
	for name, state := range map[string]fleet.State{"senders silent": fleet.Silent, "senders behind": fleet.Behind,
		"senders in trouble": fleet.Trouble, "senders well": fleet.Sending} {
		o.Stats.Gauge(stats.Overall+":"+name, func() int64 { return int64(m.table.Count(state, time.Now())) })
	}
	m.saver.Go(m.keep)
	return m, nil
}

func (m *muster) keep() {
	tick := time.NewTicker(fleetSoon)
	defer tick.Stop()
	for saved := time.Now(); ; {
		select {
		case now := <-tick.C:
			if m.table.News() || now.Sub(saved) >= fleetEvery {
				m.save()
				saved = now
			}
		case <-m.done:
			return
		}
	}
}

func (m *muster) save() {
	senders, changed := m.table.Changed()
	if !changed {
		return
	}
	if err := m.file.Save(senders); err != nil {
		m.log.Warn("cannot save what is known of the senders; after a restart they are known again when they report", "error", err)
	}
}

// hear takes the report of a caller that may write here.
func (m *muster) hear(caller *access.Caller, text []byte) {
	r, err := fleet.Parse(text)
	if err != nil {
		m.log.Debug("a report is not understood", "peer", peerName(caller), "error", err)
		return
	}
	m.table.Hear(peerKey(caller), r, time.Now())
}

// peerKey is who a caller is over all its connections.
func peerKey(c *access.Caller) string {
	switch {
	case c == nil:
		return "unknown"
	case c.Unix != nil:
		return fmt.Sprintf("unix uid=%d", c.Unix.UID)
	case len(c.Names) > 0:
		return c.Names[0]
	}
	return c.Addr.String()
}

// close saves what was heard and releases the directory.
func (m *muster) close() error {
	close(m.done)
	m.saver.Wait()
	m.save()
	return m.file.Dir.Close()
}

// Fleet is who sends to the collector, as far as they say so: forwarders and pipes of Inkwell.
func (c *Collector) Fleet() fleet.Status { return c.muster.table.Status(time.Now()) }

// senders are those of a fleet that have not ended, as a status tells them.
func senders(f fleet.Status) []status.Sender {
	list := make([]status.Sender, 0, len(f.Senders))
	for i := range f.Senders {
		s := &f.Senders[i]
		if s.State == fleet.Ended {
			continue
		}
		list = append(list, status.Sender{Host: s.Host, Path: s.Name, Address: s.Peer, Version: s.Version, State: string(s.State),
			Lag: s.Lag + s.SpoolBytes, Oldest: max(s.OldestAge, s.SpoolAge), LastSeen: &s.Heard, Entries: s.Sent, Trouble: s.Trouble})
	}
	return list
}

// Detail is what a collector tells of itself when it is asked by whoever may control it.
type Detail struct {
	Fleet fleet.Status `json:"fleet"`
}

// detailOption is the option under which a collector tells its Detail, as JSON; forwarders have one of the same name.
const detailOption = "inkwell.detail"

// tell is the Detail as JSON, "" for those who may not know it.
func (c *control) tell(ctx context.Context) (string, error) {
	if c.fleet == nil || !c.gate.rules.Load().Controls(access.From(ctx)) {
		return "", nil
	}
	text, err := json.Marshal(Detail{Fleet: c.fleet.table.Status(time.Now())})
	if err != nil {
		return "", fmt.Errorf("tell details: %w", err)
	}
	return string(text), nil
}
