package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"inkwell/forwarder/lines"
	"inkwell/internal/access"
	"inkwell/internal/conf"
	"inkwell/internal/config"
	"inkwell/rotate"
	"inkwell/store"
)

// node is a line of a tree with its children.
type node struct {
	text string
	on   []node
}

// draw writes n and its children; before is the indentation of all lines but the first.
func (n node) draw(w *strings.Builder, before string) {
	w.WriteString(n.text + "\n")
	for i, child := range n.on {
		branch, next := "├─ ", "│  "
		if i == len(n.on)-1 {
			branch, next = "└─ ", "   "
		}
		w.WriteString(before + branch)
		child.draw(w, before+next)
	}
}

// followed describes a <tail> block in one line.
func followedText(t config.Tail) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s ← files %s", conf.Quote(t.Category), conf.Quote(t.Glob))
	for i, x := range t.Exclude {
		b.WriteString([]string{" but not ", ", "}[min(i, 1)] + conf.Quote(x))
	}
	from := "start"
	if t.FromEnd {
		from = "end"
	}
	fmt.Fprintf(&b, " from their %s", from)
	if t.Lines.Encoding != lines.Auto {
		fmt.Fprintf(&b, ", %s", t.Lines.Encoding)
	}
	if t.Lines.Format != lines.None {
		fmt.Fprintf(&b, ", format %s", t.Lines.Format)
	}
	if t.Lines.Stamp {
		b.WriteString(" with time and stream")
	}
	if t.Lines.Start != "" {
		fmt.Fprintf(&b, ", messages that begin with %s, of %d lines at most, complete after %s",
			conf.Quote(t.Lines.Start), t.Lines.MaxLines, t.Lines.Wait)
	}
	fmt.Fprintf(&b, ", lines up to %s", humanize.IBytes(uint64(t.Lines.MaxLine)))
	return b.String()
}

// drawing draws the stores that result from a configuration as a tree.
func drawing(c *config.Config) string {
	root := node{text: conf.Quote(c.File.Name), on: []node{{text: served(c)}, {text: kept(c)}, {text: queued(c)}}}
	for _, r := range c.Allow.List() {
		root.on = append(root.on, node{text: allowed(r)})
	}
	for _, t := range c.Tails {
		root.on = append(root.on, node{text: followedText(t)})
	}
	for _, p := range c.Pipes {
		full := "waits when full"
		if p.DropWhenFull {
			full = "drops when full"
		}
		root.on = append(root.on, node{text: fmt.Sprintf("%s ← standard input, %s, waits %s at its end",
			conf.Quote(p.Category), full, p.DrainTimeout)})
	}
	for _, j := range c.Journals {
		o := journalOptions(j)
		root.on = append(root.on, node{text: fmt.Sprintf("%s ← %s, units %s", conf.Quote(j.Category),
			conf.Quote(o.Name()), conf.Quote(cmp.Or(strings.Join(j.Units, " "), "all")))})
	}
	for _, s := range c.Syslogs {
		root.on = append(root.on, node{text: fmt.Sprintf("%s ← syslog %s", conf.Quote(s.Category),
			conf.Quote(strings.Join(s.Listen, " ")))})
	}
	for _, s := range c.Stores {
		root.on = append(root.on, drawStore(c, s))
	}
	var w strings.Builder
	root.draw(&w, "")
	return w.String()
}

// allowed describes whom a rule allows what.
func allowed(r access.Rule) string {
	var may []string
	if r.Categories != "" {
		may = append(may, "may write "+conf.Quote(r.Categories))
	}
	if r.Control {
		may = append(may, "may stop and reload it")
	}
	return conf.Quote(r.From) + " " + strings.Join(may, ", ")
}

// served describes where calls are accepted, and when they are refused.
func served(c *config.Config) string {
	where := strings.Join(c.Listen, " ")
	switch {
	case where == "" && c.Port == 0:
		where = "the port of -p or 1463"
	case where == "":
		where = fmt.Sprintf("port %d", c.Port)
	}
	text := fmt.Sprintf("listens on %s, calls up to %s", conf.Quote(where), humanize.IBytes(uint64(c.MaxFrame)))
	if c.MaxConnections > 0 {
		text += fmt.Sprintf(", %d connections", c.MaxConnections)
	}
	if c.MaxMessagesPerSecond > 0 {
		text += fmt.Sprintf(", %d messages a second", c.MaxMessagesPerSecond)
	}
	return text
}

