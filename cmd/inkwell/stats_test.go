package main

import (
	"fmt"
	"strings"
	"testing"

	"inkwell/rotate"
)

func TestStats(t *testing.T) {
	c := newCategory(t)
	c.open(rotate.Gzip, nil)
	for file := range 3 {
		var b strings.Builder
		for k := range 1000 {
			fmt.Fprintf(&b, "10.0.0.%d - - [29/Nov/2026:14:%02d:00 +0000] \"GET /item/%d?q=%d HTTP/1.1\" %d 100 \"-\" \"x\" %d\n", k%9, k%3, k%5, k, []int{200, 500}[min(1, k%100/99)], 1000*(k%10+1))
		}
		c.append(b.String() + "no access log\n")
		if file < 2 {
			c.finish()
		}
	}
	for _, k := range []struct {
		args string
		code int
		want string
	}{
		{"--by url --output csv", 0, "key,count,failures,per_second,bytes,timed,min,avg,p50,p95,p99,max\n/item/0,600,0,5,60000,600,0.001,0.0035,"},
		{"--by url --fold --output csv", 0, "/item/{n},3000,30,25,300000,3000,0.001,0.0055,"},
		{"--by status --top 1 --output csv", 0, "\n200,2970,0,"},
		{"--by status --every 1m --output csv", 0, "\n2026-11-29T14:01:00+00:00 200,990,0,"},
		{"--by method,status", 0, "GET 500\n"},
		{"--by url --fold --output json", 0, `"failures": 30`},
		{"--fail-if failures>0.9%", 3, "TOTAL"},
		{"--fail-if failures>1.1%", 0, "TOTAL"},
		{"--fail-if p95<0.001", 0, "TOTAL"},
		{"--fail-if count<4000", 3, "TOTAL"},
		{"--format logfmt --by level", 0, "TOTAL"},
		{`--format regexp=(?P<verb>[A-Z]+)\s --by verb --output csv`, 0, "\nGET,3000,"},
	} {
		t.Setenv("TZ", "UTC")
		r := inkwell(t, nil, append(append([]string{"stats"}, strings.Fields(k.args)...), c.dir)...)
		if r.code != k.code || !strings.Contains(r.stdout, k.want) {
			t.Errorf("%s: code %d, want %d with %q\n%s%s", k.args, r.code, k.code, k.want, r.stdout, r.stderr)
		}
		if strings.HasPrefix(k.args, "--by") && !strings.Contains(r.stderr, "3 lines are not combined") {
			t.Errorf("%s: %s", k.args, r.stderr)
		}
	}
	for _, args := range []string{"--format xml", "--by colour", "--fail-if failures", "--fail-if x>1", "--fail-if p95>1%", "--output xml", "--every x"} {
		if r := inkwell(t, nil, append(append([]string{"stats"}, strings.Fields(args)...), c.dir)...); r.code != exitUsage {
			t.Errorf("%s: %+v", args, r)
		}
	}
}
