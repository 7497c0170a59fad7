//go:build killpoints

package killpoint

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	victim, nth = parseKill(os.Getenv(KillVariable))
	arrivals    atomic.Int64
	clockFile   = os.Getenv(ClockVariable)
)

// Variables returns the environment variables that have an effect.
func Variables() []string {
	return []string{KillVariable, ClockVariable, SegmentBytes, BlockWait, CutEvery, MoveBatch}
}

func parseKill(text string) (string, int64) {
	if text == "" {
		return "", 0
	}
	name, number, _ := strings.Cut(text, ":")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || !known(name) {
		panic(fmt.Sprintf("%s=%q: must be NAME:N with a name of the list and N from 1", KillVariable, text))
	}
	return name, n
}

func known(name string) bool {
	return slices.ContainsFunc(Points, func(p Point) bool { return p.Name == name })
}

// Reach kills the process with SIGKILL if the environment names this point and this arrival at it.
func Reach(name string) {
	if name == victim && arrivals.Add(1) == nth {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // SIGKILL does not return
		select {}
	}
}

// Tuned returns usual, or the value that the environment sets instead: a test makes events frequent that are rare in
// production.
func Tuned(name string, usual int64) int64 {
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("%s=%q: %v", name, text, err))
	}
	return n
}

// Clock returns t shifted by the offset in the file that a test writes.
func Clock(t time.Time) time.Time {
	if clockFile == "" {
		return t
	}
	text, err := os.ReadFile(clockFile)
	if err != nil {
		return t
	}
	off, err := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil { // it is being written
		return t
	}
	return t.Round(0).Add(off)
}
