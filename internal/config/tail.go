package config

import (
	"fmt"
	"path/filepath"

	"inkwell/internal/conf"
)

var tailOptions = []option{
	{key: "category", kind: text, ours: true, meaning: "The category of the lines. Must be given."},
	{key: "path", kind: text, ours: true, meaning: "The files to follow, as a pattern with `*`, `?` and `[…]` that is matched anew all the time. Must be given."},
	{key: "from_end", kind: exactly, value: "no", ours: true, meaning: "`yes`: files that are there when they are first seen are followed from their end, not from their start."},
	{key: "max_line", kind: size, value: "16MiB", ours: true, meaning: "Longer lines are split; 1KiB to 64MiB."},
}

const tailIntro = "Lines of files, for `inkwell forward`. The block can stand several times; its lines go to the one store of the file, of type `network` or `buffer`, whatever `category` that has."

var pipeOptions = []option{
	{key: "category", kind: text, ours: true, meaning: "The category of the lines. Must be given."},
	{key: "when_full", kind: text, value: "block", ours: true, meaning: "With memory and buffer full: `block` (the writer waits) or `drop` (lines are counted and thrown away)."},
	{key: "drain_timeout", kind: duration, value: "10s", ours: true, meaning: "How long the end of input waits for the network."},
}

const pipeIntro = "Lines of standard input, for `inkwell pipe`."

// input reads a <tail>, <pipe>, <journal> or <syslog> block.
func (l *loader) input(b *conf.Block) {
	o := l.block(b, b.Tag)
	l.unknown(b, true)
	switch b.Tag {
	case "journal":
		l.journal(b, o)
		return
	case "syslog":
		l.syslog(b, o)
		return
	}
	category := o.text("category")
	if category == "" {
		l.fail(b.Line, fmt.Sprintf("<%s> without category is not used", b.Tag), "add category=NAME")
		return
	}
	if b.Tag == "pipe" {
		if len(l.config.Pipes) > 0 {
			l.fail(b.Line, "there is one standard input: a second <pipe> is not used", "remove it")
			return
		}
		l.config.Pipes = append(l.config.Pipes, Pipe{Line: b.Line, Category: category, DropWhenFull: o.choice("when_full", "block", "drop") == "drop", DrainTimeout: o.duration("drain_timeout")})
		return
	}
	t := Tail{Line: b.Line, Category: category, Glob: o.text("path"), FromEnd: o.yes("from_end"), MaxLine: int(min(o.bytes("max_line"), 1<<30))}
	if v, ok := o.Get("max_line"); ok && (t.MaxLine < 1<<10 || t.MaxLine > 64<<20) {
		t.MaxLine = int(o.fallback("max_line", v, "is not between 1KiB and 64MiB"))
	}
	if t.Glob == "" {
		l.fail(b.Line, "<tail> without path is not used", "add path=/var/log/NAME*.log")
		return
	}
	if _, err := filepath.Match(t.Glob, ""); err != nil {
		v, _ := o.Get("path")
		l.fail(v.Line, fmt.Sprintf("path=%s is no pattern: %v", conf.Quote(t.Glob), err), "close the [, or write [[] for the character")
		return
	}
	l.config.Tails = append(l.config.Tails, t)
}
