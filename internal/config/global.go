package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"inkwell/internal/conf"
)

var globalOptions = []option{
	{key: "port", kind: count,
		meaning: "TCP port to listen on, on all interfaces (in a file of the new style, and for `inkwell collect " +
			"-c`, on the loopback only); it beats `-p`. Without it the port of `-p` is taken, else 1463."},
	{key: "listen", kind: text, ours: true,
		meaning: "An address to listen on, `HOST:PORT`, `tls://HOST:PORT` or `unix:/path`, in place of `port`; the " +
			"key can stand several times, so that plain and TLS stand side by side."},
	{key: "http", kind: text, ours: true,
		meaning: "An address on which only HTTP is answered (`/healthz`, `/metrics`, `/status.json` and the page), " +
			"as those of `listen`; the key can stand several times. A collector answers HTTP on the addresses of " +
			"`listen`, too; a forwarder on its control socket."},
	{key: "tls_cert", kind: text, ours: true,
		meaning: "PEM file with the certificate of `tls://` listeners and its chain, read again when it changes. " +
			"Network stores without their own show it, too."},
	{key: "tls_key", kind: text, ours: true, meaning: "PEM file with its private key."},
	{key: "tls_ca", kind: text, ours: true,
		meaning: "PEM file with the authorities that sign the certificates of peers. With it every client of a " +
			"`tls://` listener must show one; without it clients stay anonymous, and network stores trust the " +
			"system's authorities."},
	{key: "max_msg_per_second", kind: count, value: "0",
		meaning: "Calls that would take the messages of this second above it are answered TRY_LATER, 0 = no limit. A " +
			"call with more than half of it is never refused and not counted."},
	{key: "max_queue_size", kind: decimalOctets, value: "5000000", newer: "none",
		meaning: "While the queue of a category of a call holds more bytes of messages than this, the call is " +
			"answered TRY_LATER. Base 10: `0x100` is 0. In a file of the new style it can be `none`: then " +
			"`journal_max` is the only bound."},
	{key: "check_interval", kind: seconds, value: "5",
		meaning: "How often a store looks whether to rotate its files or to try its primary again, 0 = 1."},
	{key: "new_thread_per_category", kind: unless, value: "yes",
		meaning: "`no`: the blocks for `default`, prefixes and `categories` have one queue and one store each, for " +
			"all their categories together."},
	{key: "num_thrift_server_threads", kind: count, value: "3",
		meaning: "Has no effect: every connection is served at once. 0 is an error, as it was."},
	{key: "max_conn", kind: count, value: "0",
		meaning: "Connections at once; further ones are closed. 0 = as many as there are file descriptors for."},
	{key: "max_conn_per_address", kind: count, value: "256", ours: true,
		meaning: "Connections at once of one address (IPv6: of one /64), but for those of this machine; surplus ones " +
			"are closed at once. 0 = no limit. Raise it for clients behind one NAT."},
	{key: "prefix_match", kind: text, value: "shortest", ours: true,
		meaning: "Which prefix takes a category that several match: `shortest` (the first pattern in byte order, as " +
			"it always was) or `longest`."},
	{key: "durability", kind: text, value: "sync", ours: true,
		meaning: "What the answer OK promises: `sync` (it is on the disk), `write` (it survives a killed process), " +
			"`memory` (it was queued, as the original did it)."},
	{key: "state", kind: text, ours: true,
		meaning: "The directory of the journal and the checkpoint itself, or of the positions of `inkwell forward`: " +
			"what `--state` says. It beats `state_dir` and `$INKWELL_STATE`, and two daemons cannot share it."},
	{key: "state_dir", kind: text, ours: true,
		meaning: "Where there is no `state`: the directory in which each command and port has a directory of its own " +
			"for that, as `collect-1463`, `scribed-1463` and `forward`. `$INKWELL_STATE` beats it; without both it " +
			"is `/var/lib/inkwell` for root and `$XDG_STATE_HOME/inkwell` for others."},
	{key: "user", kind: text, ours: true,
		meaning: "`NAME` or `NAME:GROUP` that the daemon becomes after it listens, when root starts it; `--user` " +
			"beats it. Directories of this file that are missing are made and given to that user, who must be able " +
			"to read this file. A change needs a restart."},
	{key: "host", kind: text, ours: true,
		meaning: "What this machine is called in the names of streams, in a `prefix`, and in what `inkwell forward` " +
			"and `inkwell pipe` tell of themselves; `--host` beats it. Without it what the machine calls itself."},
	{key: "journal", kind: text, ours: true,
		meaning: "`kafka://BROKER,BROKER/TOPIC?OPTIONS`: the journal is a topic that several collectors share " +
			"(docs/scale-out.md). Every store must be of `type=file` with the same depot in `publish`, and " +
			"`max_message_size` must be given. A change needs a restart. Without it the journal is in the state " +
			"directory."},
	{key: "journal_max", kind: size, value: "32GiB", ours: true,
		meaning: "Bytes that may wait in the journal for their stores before every call is answered TRY_LATER."},
	{key: "stream_ttl", kind: duration, value: "30d", ours: true,
		meaning: "How long it is remembered which numbered messages of a sender that has become silent are there; " +
			"what it sends again after that is written again."},
	{key: "max_frame_size", kind: size, value: "256MiB", ours: true,
		meaning: "Bytes of the largest call that is read, 1KiB to 256MiB; a connection with a larger one is closed. " +
			"A call over 16MiB goes through a file in the state directory, not through memory."},
	{key: "max_message_size", kind: size, value: "0", ours: true,
		meaning: "Bytes of the largest message; longer ones are dropped, counted as `refused message size` and " +
			"answered OK. 0 = what a call holds."},
	{key: "max_trusted_frame_size", kind: size, value: "0", ours: true,
		meaning: "The same for this machine, and for peers that an `<allow>` block names, if it is more than " +
			"`max_frame_size`."},
	{key: "max_entries", kind: count, value: "0", ours: true,
		meaning: "Messages of one call; a call with more is answered with an exception. 0 = one for each 32 bytes of " +
			"`max_frame_size`."},
	{key: "max_in_flight", kind: size, value: "512MiB", ours: true,
		meaning: "Bytes of calls over 256KiB that are read at once, of all connections; one address gets a quarter, " +
			"but at least one call. Further ones wait, at most 30 seconds."},
	{key: "idle_timeout", kind: duration, value: "10m", ours: true,
		meaning: "How long a connection may be silent between two calls before it is closed."},
	{key: "header_timeout", kind: duration, value: "1m", ours: true,
		meaning: "How long a new connection has until its first call begins, with the TLS handshake."},
	{key: "max_categories", kind: count, value: "4096", ours: true,
		meaning: "Categories at once that have a queue of their own, or a store of their own in one of type " +
			"`category`, `multifile` or `thriftmultifile`; further ones are kept under `_overflow`."},
}

