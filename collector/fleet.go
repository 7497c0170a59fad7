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
	fleetName  = "fleet"     // the file in the state directory
	fleetEvery = time.Minute // between two saves …
	fleetSoon  = time.Second // … or this, after a sender has appeared or ended
)

// roster knows the senders by their reports. It saves what it knows once a minute, when a sender appears or ends, and
// when it is closed.
type roster struct {
	table fleet.Table
	file  store.StateFile
	log   *slog.Logger
	done  chan struct{}
	saver sync.WaitGroup
}

// openRoster reads what a former process has saved. The collector must hold the lock of the state directory.
func openRoster(o *Options) (*roster, error) {
	dir, err := faultfs.OpenBeneath(o.StateRoot, o.StateDir, o.tuning.injector)
	if err != nil {
		return nil, fmt.Errorf("open state directory %s for the fleet: %w", o.StateDir, err)
	}
	m := &roster{file: store.StateFile{Dir: dir, Name: fleetName, Log: o.Logger}, log: o.Logger,
		done: make(chan struct{})}
	var senders []fleet.Sender
	if _, err := m.file.Load(&senders); err != nil {
		o.Logger.Warn("what was known of the senders cannot be read; they are known again when they report",
			"error", err)
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

func (m *roster) keep() {
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

func (m *roster) save() {
	senders, changed := m.table.Changed()
	if !changed {
		return
	}
	if err := m.file.Save(senders); err != nil {
		m.log.Warn("cannot save what is known of the senders; after a restart they are known again when they report",
			"error", err)
	}
}

// hear records the report of a caller that may write to this collector.
func (m *roster) hear(caller *access.Caller, text []byte) {
	r, err := fleet.Parse(text)
	if err != nil {
		m.log.Debug("a report is not understood", "peer", peerName(caller), "error", err)
		return
	}
	m.table.Hear(peerKey(caller), r, time.Now())
}

// peerKey identifies a caller across its connections.
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

// close saves what is known and releases the directory.
func (m *roster) close() error {
	close(m.done)
	m.saver.Wait()
	m.save()
	return m.file.Dir.Close()
}

// Fleet lists the forwarders, pipes and relays that report to the collector.
func (c *Collector) Fleet() fleet.Status { return c.roster.table.Status(time.Now()) }

// senders lists the senders of a fleet that have not ended, in the form of a status.
func senders(f fleet.Status) []status.Sender {
	list := make([]status.Sender, 0, len(f.Senders))
	for i := range f.Senders {
		s := &f.Senders[i]
		if s.State == fleet.Ended {
			continue
		}
		list = append(list, status.Sender{
			Host: s.Host, Path: s.Name, Address: s.Peer, Version: s.Version, State: string(s.State),
			Lag: s.Lag + s.SpoolBytes, Oldest: max(s.OldestAge, s.SpoolAge), LastSeen: &s.Heard, Entries: s.Sent,
			Trouble: s.Trouble, Via: s.Via,
		})
	}
	return list
}

// Detail is returned to a caller that may control the collector.
type Detail struct {
	Fleet fleet.Status `json:"fleet"`
}

// detailOption is the fb303 option that returns the Detail as JSON. Forwarders have an option of the same name.
const detailOption = "inkwell.detail"

// tell returns the Detail as JSON, "" to those who may not control the collector.
func (c *control) tell(ctx context.Context) (string, error) {
	if c.fleet == nil || !c.gate.rules.Load().MayControl(access.FromContext(ctx)) {
		return "", nil
	}
	text, err := json.Marshal(Detail{Fleet: c.fleet.table.Status(time.Now())})
	if err != nil {
		return "", fmt.Errorf("tell details: %w", err)
	}
	return string(text), nil
}
