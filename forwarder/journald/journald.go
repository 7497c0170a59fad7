// Package journald reads the systemd journal, by a child that is journalctl:
//
//	journalctl --follow --output=export --cursor=… ── pipe ──► entries ── selected, by unit ──► Queue ──► deliver ──► acknowledged
//	     ▲                                                                                                              │
//	     └──────────────── started again behind the last entry that was read, when it ends or is killed                 ▼
//	                                                                              cursor and numbers, durable, in the state directory
//
// An entry gets its number in the order of the journal, in its category. A state says up to which cursor everything was
// acknowledged, and what the next numbers are: what is read again after a crash has the numbers it had, and a collector
// leaves it out.
//
// The journal's own cursor is taken as an entry that was read, not as a place: where that entry is gone (rotated away,
// or lost with a power cut), reading goes on by time, so that nothing behind it is passed over.
//
// Invariants: a cursor is saved only when everything before it was acknowledged; a batch and what the state says of it
// are one line of the state file, so that a crash tears nothing apart.
//
// Limitations: the order of a journal is that of the one journald that writes it. Of files that several hosts wrote
// into one directory (systemd-journal-remote) an entry that arrives with an older time than the last one read is not
// seen. What the journal throws away before it is read is lost; what it throws away itself (rate limits) it says in its
// own entries.
package journald

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"inkwell/forwarder/category"
	"inkwell/forwarder/feed"
	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/store/stream"
)

// Options say what of which journal is read.
type Options struct {
	Category      string   // can use {unit}, {identifier} and {host}; "" = {unit}
	Units         []string // patterns as nginx.service or app-*.service; none = everything
	Directory     string   // of the journal files; "" = the system's
	Namespace     string   // of the journal (LogNamespace= of a unit); "" = the default one
	Bare          bool     // the message alone, without time, host and program before it
	FromEnd       bool     // a journal that is read for the first time is read from its end
	Once          bool     // read to the end and stop
	MaxLine       int      // bytes; longer messages are split; 0 = 16 MiB
	MaxCategories int      // entries of further ones have "other" for each name of Category; 0 = 4096
	Logger        *slog.Logger
	Stats         *stats.Set
}

const (
	defaultLine       = 16 << 20
	defaultCategories = 4096
	// noteAfter is how many entries that are not selected make a cursor worth saving.
	noteAfter = 1000
)

// names are what a category can use.
var names = []string{"unit", "identifier", "host"}

// Input is one journal. It is a feed.Feed.
type Input struct {
	o         Options
	log       *slog.Logger
	health    *stats.Health
	category  *category.Namer
	program   string
	state     *stateFile
	queue     *feed.Queue[mark]
	received  *stats.PerCategory
	last      checkpoint // of the last entry that was read; its cursor is "" before the first
	skipped   int        // entries that were not selected since the last that was put
	unsaved   bool       // the state could not be written, and that was logged
	zone      *time.Location
	line      []byte
	truncated *atomic.Int64
	lines     *atomic.Int64
}

// mark is what a batch says of the journal.
type mark struct{ checkpoint checkpoint }

// checkpoint is an entry of the journal.
type checkpoint struct {
	cursor string
	micros int64 // its time, since 1970
}

// Validate reports everything that is wrong.
func (o *Options) Validate() error {
	_, err := category.ParseKnown(o.template(), names...)
	errs := []error{err}
	for _, unit := range o.Units {
		if _, err := path.Match(unit, ""); err != nil || unit == "" {
			errs = append(errs, fmt.Errorf("unit %q is no pattern: write nginx.service or app-*.service", unit))
		}
	}
	if o.Directory != "" && o.Namespace != "" {
		errs = append(errs, errors.New("a journal has a directory or a namespace, not both"))
	}
	if strings.HasPrefix(o.Namespace, "-") || strings.ContainsAny(o.Namespace, "/ +*") {
		errs = append(errs, fmt.Errorf("namespace %q is not the name of one", o.Namespace))
	}
	return errors.Join(errs...)
}

func (o *Options) template() string {
	if o.Category == "" {
		return "{unit}"
	}
	return o.Category
}

// Same says whether both would have the same state.
func (o *Options) Same(other Options) bool { return o.key() == other.key() }

// key tells journals apart whose states stand in one directory.
func (o *Options) key() string {
	return o.Directory + "\x00" + o.Namespace + "\x00" + o.template()
}

// Name says which journal is read, and of which units, as in journal:nginx.service.
func (in *Input) Name() string {
	return strings.TrimSuffix(in.o.Name()+":"+strings.Join(in.o.Units, ","), ":")
}

// Name is what the journal is called in messages and audits.
func (o *Options) Name() string {
	switch {
	case o.Directory != "":
		return "journal:" + o.Directory
	case o.Namespace != "":
		return "journal:" + o.Namespace
	}
	return "journal"
}

// New returns an input that was not opened yet. The options must be valid.
func New(o Options) *Input {
	if o.MaxLine == 0 {
		o.MaxLine = defaultLine
	}
	if o.MaxCategories == 0 {
		o.MaxCategories = defaultCategories
	}
	return &Input{o: o, zone: time.Local}
}

