// Package ending lets a program at the reading end of a pipe stop without losing what the writers still send:
//
//	SIGTERM to the whole group ─┬─► the daemon writes its last lines, closes the pipe and ends
//	                            └─► the program reads on until the pipe is closed, five seconds at most, then to the end of the line
//
// systemd, a terminal (Ctrl-C), timeout(1) and restarting web servers signal all processes of a group at once, some of
// them twice.
package ending

import (
	"os"
	"time"
)

// sameSignal is the time within which a second signal of the same kind counts as a duplicate of the first. A person who
// presses Ctrl-C again because nothing happened takes longer; timeout(1), which signals its child and then the whole
// process group of that child, takes less.
const sameSignal = time.Second

// Repeats tells a signal that was sent again on purpose from one that was delivered twice. The zero value has seen no
// signal. It is for use by one goroutine.
type Repeats struct {
	last os.Signal
	at   time.Time
}

// Same reports whether s, received at now, duplicates the previous signal. If it does not, s is remembered as the
// latest one.
func (r *Repeats) Same(s os.Signal, now time.Time) bool {
	if s == r.last && now.Sub(r.at) < sameSignal {
		return true
	}
	r.last, r.at = s, now
	return false
}
