package config

import (
	"fmt"

	"inkwell/internal/conf"
)

const categoryMeaning = "The category of the entries, in which %s stand for what an entry says; made safe as in " +
	"[inputs.md](inputs.md#categories)."

var journalOptions = []option{
	{key: "category", kind: text, value: "{unit}", ours: true,
		meaning: fmt.Sprintf(categoryMeaning, "`{unit}`, `{identifier}` and `{host}`")},
	{key: "unit", kind: text, ours: true,
		meaning: "A unit, or a pattern of units as `app-*.service`, whose entries are taken; the key can stand " +
			"several times. " +
			"Without it all are. `kernel` is what the kernel says."},
	{key: "format", kind: text, value: "line", ours: true,
		meaning: "`line` (time, host, program and message, as journalctl shows it) or `message` (the message alone)."},
	{key: "directory", kind: text, ours: true, meaning: "Directory of the journal files, in place of the system's."},
	{key: "namespace", kind: text, ours: true,
		meaning: "The journal of this namespace (`LogNamespace=` of a unit), in place of the default one."},
	{key: "from_end", kind: exactly, value: "no", ours: true,
		meaning: "`yes`: a journal that is read for the first time is read from its end, not from its start."},
	{key: "max_line", kind: size, value: "16MiB", ours: true, meaning: "Longer messages are split; 1KiB to 64MiB."},
}

const journalIntro = "Entries of the systemd journal, for `inkwell forward`, read by `journalctl`: " +
	"[inputs.md](inputs.md#the-systemd-journal). The block can stand several times, for several journals or categories."

var syslogOptions = []option{
	{key: "listen", kind: text, ours: true,
		meaning: "Where messages come in: `udp://HOST:PORT`, `tcp://HOST:PORT`, `unix:/path` or `unixgram:/path`; " +
			"the key can stand several times. Must be given."},
	{key: "category", kind: text, value: "{app}", ours: true,
		meaning: fmt.Sprintf(categoryMeaning,
			"`{app}`, `{facility}`, `{severity}`, `{host}` and `{peer}` (the address of the sender)")},
	{key: "format", kind: text, value: "line", ours: true,
		meaning: "`line` (time, host, program and text), `message` (the text alone) or `raw` (all of it, as it came)."},
	{key: "max_line", kind: size, value: "64KiB", ours: true, meaning: "Longer messages are split; 1KiB to 16MiB."},
	{key: "max_connections", kind: count, value: "256", ours: true,
		meaning: "Connections at once, of all addresses of the block; surplus ones are closed at once."},
}

const syslogIntro = "Messages of syslog senders, for `inkwell forward`: [inputs.md](inputs.md#syslog). RFC 3164, RFC " +
	"5424 and both framings of RFC 6587 are told apart by each message."

// Journal is a <journal> block.
type Journal struct {
	Line      int
	Category  string
	Units     []string // patterns; none = all
	Bare      bool     // the message alone
	Directory string
	Namespace string
	FromEnd   bool
	MaxLine   int // bytes
}

// Syslog is a <syslog> block.
type Syslog struct {
	Line           int
	Listen         []string
	Category       string
	Format         string // line, message or raw
	MaxLine        int    // bytes
	MaxConnections int
}

// journal reads a <journal> block.
func (l *loader) journal(b *conf.Block, o block) {
	j := Journal{
		Line: b.Line, Category: o.text("category"), Bare: o.choice("format", "line", "message") == "message",
		Directory: o.text("directory"), Namespace: o.text("namespace"), FromEnd: o.yes("from_end"),
		MaxLine: o.within("max_line", 1<<10, 64<<20),
	}
	for _, v := range b.All("unit") {
		j.Units = append(j.Units, v.Text)
	}
	l.config.Journals = append(l.config.Journals, j)
}

// syslog reads a <syslog> block.
func (l *loader) syslog(b *conf.Block, o block) {
	s := Syslog{
		Line: b.Line, Category: o.text("category"), Format: o.choice("format", "line", "message", "raw"),
		MaxLine: o.within("max_line", 1<<10, 16<<20), MaxConnections: int(min(o.count("max_connections"), 1<<20)),
	}
	if v, ok := o.Get("max_connections"); ok && s.MaxConnections < 1 {
		s.MaxConnections = int(o.fallback("max_connections", v, "is no limit to work with"))
	}
	for _, v := range b.All("listen") {
		s.Listen = append(s.Listen, v.Text)
	}
	if len(s.Listen) == 0 {
		l.fail(b.Line, "<syslog> without listen is not used", "add listen=udp://127.0.0.1:514")
		return
	}
	l.config.Syslogs = append(l.config.Syslogs, s)
}

// within reads a size that must be between two others.
func (o block) within(key string, least, most int64) int {
	n := o.bytes(key)
	if v, ok := o.Get(key); ok && (n < least || n > most) {
		n = o.fallback(key, v, fmt.Sprintf("is not between %d and %d bytes", least, most))
	}
	return int(n)
}
