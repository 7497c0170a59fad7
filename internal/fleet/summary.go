package fleet

import (
	"encoding/json"
	"slices"
	"time"

	"inkwell/proto"
)

const (
	// maxUnwell bounds the senders that a relay lists one by one, and maxSummary the bytes of the summary as JSON, so
	// that the report stays below proto.MaxReport.
	maxUnwell  = 50
	maxSummary = proto.MaxReport / 2
	// maxCount bounds what a relay can claim to have of one state.
	maxCount = 1 << 20
)

// Summary is what a relay hands on of its own senders: how many there are in each state, and which of them are not
// well. It covers the senders of relays that send to this relay, too, so that the last collector sees all tiers.
type Summary struct {
	Count  map[State]int `json:"count"`
	Unwell []Unwell      `json:"unwell,omitempty"` // silent, in trouble or behind, in this order; at most maxUnwell
}

// Unwell is a sender of a relay that is silent, in trouble or behind.
type Unwell struct {
	Host    string  `json:"host"`
	Name    string  `json:"name"`
	Program string  `json:"program"`
	Version string  `json:"version"`
	Via     string  `json:"via,omitempty"` // the hosts of the relays between it and the relay that reports
	State   State   `json:"state"`
	Heard   float64 `json:"heard_seconds"` // how long ago; not a time, because clocks differ
	Lag     int64   `json:"lag_bytes"`     // in files and in its spool
	Oldest  float64 `json:"oldest_unsent_seconds"`
	Trouble string  `json:"trouble,omitempty"`
}

// unwell says whether a sender in this state is listed one by one.
func (s State) unwell() bool { return s == Silent || s == Trouble || s == Behind }

// Summary returns what a relay hands on of its fleet, nil if nobody sends to it.
func (s *Status) Summary(now time.Time) *Summary {
	if len(s.Senders) == 0 {
		return nil
	}
	sum := &Summary{Count: s.Count}
	for i := range s.Senders {
		of := &s.Senders[i]
		if !of.State.unwell() || len(sum.Unwell) == maxUnwell {
			break // the list is ordered by state
		}
		sum.Unwell = append(sum.Unwell, Unwell{
			Host: of.Host, Name: of.Name, Program: of.Program, Version: of.Version, Via: of.Via, State: of.State,
			Heard: now.Sub(of.Heard).Seconds(), Lag: of.Lag + of.SpoolBytes, Oldest: max(of.OldestAge, of.SpoolAge),
			Trouble: of.Trouble,
		})
	}
	for sum.bytes() > maxSummary {
		sum.Unwell = sum.Unwell[:len(sum.Unwell)/2]
	}
	return sum
}

// bytes returns the length of the summary as JSON.
func (s *Summary) bytes() int {
	text, err := json.Marshal(s)
	if err != nil { // of a number that is none
		s.Unwell = nil
	}
	return len(text)
}

// clean makes a summary that came from a peer safe: its texts, its states, and its length.
func (s *Summary) clean() {
	if s == nil {
		return
	}
	count := make(map[State]int)
	for state, n := range s.Count {
		if slices.Contains(order, state) && n > 0 {
			count[state] = min(n, maxCount)
		}
	}
	s.Count = count
	s.Unwell = slices.DeleteFunc(s.Unwell, func(u Unwell) bool { return u.Host == "" || !u.State.unwell() })
	s.Unwell = s.Unwell[:min(len(s.Unwell), maxUnwell)]
	for i := range s.Unwell {
		u := &s.Unwell[i]
		u.Host, u.Name = proto.CleanText(u.Host, proto.MaxHost), proto.CleanText(u.Name, proto.MaxPath)
		u.Program, u.Version = proto.CleanText(u.Program, 32), proto.CleanText(u.Version, 64)
		u.Via, u.Trouble = proto.CleanText(u.Via, proto.MaxPath), proto.CleanText(u.Trouble, proto.MaxPath)
	}
}

// speaks says whether what a relay said of its senders still holds: not if the relay is silent or has ended.
func (s *Sender) speaks(now time.Time) bool {
	state := s.state(now)
	return s.Senders != nil && state != Silent && state != Ended
}

// behind returns the senders of a relay that are not well, as senders of this collector.
func (s *Sender) behind() []Sender {
	list := make([]Sender, 0, len(s.Senders.Unwell))
	for _, u := range s.Senders.Unwell {
		via := s.Host
		if u.Via != "" {
			via += " " + u.Via
		}
		const long = 365 * 24 * 3600
		heard := s.Heard.Add(-time.Duration(min(max(u.Heard, 0), long) * float64(time.Second)))
		list = append(list, Sender{
			Report: Report{Host: u.Host, Name: u.Name, Program: u.Program, Version: u.Version, Lag: u.Lag,
				OldestAge: u.Oldest, Trouble: u.Trouble},
			Peer: s.Peer, Via: via, First: heard, Heard: heard, State: u.State,
		})
	}
	return list
}