// Open finds journalctl and reads the state.
func (in *Input) Open(dir *faultfs.Dir) (err error) {
	in.log, in.health = in.o.Logger, stats.NewHealth(in.o.Logger)
	in.received = in.o.Stats.PerCategory("received good")
	in.lines = in.o.Stats.Overall("lines read")
	in.truncated = in.o.Stats.Overall("messages cut")
	t, err := category.ParseKnown(in.o.template(), names...)
	if err != nil {
		return err
	}
	if in.program, err = exec.LookPath("journalctl"); err != nil {
		return fmt.Errorf("read the journal: %w; it needs journalctl, which is part of systemd", err)
	}
	if in.state, err = openStateFile(dir, &in.o, in.log); err != nil {
		return fmt.Errorf("open the state of %s: %w", in.o.Name(), err)
	}
	if err := in.begin(); err != nil {
		return fmt.Errorf("open the state of %s: %w", in.o.Name(), err)
	}
	in.last = in.state.checkpoint
	in.category = category.NewNamer(t, in.o.MaxCategories, slices.Collect(maps.Keys(in.state.numbers)), in.log)
	in.queue = feed.NewQueue[mark](in.state.stream, in.state.numbers)
	return nil
}

// begin sees to it that there is a stream, durable, before the first of its entries is sent: what is sent again has to
// have the numbers that it had. After a start of the machine it is another one, because a power cut takes the end of a
// journal, and what is written then must not have the numbers of what was sent. With another selection numbers would
// mean other entries.
func (in *Input) begin() error {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil { // nothing can be said of starts then
		in.log.Warn("cannot tell whether the machine was started anew", "err", err)
	}
	rules := in.rules(boot)
	if in.state.stream != (stream.ID{}) && binary.BigEndian.Uint32(in.state.stream[12:]) == rules {
		return nil
	}
	first := in.state.stream == (stream.ID{})
	in.state.stream, in.state.numbers = stream.ID{}, make(map[string]int64)
	rand.Read(in.state.stream[:12])
	binary.BigEndian.PutUint32(in.state.stream[12:], rules)
	if first && in.o.FromEnd {
		if in.state.checkpoint, err = in.end(); err != nil {
			return err
		}
	}
	return in.state.rewrite()
}

// rules is a sum of what the numbers of entries depend on.
func (in *Input) rules(boot []byte) uint32 {
	text := fmt.Sprintf("%s\x00%q\x00%v\x00%d", in.o.key(), in.o.Units, in.o.Bare, in.o.MaxLine)
	return crc32.ChecksumIEEE(append([]byte(text), boot...))
}

// Run reads the journal until ctx ends, with Options.Once to its end.
func (in *Input) Run(ctx, hard context.Context, deliver feed.Deliver) error {
	shipped := make(chan error, 1)
	go func() {
		shipped <- in.queue.Ship(func(b *feed.Batch[mark]) error {
			if entries := b.Entries(); entries.Count() > 0 {
				if err := deliver(hard, entries); err != nil {
					return err
				}
			}
			in.acked(b)
			return nil
		})
	}()
	err := in.follow(ctx)
	in.queue.Put(ctx, func(b *feed.Batch[mark]) { in.note(b) })
	in.queue.Close()
	return errors.Join(err, <-shipped)
}

// acked saves how far the journal was acknowledged. Entries are handed on when that cannot be written: the price is
// that they are sent twice if the process dies, and a full disk is no reason to keep them from where they belong.
func (in *Input) acked(b *feed.Batch[mark]) {
	err := in.state.save(b.Mark.checkpoint, b.Next())
	switch {
	case err != nil && !in.unsaved:
		in.log.Error("cannot write how far the journal was read; if the forwarder is killed now, entries are sent twice", "err", err)
	case err == nil && in.unsaved:
		in.log.Info("how far the journal was read can be written again")
	}
	in.unsaved = err != nil
}

// note has the checkpoint of what was read last saved, though nothing behind it was selected.
func (in *Input) note(b *feed.Batch[mark]) {
	if in.skipped > 0 {
		b.Mark.checkpoint = in.last
		b.Note()
		in.skipped = 0
	}
}

// take takes an entry in. It is false when ctx ended while the queue was full.
func (in *Input) take(ctx context.Context, e *entry) bool {
	unit := e.unit()
	if !in.selected(unit) {
		in.last = e.checkpoint()
		in.skipped++
		return in.skipped < noteAfter || in.queue.Put(ctx, in.note)
	}
	if e.cut > 0 {
		in.truncated.Add(1)
		in.log.Warn("a message is longer than is held: what is behind is cut off", "unit", unit, "held", maxMessage, "cut", e.cut)
	}
	name := in.category.Name(func(name string) string {
		switch name {
		case "unit":
			return unit
		case "identifier":
			return e.identifier()
		}
		return e.host
	})
	message := e.message
	if !in.o.Bare {
		l := feed.Line{Time: time.UnixMicro(e.micros).In(in.zone), Host: e.host, App: e.identifier(), PID: e.process()}
		in.line = l.Append(in.line[:0], message)
		message = in.line
	}
	message = feed.Ended(message)
	return in.queue.Put(ctx, func(b *feed.Batch[mark]) {
		n := int64(0)
		feed.Pieces(message, in.o.MaxLine, func(piece []byte) { b.Append(name, piece); n++ })
		in.received.Add(name, n)
		in.lines.Add(n)
		in.last, in.skipped = e.checkpoint(), 0
		b.Mark.checkpoint = in.last
	})
}

func (in *Input) selected(unit string) bool {
	for _, pattern := range in.o.Units {
		if ok, _ := path.Match(pattern, unit); ok { // the pattern was checked
			return true
		}
	}
	return len(in.o.Units) == 0
}

// Close releases the state.
func (in *Input) Close() error {
	if in.state == nil {
		return nil
	}
	return in.state.close()
}
