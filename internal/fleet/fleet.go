// Package fleet keeps what a collector knows of the forwarders, pipes and relays that send to it.
//
//	forwarder, pipe, relay ── Report, every ten seconds, in a Log call ──► gate: may it write here? ──► Table ──► Status
//
// A report is a few hundred bytes of JSON. It is sent only to a peer that has identified itself as Inkwell. Old
// clients are not in the fleet. A relay is a collector that sends on: its report also has what it knows of its own
// senders, as a Summary. A report is the sender's own claim: its texts are cleaned,
// its numbers are taken as they are. The address of the connection is kept with it, so that one peer cannot overwrite
// the report of another.
package fleet

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"inkwell/proto"
)

// Every is the interval between two reports of a sender.
const Every = 10 * time.Second

// A sender counts as behind, or as silent, from these ages on.
const (
	BehindAfter = time.Minute
	SilentAfter = 3 * Every
)

// Report is what a forwarder, pipe or relay says about itself.
type Report struct {
	Host    string    `json:"host"`
	Name    string    `json:"name"`    // which of those on the host: its state directory, or the category of a pipe
	Program string    `json:"program"` // "forward", "pipe" or "relay"
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Ended   bool      `json:"ended,omitempty"` // this is its last word: it ends in good order

	Files      int     `json:"files"`                // that it follows
	Unreadable int     `json:"unreadable,omitempty"` // of those
	Lag        int64   `json:"lag_bytes"`            // of files that were not read; of a relay, in its journal
	OldestAge  float64 `json:"oldest_unsent_seconds"`
	Sent       int64   `json:"sent"` // entries since it started

	SpoolBytes   int64   `json:"spool_bytes"`
	SpoolEntries int64   `json:"spool_entries"`
	SpoolAge     float64 `json:"spool_seconds"` // for how long the spool has not been empty

	Trouble string `json:"trouble,omitempty"` // what is wrong, "" when nothing is
	Failed  int64  `json:"failed_calls,omitempty"`
	Dropped int64  `json:"dropped,omitempty"` // entries that it has dropped, or that were refused

	Senders *Summary `json:"senders,omitempty"` // of a relay: who sends to it
}

// State is the condition of a sender.
type State string

// The states of a sender. If several apply, the first one is reported.
const (
	Ended   State = "ended"   // in good order
	Silent  State = "silent"  // no report came for SilentAfter
	Trouble State = "trouble" // it says that something is wrong
	Behind  State = "behind"  // something has waited for BehindAfter, in a file or in its spool
	Sending State = "sending"
)

// Sender is a forwarder, pipe or relay as the collector knows it.
type Sender struct {
	Report
	// identity of the connection: an address, the name in its certificate, a user
	Peer string `json:"peer"`
	// the hosts of the relays it sends through, the nearest to this collector first
	Via   string    `json:"via,omitempty"`
	First time.Time `json:"first_heard"`
	Heard time.Time `json:"last_heard"`
	State State     `json:"state"`
}

// Status describes the fleet at one moment. Of the senders of a relay it lists those that are not well.
type Status struct {
	Senders []Sender      `json:"senders"` // by state (silent, trouble, behind, sending, ended), host and name
	Count   map[State]int `json:"count"`   // of all senders, those of relays included
}

// Parse decodes a report and removes control characters from its texts.
func Parse(data []byte) (r Report, err error) {
	if err := json.Unmarshal(data, &r); err != nil {
		return Report{}, fmt.Errorf("a report that is no JSON: %w", err)
	}
	for text, most := range map[*string]int{&r.Host: proto.MaxHost, &r.Name: proto.MaxPath, &r.Program: 32,
		&r.Version: 64,
		&r.Trouble: proto.MaxPath} {
		*text = proto.CleanText(*text, most)
	}
	if r.Host == "" {
		return Report{}, errors.New("a report without a host")
	}
	if year := r.Started.UTC().Year(); year < 0 || year > 9999 { // which could not be written
		r.Started = time.Time{}
	}
	r.Senders.clean()
	return r, nil
}

// state returns the condition of a sender at a time.
func (s *Sender) state(now time.Time) State {
	switch {
	case s.Ended:
		return Ended
	case now.Sub(s.Heard) > SilentAfter:
		return Silent
	case s.Trouble != "":
		return Trouble
	case max(s.OldestAge, s.SpoolAge) >= BehindAfter.Seconds():
		return Behind
	}
	return Sending
}

// order gives the position of a state in the list of a Status.
var order = []State{Silent, Trouble, Behind, Sending, Ended}

func compare(a, b Sender) int {
	return cmp.Or(cmp.Compare(slices.Index(order, a.State), slices.Index(order, b.State)),
		strings.Compare(a.Host, b.Host),
		strings.Compare(a.Name, b.Name), strings.Compare(a.Peer, b.Peer))
}