// global reads the keys outside of all blocks.
func (l *loader) global() {
	b := l.block(l.file.Root, "global")
	c := l.config
	c.Port = int(min(b.count("port"), 1<<30))
	if v, ok := b.Get("port"); ok && (c.Port < 1 || c.Port > 65535) {
		l.spoil(v.Line, fmt.Sprintf("port=%s is no port", conf.Quote(v.Text)),
			"write a number from 1 to 65535; 1463 is what clients expect")
		c.Port = 0
	}
	threads := b.count("num_thrift_server_threads")
	if v, ok := b.Get("num_thrift_server_threads"); ok && threads == 0 {
		l.spoil(v.Line, fmt.Sprintf("num_thrift_server_threads=%s is 0", conf.Quote(v.Text)),
			"remove the line: it has no effect otherwise")
	}
	c.Listen, c.HTTP, c.TLS = l.addresses(b, "listen"), l.addresses(b, "http"), l.globalTLS(b)
	c.MaxMessagesPerSecond = int64(min(b.count("max_msg_per_second"), 1<<62))
	c.MaxQueueSize = l.queueSize(b)
	if v, ok := b.Get("max_queue_size"); ok && c.MaxQueueSize == 0 {
		l.warn(v.Line, fmt.Sprintf(
			"max_queue_size=%s is 0: every call is refused while its categories have anything queued",
			conf.Quote(v.Text)), "write bytes in decimal digits, as in 5000000")
	}
	c.CheckInterval = max(b.seconds("check_interval"), time.Second)
	c.ThreadPerCategory = b.yes("new_thread_per_category")
	c.MaxConnections = int(min(b.count("max_conn"), 1<<30))
	c.MaxCategories = int(min(b.count("max_categories"), 1<<30))
	if v, ok := b.Get("max_categories"); ok && c.MaxCategories < 1 {
		c.MaxCategories = int(b.fallback("max_categories", v, "is no limit to work with"))
	}
	c.LongestPrefix = b.choice("prefix_match", "shortest", "longest") == "longest"
	c.Durability = b.choice("durability", "sync", "write", "memory")
	c.State, c.StateDir = b.text("state"), b.text("state_dir")
	if v, ok := b.Get("state_dir"); ok && c.State != "" {
		l.warn(v.Line, "state_dir has no effect beside state", "remove one of them")
	}
	c.User, c.Host = b.text("user"), b.text("host")
	c.JournalMax = b.bytes("journal_max")
	if v, ok := b.Get("journal_max"); ok && c.JournalMax < 1<<20 {
		c.JournalMax = b.fallback("journal_max", v, "is less than 1MiB")
	}
	c.StreamTTL = b.duration("stream_ttl")
	if v, ok := b.Get("stream_ttl"); ok && c.StreamTTL < time.Minute {
		l.fail(v.Line, fmt.Sprintf("stream_ttl=%s is less than a minute: 30d is used", conf.Quote(v.Text)),
			"write a duration, as in 30d")
		c.StreamTTL = 30 * 24 * time.Hour
	}
	frame := b.bytes("max_frame_size")
	if v, ok := b.Get("max_frame_size"); ok && (frame < 1<<10 || frame > 256<<20) {
		frame = b.fallback("max_frame_size", v, "is not between 1KiB and 256MiB")
	}
	c.MaxFrame = int(frame)
	frame = b.bytes("max_trusted_frame_size")
	if v, ok := b.Get("max_trusted_frame_size"); ok && frame > 256<<20 {
		frame = b.fallback("max_trusted_frame_size", v, "is more than 256MiB")
	}
	c.MaxTrusted = int(frame)
	l.limits(b)
}