// kept describes what is made durable before a call is answered.
func kept(c *config.Config) string {
	state := cmp.Or(c.State, c.StateDir, "the directory of the system")
	if t := c.Topic; t != nil {
		depot, _ := c.TopicDepot() // that there is one was checked
		return fmt.Sprintf("durable in all in-sync replicas of topic %s at %s, drained every %v as member %s of group "+
			"%s into %s, state in %s", conf.Quote(t.Topic), conf.Quote(strings.Join(t.Brokers, " ")), t.Every,
			conf.Quote(t.Member), conf.Quote(t.Group), conf.Quote(depot), conf.Quote(state))
	}
	text := fmt.Sprintf("durability %s, state in %s, journal up to %s", c.Durability, conf.Quote(state),
		humanize.IBytes(uint64(c.JournalMax)))
	if c.User != "" {
		text += fmt.Sprintf(", as user %s when root starts it", conf.Quote(c.User))
	}
	return text
}

// queued describes how many queues there are and how far they may fill.
func queued(c *config.Config) string {
	how, prefix := "one for each category", "the shortest prefix wins"
	if !c.ThreadPerCategory {
		how = "one for each store"
	}
	if c.LongestPrefix {
		prefix = "the longest prefix wins"
	}
	size := "bounded by the journal"
	if c.MaxQueueSize != config.NoLimit {
		size = fmt.Sprintf("of up to %d bytes", c.MaxQueueSize)
	}
	return fmt.Sprintf("queues: %s, %s, %d at most; checked every %s; %s", how, size, c.MaxCategories, c.CheckInterval,
		prefix)
}

func drawStore(c *config.Config, s *config.Store) node {
	var names []string
	for _, category := range s.Categories {
		names = append(names, conf.Quote(category))
	}
	name := strings.Join(names, ", ")
	if name == "" {
		name = "<" + conf.Quote(s.Name) + ">"
	}
	if s.Status != "" {
		return node{text: fmt.Sprintf("%s ✗ line %d: %s", name, s.Line, s.Status)}
	}
	sink := s.Sink
	if c.IsModel(s) {
		sink = sink.For("CATEGORY")
	}
	n := drawSink(sink)
	n.text = name + " → " + n.text
	batch := fmt.Sprintf("given to it when %d bytes wait, or after %s", s.TargetWriteSize, s.MaxWriteInterval)
	if !s.MustSucceed {
		batch += "; what it cannot take is lost"
	}
	n.on = append(n.on, node{text: batch})
	return n
}

// labelled puts a label in front of the first line of a sink.
func labelled(label string, s config.Sink) node {
	n := drawSink(s)
	n.text = label + ": " + n.text
	return n
}

func drawSink(s config.Sink) node {
	switch s := s.(type) {
	case config.File:
		return node{text: fileText(s)}
	case config.Network:
		return node{text: networkText(s)}
	case config.Buffer:
		n := node{text: bufferText(s), on: []node{labelled("primary", s.Primary)}}
		if s.SpoolDir == "" {
			n.on = append(n.on, labelled("secondary", s.Secondary))
		}
		return n
	case config.Bucket:
		return drawBucket(s)
	case config.Multi:
		n := node{text: "multi, done when all of these have it"}
		if s.Any {
			n.text = "multi, done when any of these has it"
		}
		for _, child := range s.Children {
			n.on = append(n.on, drawSink(child))
		}
		return n
	case config.ByCategory:
		return node{text: "category, for each category a store of its own",
			on: []node{drawSink(s.Model.For("CATEGORY"))}}
	}
	return node{text: s.String()}
}

func drawBucket(s config.Bucket) node {
	text := fmt.Sprintf("bucket, %d by %s", len(s.Children)-1, s.Kind)
	if s.Kind != "context_log" && s.Kind != "random" {
		text += fmt.Sprintf(", delimiter %q", s.Delimiter)
	}
	if s.Kind == "key_range" {
		text += fmt.Sprintf(", keys from 0 to below %d", s.Range)
	}
	if s.RemoveKey {
		text += ", keys removed"
	}
	n := node{text: text}
	const most = 8 // that are shown
	for i, child := range s.Children {
		if len(s.Children) > most && i == most-2 {
			n.on = append(n.on, node{text: "…"})
		}
		if len(s.Children) <= most || i < most-2 || i == len(s.Children)-1 {
			n.on = append(n.on, labelled(fmt.Sprint(i), child))
		}
	}
	return n
}

