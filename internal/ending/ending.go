// Package ending is how a program that stands at the end of a pipe comes to its own end without losing what others still write:
//
//	SIGTERM to the whole group ─┬─► the daemon writes its last lines, closes the pipe and ends
//	                            └─► the program reads on until the pipe is closed, five seconds at most, then to the end of the line
//
// systemd, a terminal (Ctrl-C), timeout(1) and web servers that restart signal all processes of a group at once, some of them twice.
package ending

import (
	"os"
	"time"
)

// sameSignal is how long after a signal another of its kind is taken for the same one. A person who presses Ctrl-C again because the
// first time did not help is slower; timeout(1), which signals its child and then the group that the child is in, is faster.
const sameSignal = time.Second

// Repeats tells signals that come again from those that came twice. The zero value has seen none. It is for one goroutine.
type Repeats struct {
	last os.Signal
	at   time.Time
}

// Same says whether s, which came at now, is the signal that came before, and notes it if it is not.
func (r *Repeats) Same(s os.Signal, now time.Time) bool {
	if s == r.last && now.Sub(r.at) < sameSignal {
		return true
	}
	r.last, r.at = s, now
	return false
}
