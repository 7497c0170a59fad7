package rpc

import (
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
	complaintPeriod = time.Minute
	maxComplaints   = 4096 // peers that are remembered
)

// complaints logs what peers do wrong, at most one line per peer address and minute. Safe for concurrent use.
type complaints struct {
	log *slog.Logger

	mu   sync.Mutex
	last map[string]*complaint // by peer address
}

type complaint struct {
	at     time.Time // of the last line
	unsaid int       // events since then that were not logged
}

func newComplaints(log *slog.Logger) *complaints {
	return &complaints{log: log, last: make(map[string]*complaint)}
}

// add logs what happened with the peer and why, unless there was a line about that peer within the last minute.
func (c *complaints) add(what string, peer net.Addr, reason string) {
	host := peer.String()
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	unsaid, say := c.due(host, time.Now())
	if !say {
		return
	}
	attrs := []any{"peer", host, "reason", reason}
	if unsaid > 0 {
		attrs = append(attrs, "unreported", unsaid)
	}
	c.log.Warn(what, attrs...)
}

// due says whether a line about host may be logged now, and how many events were not logged since the last one.
func (c *complaints) due(host string, now time.Time) (unsaid int, say bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.last[host]
	if one == nil {
		if len(c.last) >= maxComplaints && !c.forget(now) {
			return 0, false
		}
		c.last[host] = &complaint{at: now}
		return 0, true
	}
	if now.Sub(one.at) < complaintPeriod {
		one.unsaid++
		return 0, false
	}
	unsaid = one.unsaid
	one.at, one.unsaid = now, 0
	return unsaid, true
}

// forget removes peers whose last line is more than a minute old, and says whether there is room now.
func (c *complaints) forget(now time.Time) bool {
	for host, one := range c.last {
		if now.Sub(one.at) >= complaintPeriod {
			delete(c.last, host)
		}
	}
	return len(c.last) < maxComplaints
}