func fileText(f config.File) string {
	name := filepath.Join(f.Dir, f.Sub, f.Base)
	if f.Rotate != "never" {
		name += "-YYYY-MM-DD"
	}
	name += "_NNNNN"
	kind := "file"
	if f.Thrift {
		kind = "thriftfile"
	}
	if f.Compress != nil {
		name += f.Compress.Codec.Suffix()
	}
	parts := []string{kind + " " + conf.Quote(name), rotation(f)}
	switches := []struct {
		on   bool
		text string
	}{
		{f.Form.Newlines == store.NewlinesAlways, "add_newlines"},
		{f.Form.Newlines == store.NewlinesIfMissing, "add_newlines if-missing"},
		{f.WriteCategory, "write_category"}, {f.WriteMeta, "write_meta"}, {f.WriteStats, "write_stats"},
		{f.RotateOnReopen, "rotate_on_reopen"}, {f.NoSymlink, "no link"},
		{f.Chunk > 0, fmt.Sprintf("chunk_size %d", f.Chunk)},
	}
	for _, s := range switches {
		if s.on {
			parts = append(parts, s.text)
		}
	}
	if f.Compress != nil {
		parts = append(parts, publishedText(f.Compress)...)
	}
	return strings.Join(parts, ", ")
}

// publishedText describes what is done with finished files.
func publishedText(c *config.Compress) (parts []string) {
	if c.Codec == rotate.None {
		parts = append(parts, "never changed when finished")
	}
	if c.KeepOpen {
		parts = append(parts, "left open at the end")
	}
	if c.Keep > 0 {
		parts = append(parts, "kept for "+days(c.Keep))
	}
	if c.KeepBytes > 0 {
		parts = append(parts, fmt.Sprintf("kept up to %d bytes", c.KeepBytes))
	}
	if c.KeepTotal > 0 {
		parts = append(parts, fmt.Sprintf("kept up to %d bytes of all categories", c.KeepTotal))
	}
	if c.Hive {
		parts = append(parts, "in partitions (hive)")
	}
	if c.DoneMarkers {
		parts = append(parts, fmt.Sprintf("marked when complete, senders waited for up to %s", c.Lateness))
	}
	return parts
}

// days formats a duration, in days if it is a whole number of them.
func days(d time.Duration) string {
	const day = 24 * time.Hour
	if d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}

// rotation describes when files are rotated.
func rotation(f config.File) string {
	var when []string
	switch f.Rotate {
	case "daily":
		when = append(when, fmt.Sprintf("daily at %02d:%02d", f.RotateHour, f.RotateMinute))
	case "hourly":
		when = append(when, fmt.Sprintf("hourly at minute %02d", f.RotateMinute))
	case "never":
	default:
		when = append(when, "every "+conf.Quote(f.Rotate))
	}
	if f.MaxSize > 0 {
		when = append(when, fmt.Sprintf("at %d bytes", f.MaxSize))
	}
	if len(when) == 0 {
		return "never rotated"
	}
	return "rotated " + strings.Join(when, " or ")
}

func bufferText(b config.Buffer) string {
	when := fmt.Sprintf("tried again after %s to %s", b.RetryInterval-b.RetryRange/2,
		b.RetryInterval+(b.RetryRange+1)/2-time.Second)
	if b.Adaptive {
		when = fmt.Sprintf("tried again after %s to %s, adaptively", b.MinRetry, b.MaxRetry)
	}
	text := "buffer, primary " + when
	switch {
	case !b.Replay:
		text += ", what went to the secondary stays there"
	case b.FlushStreaming:
		text += ", replayed beside new messages"
	default:
		text += ", replayed in order"
	}
	if b.SpoolMax > 0 {
		text += ", up to " + humanize.IBytes(uint64(b.SpoolMax)) + " on disk"
	}
	if b.SpoolDir != "" {
		text += " in " + conf.Quote(b.SpoolDir)
	}
	return text
}

func networkText(n config.Network) string {
	text := "network " + conf.Quote(strings.Join(n.Addrs, " "))
	if m := n.Mapping; m != nil {
		text = fmt.Sprintf("network, where bucket %d is by %s, asked every %s", m.Bucket,
			conf.Quote(strings.Join(m.Addrs, " ")), m.TTL)
	}
	if n.Shuffle && len(n.Addrs) > 1 {
		text += ", any of them"
	}
	if n.Spread {
		text += ", divided among the senders"
	}
	text += fmt.Sprintf(", timeout %s, calls up to %s", n.Timeout, humanize.IBytes(uint64(n.MaxBatch)))
	if n.Pool {
		text += ", shared connection"
	}
	if n.IgnoreError {
		text += ", errors not shown"
	}
	return text
}
