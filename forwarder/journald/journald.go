// Package journald reads the systemd journal through a child process, journalctl:
//
//	journalctl --follow --output=export --cursor=… ── pipe ──► entries ── selected by unit ──► Queue ──► deliver
//	     ▲                                                                                                  │
//	     └── restarted after the last entry that was read, when it ends or is killed           acknowledged ▼
//	                                                               cursor and numbers, synced, in the state directory
//
// The entries of each category are numbered in the order of the journal. The state file has the cursor up to which
// everything was acknowledged, and the next numbers. So what is read again after a crash gets the same numbers as
// before, and a collector drops it as a duplicate.
//
// The journal's cursor is used to recognize the last entry that was read. If that entry is gone (rotated away, or lost
// in a power cut), reading goes on at its time, so that nothing after it is skipped.
//
// Invariants: a cursor is saved only when everything before it was acknowledged. The cursor and the numbers of a batch
// are one line of the state file, so that a crash cannot separate them.
//
// Limitations: entries are expected in the order in which one journald wrote them. If several hosts wrote files into
// one directory (systemd-journal-remote), an entry that arrives with an older time than the last one read is not seen.
// What the journal drops before it is read is lost; what it drops itself (rate limits) it reports in entries of its
// own.
package journald

import (
	"cmp"
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

// Options say which entries of which journal are read.
type Options struct {
	Category      string   // can use {unit}, {identifier} and {host}; "" = {unit}
	Units         []string // patterns as nginx.service or app-*.service; none = everything
	Directory     string   // of the journal files; "" = the system's
	Namespace     string   // of the journal (LogNamespace= of a unit); "" = the default one
	Bare          bool     // the message alone, without time, host and program before it
	FromEnd       bool     // begin at the end of a journal that is read for the first time
	Once          bool     // read to the end and stop
	MaxLine       int      // bytes; longer messages are split; 0 = 16 MiB
	MaxCategories int      // further entries get "other" for each name of Category; 0 = 4096
	Logger        *slog.Logger
	Stats         *stats.Set
}

const (
	defaultLine       = 16 << 20
	defaultCategories = 4096
	// noteAfter is after how many unselected entries the cursor is saved nevertheless.
	noteAfter = 1000
)

// names are what a category template may use.
var names = []string{"unit", "identifier", "host"}

// Input is one journal. It is a feed.Feed.
type Input struct {
	o         Options
	log       *slog.Logger
	health    *stats.Health
	category  *category.Namer
	program   string
	state     *stateFile
	queue     *feed.Queue[checkpoint] // the mark of a batch is saved when the batch is acknowledged
	received  *stats.PerCategory
	last      checkpoint // the last entry that was read; its cursor is "" before the first
	skipped   int        // unselected entries since the last selected one
	jump      string     // the cursor of an entry before which there was a gap that was looked at again …
	jumped    time.Time  // … and when that was
	unsaved   bool       // the state cannot be written, which was logged
	zone      *time.Location
	line      []byte
	truncated *atomic.Int64
	lines     *atomic.Int64
}

// checkpoint is an entry of the journal at which reading can go on.
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

// Same says whether both use the same state file.
func (o *Options) Same(other Options) bool { return o.key() == other.key() }

// key distinguishes the journals whose states are in one directory.
func (o *Options) key() string {
	return o.Directory + "\x00" + o.Namespace + "\x00" + o.template()
}

// Name is the journal and its units, as in journal:nginx.service.
func (in *Input) Name() string {
	return strings.TrimSuffix(in.o.Name()+":"+strings.Join(in.o.Units, ","), ":")
}

// Name is the name of the journal in messages and audits.
func (o *Options) Name() string {
	switch {
	case o.Directory != "":
		return "journal:" + o.Directory
	case o.Namespace != "":
		return "journal:" + o.Namespace
	}
	return "journal"
}

// New returns an input that is not open yet. The options must be valid.
func New(o Options) *Input {
	o.MaxLine = cmp.Or(o.MaxLine, defaultLine)
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
	in.queue = feed.NewQueue[checkpoint](in.state.stream, in.state.numbers)
	return nil
}

// begin makes sure that there is a stream, and that it is saved before the first of its entries is sent, because what
// is sent again must have the same numbers.
//
// A new stream is begun after a reboot: a power cut can take the end of a journal, and what is written there afterwards
// must not get the numbers of what was sent. A new stream is also begun when the selection has changed, because then
// the same numbers would mean other entries.
func (in *Input) begin() error {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil { // without a boot ID reboots go unnoticed
		in.log.Warn("cannot find out whether the machine was restarted", "err", err)
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

// rules is a checksum of everything on which the numbers of entries depend.
func (in *Input) rules(boot []byte) uint32 {
	text := fmt.Sprintf("%s\x00%q\x00%v\x00%d", in.o.key(), in.o.Units, in.o.Bare, in.o.MaxLine)
	return crc32.ChecksumIEEE(append([]byte(text), boot...))
}

// Run reads the journal until ctx ends, or with Options.Once to its end.
func (in *Input) Run(ctx, hard context.Context, deliver feed.Deliver) error {
	shipped := make(chan error, 1)
	go func() {
		shipped <- in.queue.Ship(func(b *feed.Batch[checkpoint]) error {
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
	in.queue.Put(ctx, func(b *feed.Batch[checkpoint]) { in.note(b) })
	in.queue.Close()
	return errors.Join(err, <-shipped)
}

// acked saves up to where the journal was acknowledged. Entries are delivered even when that cannot be written: a full
// disk is no reason to hold them back. The price is that they are sent twice if the process dies.
func (in *Input) acked(b *feed.Batch[checkpoint]) {
	err := in.state.save(b.Mark, b.Next())
	switch {
	case err != nil && !in.unsaved:
		in.log.Error("cannot save the position in the journal; if the forwarder is killed now, entries are sent twice",
			"err", err)
	case err == nil && in.unsaved:
		in.log.Info("the position in the journal can be saved again")
	}
	in.unsaved = err != nil
}

// note has the checkpoint of the last read entry saved, though that entry was not selected.
func (in *Input) note(b *feed.Batch[checkpoint]) {
	if in.skipped > 0 {
		b.Mark = in.last
		b.Note()
		in.skipped = 0
	}
}

// take puts an entry into the queue. It is false when ctx ended while the queue was full.
func (in *Input) take(ctx context.Context, e *entry) bool {
	unit := e.unit()
	if !in.selected(unit) {
		in.last = e.checkpoint()
		in.skipped++
		return in.skipped < noteAfter || in.queue.Put(ctx, in.note)
	}
	if e.cut > 0 {
		in.truncated.Add(1)
		in.log.Warn("a message is too long: its rest is cut off",
			"unit", unit, "held", maxMessage, "cut", e.cut)
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
	return in.queue.Put(ctx, func(b *feed.Batch[checkpoint]) {
		n := int64(0)
		feed.Pieces(message, in.o.MaxLine, func(piece []byte) { b.Append(name, piece); n++ })
		in.received.Add(name, n)
		in.lines.Add(n)
		in.last, in.skipped = e.checkpoint(), 0
		b.Mark = in.last
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
