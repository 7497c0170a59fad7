package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestHostileTextOnATerminal: neither what stands in lines nor names of directories control the terminal.
func TestHostileTextOnATerminal(t *testing.T) {
	const hostile = "a \x1b]0;title\x07 \x1b[2J \x9b2J \u009b2J \u202ertl \b \xff b"
	root := t.TempDir()
	web, odd := filepath.Join(root, "web"), filepath.Join(root, "we\x1b[2Jb")
	for _, dir := range []string{web, odd} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		text := hostile + "\n1.2.3.4 - - [29/Nov/2026:14:00:00 +0000] \"GET /" + hostile + " HTTP/1.1\" 200 1 \"-\" \"-\"\n"
		if err := os.WriteFile(filepath.Join(dir, "web-2026-11-29_00000"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ours := regexp.MustCompile(`\x1b\[[0-9;]*m|\x1b\[K|\r`) // colours, and the live line
	for _, args := range [][]string{
		{"cat", web}, {"cat", "--with", "time,source", web}, {"cat", "--dedupe", web}, {"cat", "--tail", "1", odd}, {"cat", "--merge", root},
		{"grep", "a", web}, {"grep", "-o", "title.*", web}, {"grep", "-H", "a", odd}, {"grep", "-l", "a", odd}, {"grep", "-c", "a", root},
		{"stats", web}, {"stats", "--output", "csv", web}, {"stats", "--output", "json", web}, {"ls", root}, {"ls", odd}, {"verify", root},
		{"cat", odd + "/no"}, {"cat", "--since", "\x1b[2J", web}, {"cat", "-f", web, odd},
	} {
		p := newTerminal(t, 24, 80)
		a := &app{stdout: p.slave, screen: newScreen(p.slave, func() int { return 80 }), lookup: func(string) (string, bool) { return "", false }}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		a.main(ctx, args)
		stop()
		seen := ours.ReplaceAllString(p.rest("that was all"), "")
		if strings.ContainsAny(seen, "\x1b\x07\b\u009b\u202e") || strings.Contains(seen, "\x9b2J") || strings.Contains(seen, "\xff") {
			t.Errorf("%q prints %q", args, seen)
		}
	}
}

// rest is what was printed, up to an end that is printed for that.
func (p *terminal) rest(end string) string {
	p.t.Helper()
	if _, err := p.slave.WriteString(end); err != nil {
		p.t.Fatal(err)
	}
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
		p.mu.Lock()
		text, ended := strings.CutSuffix(p.seen.String(), end)
		p.mu.Unlock()
		if ended {
			return text
		}
	}
	p.t.Fatalf("the end %q is not printed", end)
	return ""
}
