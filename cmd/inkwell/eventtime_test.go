package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestEventTime chooses lines by their own times: those that are out of order, lines without a time, which go with the
// one before, and lines that a block or a file cuts.
func TestEventTime(t *testing.T) {
	t.Setenv("TZ", "UTC")
	for _, codec := range codecs {
		c := newCategory(t)
		c.open(codec, nil)
		now := time.Now().UTC().Truncate(time.Second)
		since, until := now.Add(-20*time.Minute), now.Add(-10*time.Minute)
		var want, chunk strings.Builder
		hits := 0
		for k := range 4000 {
			at := now.Add(-time.Duration(k*7919%3600) * time.Second)
			text := fmt.Sprintf("%s web1 app: %d\n", at.Format(time.RFC3339), k)
			if k%10 == 0 {
				text += "\tat main.go:1\n"
			}
			if chunk.WriteString(text); !at.Before(since) && !at.After(until) {
				want.WriteString(text)
				hits++
			}
			if k%500 == 499 {
				whole := chunk.String()
				cut := len(whole) - 9*(k%1000/999)
				c.append(whole[:cut])
				chunk.Reset()
				chunk.WriteString(whole[cut:])
			}
			if k == 1999 {
				c.append(chunk.String())
				chunk.Reset()
				c.finish()
			}
		}
		c.append(chunk.String())
		choice := []string{"--time", "event", "--format", "syslog", "--slack", "2h", "--since", since.Format(time.RFC3339), "--until", until.Format(time.RFC3339), c.dir}
		if r := inkwell(t, nil, append([]string{"cat"}, choice...)...); r.code != 0 || r.stdout != want.String() {
			t.Errorf("%v: code %d, %d bytes of %d, %s", codec, r.code, len(r.stdout), want.Len(), r.stderr)
		}
		if r := inkwell(t, nil, append([]string{"grep", "-c", "app:"}, choice...)...); r.code != 0 || r.stdout != fmt.Sprintln(hits) {
			t.Errorf("%v: code %d, %q, want %d, %s", codec, r.code, r.stdout, hits, r.stderr)
		}
		if r := inkwell(t, nil, append([]string{"stats", "--by", "host", "--output", "csv"}, choice...)...); r.code != 0 || !strings.Contains(r.stdout, fmt.Sprintf("\nweb1,%d,", hits)) {
			t.Errorf("%v: code %d, %q, want %d, %s", codec, r.code, r.stdout, hits, r.stderr)
		}
		c.close()
	}
	for _, args := range []string{"--time event --since 1h", "--time event --format syslog", "--time event --format xml --since 1h", "--time today", "-f --time event --format syslog --since 1h"} {
		if r := inkwell(t, nil, append(append([]string{"cat"}, strings.Fields(args)...), t.TempDir())...); r.code != exitUsage {
			t.Errorf("%s: %+v", args, r)
		}
	}
}