// queueSize reads how much may wait for a store.
func (l *loader) queueSize(b block) int64 {
	if _, v := b.value("max_queue_size"); l.file.New && v.Text == "none" {
		return NoLimit
	}
	return b.bytes("max_queue_size")
}

// limits reads the limits for peers, except for the size of a frame.
func (l *loader) limits(b block) {
	c := l.config
	c.MaxEntries = int(min(b.count("max_entries"), 1<<30))
	c.MaxMessage = int(min(b.bytes("max_message_size"), 1<<30))
	c.MaxPerAddress = int(min(b.count("max_conn_per_address"), 1<<30))
	c.MaxInFlight = b.bytes("max_in_flight")
	if v, ok := b.Get("max_in_flight"); ok && c.MaxInFlight < 1<<20 {
		c.MaxInFlight = b.fallback("max_in_flight", v, "is less than 1MiB")
	}
	c.IdleTimeout, c.HeaderTimeout = b.duration("idle_timeout"), b.duration("header_timeout")
	for key, d := range map[string]*time.Duration{"idle_timeout": &c.IdleTimeout, "header_timeout": &c.HeaderTimeout} {
		if v, ok := b.Get(key); ok && *d < time.Second {
			o := b.section.option(key)
			l.fail(v.Line, fmt.Sprintf("%s=%s is less than a second: %s is used", key, conf.Quote(v.Text), o.value),
				"write a duration, as in "+o.value)
			*d, _ = conf.ParseDuration(o.value)
		}
	}
}

// addresses reads the addresses of a key to listen on.
func (l *loader) addresses(b block, key string) []string {
	var all []string
	for _, v := range b.All(key) {
		if path, ok := strings.CutPrefix(v.Text, "unix:"); ok && path != "" && path[0] != '@' {
			all = append(all, v.Text)
			continue
		}
		_, port, err := net.SplitHostPort(strings.TrimPrefix(v.Text, "tls://"))
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n > 65535 {
			l.spoil(v.Line, fmt.Sprintf("%s=%s is no address to listen on", key, conf.Quote(v.Text)),
				"write HOST:PORT, as in 0.0.0.0:1463 or [::1]:1463, tls://HOST:PORT, or unix:/path/of/socket; for "+
					"several the key stands several times")
			continue
		}
		all = append(all, v.Text)
	}
	return all
}
