package config

import (
	"fmt"
	"strings"
	"time"

	"inkwell/forwarder/lines"
	"inkwell/forwarder/pattern"
	"inkwell/internal/conf"
)

const prefixMeaning = "Put before each message, for readers that have only the file: text in which `{host}` and " +
	"`{path}` stand for where it comes from, as in " +
	"`\"{host} {path} \"` (quoted, for the blank at its end). `inkwell audit` and the manifests know that without it."

var tailOptions = []option{
	{key: "category", kind: text, ours: true,
		meaning: "The category of the lines. `{name}` stands for what `{name}` in `path` matched. Must be given."},
	{key: "path", kind: text, ours: true,
		meaning: "The files to follow, as a pattern that is matched anew all the time: `*`, `?`, `[…]`, " +
			"`**` for any number of directories, `{a,b}`, and `{name}`, a `*` that `category` can use; see " +
			"[following.md](following.md). Must be given."},
	{key: "exclude", kind: text, ours: true,
		meaning: "A pattern of what is not followed: of a file, or of a directory with all that is below it. " +
			"`*.gz` is meant wherever it stands, `/var/log/*.gz` there. The key can stand several times."},
	{key: "from_end", kind: exactly, value: "no", ours: true,
		meaning: "`yes`: files that are there when they are first seen are followed from their end, not from their " +
			"start."},
	{key: "prefix", kind: text, ours: true, meaning: prefixMeaning},
	{key: "max_line", kind: size, value: "16MiB", ours: true,
		meaning: "Longer lines, or messages of several lines, are split; 1KiB to 64MiB."},
	{key: "encoding", kind: text, value: "auto", ours: true,
		meaning: "`utf-16le` and `utf-16be` are made UTF-8; `auto` does that where the file " +
			"begins with a byte order mark. `utf-8` takes bytes of any kind as they are."},
	{key: "format", kind: text, value: "none", ours: true,
		meaning: "What lines are wrapped in: `cri` (containerd, CRI-O), `docker` (json-file), " +
			"`auto` (each line is taken for what it looks like) or `none`. They are unpacked, and the parts of long " +
			"ones joined."},
	{key: "stamp", kind: exactly, value: "no", ours: true,
		meaning: "`yes`: the time and the stream of a container line are put before the message, as in " +
			"`2026-11-29T10:00:00Z stderr text`."},
	{key: "multiline_start", kind: text, ours: true,
		meaning: "A regular expression (RE2): a line that matches begins a message, and one that does not " +
			"belongs to the message before it, as in a stack trace. Without it each line is a message."},
	{key: "multiline_lines", kind: count, value: "500", ours: true, meaning: "A message of so many lines is complete."},
	{key: "multiline_wait", kind: duration, value: "5s", ours: true,
		meaning: "A message to which nothing was added for so long is complete, and so is a line of a container " +
			"whose last part does not come."},
}

const tailIntro = "Lines of files, for `inkwell forward`. The block can stand several times; its lines go to the one " +
	"store of the file, of type `network` or `buffer`, whatever `category` that has. " +
	"What cannot be sent waits in the `spool_dir` of the `buffer`, or in `forward.spool` in the directory of its " +
	"`<secondary>`; with `network` in `spool` in the directory of the positions."

var pipeOptions = []option{
	{key: "category", kind: text, ours: true, meaning: "The category of the lines. Must be given."},
	{key: "prefix", kind: text, ours: true, meaning: prefixMeaning},
	{key: "when_full", kind: text, value: "block", ours: true,
		meaning: "With memory and buffer full: `block` (the writer waits) or `drop` (lines are counted and thrown " +
			"away)."},
	{key: "drain_timeout", kind: duration, value: "10s", ours: true,
		meaning: "How long the end of input waits for the network."},
}

const pipeIntro = "Lines of standard input, for `inkwell pipe`. What cannot be sent waits in the `spool_dir` of a " +
	"`buffer`, or in `CATEGORY.spool` in the directory of its `<secondary>`; with `network` in memory."

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
		l.config.Pipes = append(l.config.Pipes,
			Pipe{Category: category, Prefix: o.prefix(),
				DropWhenFull: o.choice("when_full", "block", "drop") == "drop",
				DrainTimeout: o.duration("drain_timeout")})
		return
	}
	l.tail(b, o)
}

// prefix reads the text before each line; single quotes are accepted like double quotes.
func (o block) prefix() string {
	text := o.text("prefix")
	if inner, ok := strings.CutPrefix(text, "'"); ok {
		if inner, ok = strings.CutSuffix(inner, "'"); ok {
			return inner
		}
	}
	return text
}

// tail reads a <tail> block, which has a category.
func (l *loader) tail(b *conf.Block, o block) {
	t := Tail{Category: o.text("category"), Glob: o.text("path"), FromEnd: o.yes("from_end"),
		Prefix: o.prefix(), Lines: l.lines(o)}
	if t.Glob == "" {
		l.fail(b.Line, "<tail> without path is not used", "add path=/var/log/NAME*.log")
		return
	}
	for _, v := range b.All("exclude") {
		t.Exclude = append(t.Exclude, v.Text)
	}
	if _, err := pattern.Compile(t.Glob, pattern.Options{Category: t.Category, Exclude: t.Exclude}); err != nil {
		v, _ := o.Get("path")
		l.fail(v.Line, err.Error(), "see docs/following.md for what a pattern can be")
		return
	}
	l.config.Tails = append(l.config.Tails, t)
}

// lines reads how the bytes of files become messages.
func (l *loader) lines(o block) lines.Options {
	n := lines.Options{
		MaxLine:  int(min(o.bytes("max_line"), 1<<30)),
		Stamp:    o.yes("stamp"),
		Start:    o.text("multiline_start"),
		MaxLines: int(min(o.count("multiline_lines"), 1<<30)),
		Wait:     o.duration("multiline_wait"),
	}
	if v, ok := o.Get("max_line"); ok && (n.MaxLine < 1<<10 || n.MaxLine > 64<<20) {
		n.MaxLine = int(o.fallback("max_line", v, "is not between 1KiB and 64MiB"))
	}
	n.Encoding, _ = lines.ParseEncoding(o.choice("encoding", "auto", "utf-8", "utf-16le", "utf-16be"))
	n.Format, _ = lines.ParseFormat(o.choice("format", "none", "auto", "cri", "docker"))
	if v, ok := o.Get("multiline_lines"); ok && n.MaxLines == 0 {
		n.MaxLines = int(o.fallback("multiline_lines", v, "is no number of lines"))
	}
	if v, ok := o.Get("multiline_wait"); ok && n.Wait <= 0 {
		l.fail(v.Line, "multiline_wait must be more than 0; 5s is used", "")
		n.Wait = 5 * time.Second
	}
	if err := n.Validate(); err != nil {
		l.fail(o.Line, err.Error(), "")
		n.Start, n.Stamp = "", false
	}
	return n
}
