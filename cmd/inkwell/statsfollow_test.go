package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"inkwell/rotate"
)

// printings hands each writing to a test.
type printings chan string

func (p printings) Write(b []byte) (int, error) {
	p <- string(b)
	return len(b), nil
}

// TestStatsFollow: stats -f counts what comes behind what was there, also in the next file, and ends when it is
// interrupted, with the threshold looked at.
func TestStatsFollow(t *testing.T) {
	c := newCategory(t)
	c.open(rotate.Gzip, nil)
	line := func(status, n int) string {
		return strings.Repeat(fmt.Sprintf("h - - [29/Nov/2026:14:00:00 +0000] \"GET / HTTP/1.1\" %d 1 \"-\" \"x\"\n", status), n)
	}
	c.append(line(404, 300))
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	out, errs := make(printings, 1000), new(bytes.Buffer)
	a := &app{stdout: out, screen: newScreen(errs, func() int { return 0 }), lookup: func(string) (string, bool) { return "", false }}
	code := make(chan int, 1)
	go func() {
		code <- a.main(ctx, []string{"stats", "-f", "--by", "status", "--fail-if", "count<1000", c.dir})
	}()
	until := func(want string) {
		t.Helper()
		for seen := ""; !strings.Contains(seen, want); {
			select {
			case text := <-out:
				seen += text
			case <-ctx.Done():
				t.Fatalf("%q does not come: %s", want, seen)
			}
		}
	}
	until("TOTAL") // and so it has begun
	c.append(line(200, 7))
	c.finish()
	c.append(line(200, 5) + line(500, 1))
	until("  500\n")
	until("13  ")
	stop()
	if got := <-code; got != exitThreshold {
		t.Errorf("exit code %d: %s", got, errs)
	}
	for len(out) > 0 {
		if text := <-out; strings.Contains(text, "404") {
			t.Errorf("what was there before is counted: %s", text)
		}
	}
	for _, args := range []string{"-f --output csv", "-f --until 1h"} {
		if r := inkwell(t, nil, append(append([]string{"stats"}, strings.Fields(args)...), c.dir)...); r.code != exitUsage {
			t.Errorf("%s: %+v", args, r)
		}
	}
}
