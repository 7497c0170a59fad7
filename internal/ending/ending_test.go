package ending

import (
	"syscall"
	"testing"
	"time"
)

func TestRepeats(t *testing.T) {
	var r Repeats
	at := time.Unix(1000, 0)
	for _, c := range []struct {
		after time.Duration
		sig   syscall.Signal
		same  bool
	}{
		{0, syscall.SIGTERM, false},
		{time.Millisecond, syscall.SIGTERM, true},         // timeout(1) signals the group as well
		{900 * time.Millisecond, syscall.SIGTERM, true},   // a web server's clean-up
		{1200 * time.Millisecond, syscall.SIGTERM, false}, // somebody means it
		{1300 * time.Millisecond, syscall.SIGINT, false},  // and somebody else
		{1400 * time.Millisecond, syscall.SIGINT, true},
	} {
		if got := r.Same(c.sig, at.Add(c.after)); got != c.same {
			t.Errorf("%v after %v is the same: %v, want %v", c.sig, c.after, got, c.same)
		}
	}
}
