package spool

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"inkwell/internal/faultfs"
	"inkwell/internal/faultfs/crashfs"
)

// sequences is how many sequences of actions each run of the model plays, in several parts side by side.
const (
	sequences = 10_000
	parts     = 4
)

// TestModel plays random sequences of appends, reads, acknowledgements, rotations, faults, kills, power cuts and damage
// on a log whose segments are tiny, and compares what it holds with what it was given. A failure is shrunk, and printed
// with its seed; -rapid.checks=N plays N sequences in each part, -rapid.seed=N the same ones again.
func TestModel(t *testing.T) {
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if !given["rapid.checks"] {
		all := sequences
		if testing.Short() { // make check
			all /= 10
		}
		setFlag(t, "rapid.checks", fmt.Sprint(all/parts))
		setFlag(t, "rapid.steps", "12")
	}
	if !given["rapid.seed"] && !given["rapid.failfile"] {
		seed := rand.Uint64()
		setFlag(t, "rapid.seed", fmt.Sprint(seed))
		t.Logf("-rapid.seed=%d", seed)
	}
	var played, seen eventCounts
	t.Run("parts", func(t *testing.T) {
		for part := range parts {
			t.Run(fmt.Sprint(part), func(t *testing.T) {
				t.Parallel()
				base := t.TempDir()
				n := 0
				rapid.Check(t, func(r *rapid.T) {
					n++
					for range part { // the parts have one seed: this sets them apart
						rapid.Uint64().Draw(r, "part")
					}
					m := newModel(r, filepath.Join(base, fmt.Sprint(n)), &seen)
					defer m.end()
					r.Repeat(m.actions(&played))
				})
				seen.add("sequences", int64(n))
			})
		}
	})
	t.Logf("actions: %v", &played)
	t.Logf("what came of them: %v", &seen)
	if t.Failed() || given["rapid.failfile"] || given["rapid.checks"] || testing.Short() {
		return
	}
	for _, what := range []string{"wraps", "segments", "full", "failed appends", "failed acknowledgements",
		"failed opens", "power cuts", "kills", "records hit by damage", "torn ends"} {
		if seen.get(what) == 0 {
			t.Errorf("the model never saw %s: it tests less than it says", what)
		}
	}
}

func setFlag(t *testing.T, name, value string) {
	t.Helper()
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
}

// eventCounts counts events by name.
type eventCounts struct{ m sync.Map }

func (c *eventCounts) add(what string, n int64) {
	v, _ := c.m.LoadOrStore(what, new(atomic.Int64))
	v.(*atomic.Int64).Add(n)
}

func (c *eventCounts) get(what string) int64 {
	if v, ok := c.m.Load(what); ok {
		return v.(*atomic.Int64).Load()
	}
	return 0
}

func (c *eventCounts) String() string {
	var all []string
	c.m.Range(func(k, v any) bool { all = append(all, fmt.Sprintf("%s %d", k, v.(*atomic.Int64).Load())); return true })
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// fate is what the test knows about a record.
type fate int

const (
	durable  fate = iota // acknowledged to the appender, or delivered by a reader
	failed               // its Append failed in this process: not to be read before a restart
	maybe                // its Append failed before a restart, or never returned
	hit                  // it stood in a place that was damaged
	released             // it was acknowledged, and that failed, or was lost with the power
)

// modelRecord is a record that was appended.
type modelRecord struct {
	data  string
	count int
	fate  fate
}

// model is a log, its disk, and its expected content.
type model struct {
	t     *rapid.T
	base  string
	seen  *eventCounts
	disk  *crashfs.Disk
	proc  *crashfs.Process
	fault *plan
	path  string
	image int
	dir   *faultfs.Dir
	log   *Log
	o     Options

	records   []modelRecord
	index     map[string]int
	consumed  int // records below are acknowledged
	reader    *Reader
	read      int    // index of the next record for reader
	readEnd   uint64 // End of the record that was read last
	unacked   int    // index behind that
	corrupted bool   // once: damage may be told from then on
	unsure    bool   // an fsync has failed: what the kernel shows of unacknowledged records need not be on disk
}

func newModel(t *rapid.T, base string, seen *eventCounts) *model {
	m := &model{t: t, base: base, seen: seen, index: make(map[string]int)}
	m.o = Options{
		SegmentBytes: int64(rapid.SampledFrom([]int{200, 600, 1500}).Draw(t, "segment bytes")),
		MaxBytes:     int64(rapid.SampledFrom([]int{4000, 8000}).Draw(t, "most bytes")),
		MaxRecord:    3000,
	}
	m.path = filepath.Join(base, "0")
	m.no(os.MkdirAll(m.path, 0o750))
	m.newDisk()
	m.open()
	return m
}

func (m *model) no(err error) {
	if err != nil {
		m.t.Helper()
		m.t.Fatal(err)
	}
}

func (m *model) newDisk() {
	disk, err := crashfs.New(m.path)
	m.no(err)
	m.disk = disk
}

// open starts a process. The first attempt may hit an armed fault.
func (m *model) open() {
	m.start()
	l, err := Open(m.dir, m.o)
	if err != nil {
		m.seen.add("failed opens", 1)
		if !m.fault.used() {
			m.t.Fatalf("open: %v\n%s", err, m.listing())
		}
		m.fault.clear()
		m.proc.Kill()
		m.dir.Close()
		m.start()
		l, err = Open(m.dir, m.o)
		m.no(err)
	}
	m.log = l
	acked, _ := l.Bounds()
	m.reader, m.readEnd = l.Reader(acked), acked
}

func (m *model) start() {
	m.proc = m.disk.Process(m.faults())
	dir, err := faultfs.OpenDir(m.path, m.proc)
	m.no(err)
	m.dir = dir
}

func (m *model) faults() *plan {
	if m.fault == nil {
		m.fault = &plan{}
	}
	return m.fault
}

// stop ends the process as if it were killed: nothing more of it reaches the disk.
func (m *model) stop() {
	m.proc.Kill()
	m.unsure = m.unsure || m.fault.used() && m.fault.op == faultfs.OpSync
	m.fault.clear()
	m.reader.Close()
	m.log.Close()
	m.dir.Close()
	m.log = nil
	for i := range m.records {
		if m.records[i].fate == failed {
			m.records[i].fate = maybe
		}
	}
}

func (m *model) end() {
	if m.log != nil {
		m.stop()
	}
	os.RemoveAll(m.base)
}

func (m *model) listing() string {
	var s strings.Builder
	list, _ := os.ReadDir(m.path)
	for _, e := range list {
		info, _ := e.Info()
		fmt.Fprintf(&s, "%s %d\n", e.Name(), info.Size())
	}
	return s.String()
}

// actions returns the steps of a sequence; the one without a name runs after each other step.
func (m *model) actions(played *eventCounts) map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){
		"Append":     m.Append,
		"Group":      m.Group,
		"Read":       m.Read,
		"Ack":        m.Ack,
		"Rotate":     m.Rotate,
		"Wrap":       m.Wrap,
		"Full":       m.Full,
		"Drain":      m.Drain,
		"Fault":      m.Fault,
		"Hard":       m.Hard,
		"Checkpoint": m.Checkpoint,
		"Corrupt":    m.Corrupt,
		"Kill":       m.Kill,
		"Crash":      m.Crash,
		"Torn":       m.Torn,
		"Reopen":     m.Reopen,
	}
	for name, do := range actions {
		actions[name] = func(t *rapid.T) { m.t = t; played.add(name, 1); do(t) }
	}
	actions[""] = func(t *rapid.T) { m.t = t; m.check(m.consumed, false) }
	return actions
}

// newRecord makes a unique record of some size.
func (m *model) newRecord(size int) modelRecord {
	r := modelRecord{count: len(m.records)%3 + 1, fate: failed}
	r.data = fmt.Sprintf("%d.%d.%s", m.image, len(m.records), strings.Repeat(string(rune('a'+len(m.records)%26)), size))
	m.index[r.data] = len(m.records)
	m.records = append(m.records, r)
	return r
}

// outcome records the result of an Append.
func (m *model) outcome(i int, err error) {
	switch {
	case err == nil:
		m.records[i].fate = durable
	case errors.Is(err, ErrFull):
		m.seen.add("full", 1)
	case !m.fault.used():
		m.t.Fatalf("append %d: %v", i, err)
	default:
		m.seen.add("failed appends", 1)
	}
}

// Append appends one record: nothing, little, about a sector, or several.
func (m *model) Append(t *rapid.T) {
	m.append(rapid.SampledFrom([]int{0, 30, 450, 512, 1300}).Draw(t, "bytes"))
}

func (m *model) append(size int) {
	i := len(m.records)
	r := m.newRecord(size)
	_, err := m.log.Append(ctx, []byte(r.data), r.count)
	m.outcome(i, err)
}

// Group appends several records as one group: they wait while a leader seems to be writing.
func (m *model) Group(t *rapid.T) {
	l, n := m.log, rapid.IntRange(2, 4).Draw(t, "records")
	l.mu.Lock()
	l.writing = true
	l.mu.Unlock()
	first, errs := len(m.records), make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		r := m.newRecord(i * 150)
		var done atomic.Bool
		wait.Go(func() {
			defer done.Store(true)
			_, errs[i] = l.Append(ctx, []byte(r.data), r.count)
		})
		for before := i; !done.Load(); runtime.Gosched() { // until it waits, or was refused
			l.mu.Lock()
			waits := len(l.queue) > before-refusals(errs[:i])
			l.mu.Unlock()
			if waits {
				break
			}
		}
	}
	l.lead()
	wait.Wait()
	for i, err := range errs {
		m.outcome(first+i, err)
	}
}

func refusals(errs []error) (n int) {
	for _, err := range errs {
		if err != nil {
			n++
		}
	}
	return n
}

// Read reads up to three more records.
func (m *model) Read(t *rapid.T) { m.readSome(t, rapid.IntRange(1, 3).Draw(t, "records")) }

// readSome reads up to n more records and reports whether there may be more.
func (m *model) readSome(t *rapid.T, n int) bool {
	for range n {
		rec, ok, err := m.reader.TryNext()
		var c *CorruptError
		switch {
		case errors.As(err, &c) && (m.corrupted || m.unsure):
			m.readEnd = c.End
			continue
		case err != nil && m.fault.used():
			m.rewind()
			return true
		case err != nil:
			t.Fatalf("read: %v", err)
		case !ok:
			return false
		}
		i, known := m.index[string(rec.Data)]
		if !known || m.records[i].count != rec.Count {
			t.Fatalf("read %.40q of %d entries, which nobody appended", rec.Data, rec.Count)
		}
		m.passed(m.read, i)
		m.deliver(i)
		m.read, m.readEnd, m.unacked = i+1, rec.End, i+1
	}
	return true
}

// rewind starts reading again behind the acknowledged records.
func (m *model) rewind() {
	m.reader.Close()
	acked, _ := m.log.Bounds()
	m.reader, m.readEnd, m.read, m.unacked = m.log.Reader(acked), acked, m.consumed, m.consumed
}

// passed checks that no durable record was skipped between two records.
func (m *model) passed(from, to int) {
	if to < from {
		m.t.Fatalf("record %d is read again behind %d", to, from-1)
	}
	for i := from; i < to; i++ {
		if m.records[i].fate == durable {
			m.t.Fatalf("record %d (%.20q) was durable and is not read\n%s", i, m.records[i].data, m.listing())
		}
	}
}

// deliver records that a reader returned record i, which proves that it is durable.
func (m *model) deliver(i int) {
	switch m.records[i].fate {
	case failed:
		m.t.Fatalf("record %d is read although its Append failed", i)
	case maybe:
		if !m.unsure {
			m.records[i].fate = durable
		}
	}
}

// Ack acknowledges the records that were read.
func (m *model) Ack(t *rapid.T) { m.ack() }

func (m *model) ack() {
	before, _ := m.log.Bounds()
	if m.readEnd <= before {
		return
	}
	err := m.log.Ack(m.readEnd)
	if err != nil {
		m.seen.add("failed acknowledgements", 1)
		if !m.fault.used() {
			m.t.Fatalf("acknowledge: %v", err)
		}
	}
	if acked, _ := m.log.Bounds(); acked >= m.readEnd {
		m.consumed = max(m.consumed, m.unacked)
	} else if err == nil {
		m.t.Fatalf("acknowledged %d, the log says %d", m.readEnd, acked)
	} else {
		for i := m.consumed; i < m.unacked; i++ { // the next process may know of it or not
			m.records[i].fate = released
		}
	}
}

// Rotate appends a record that fills a segment.
func (m *model) Rotate(*rapid.T) { m.append(int(m.o.SegmentBytes)) }

// Wrap appends, reads and acknowledges until files are reused.
func (m *model) Wrap(t *rapid.T) {
	for range 3 {
		m.append(int(m.o.SegmentBytes) / 2)
		m.append(int(m.o.SegmentBytes) / 2)
		m.Read(t)
		m.Read(t)
		m.ack()
		m.log.mu.Lock()
		m.seen.add("wraps", int64(len(m.log.spares)))
		m.seen.add("segments", int64(len(m.log.segments)))
		m.log.mu.Unlock()
	}
}

// Full appends until the log is full; records that were refused for that are never read.
func (m *model) Full(t *rapid.T) {
	for range 40 {
		i := len(m.records)
		m.append(rapid.IntRange(300, 900).Draw(t, "bytes"))
		if m.records[i].fate == failed {
			return
		}
	}
	t.Fatalf("%d bytes bound nothing", m.o.MaxBytes)
}

// Drain reads and acknowledges everything, so that the log has room again.
func (m *model) Drain(t *rapid.T) {
	m.fault.clear()
	m.rewind()
	for m.readSome(t, 1) { // also past damage before the place where it begins
	}
	m.ack()
	i := len(m.records)
	m.append(100)
	if bytes, _ := m.log.Backlog(); m.records[i].fate != durable {
		t.Fatalf("no room although everything is acknowledged: %d bytes of %d", bytes, m.o.MaxBytes)
	}
}

// Hard kills the process, and the first attempt to start another meets a fault.
func (m *model) Hard(t *rapid.T) {
	m.stop()
	m.Fault(t)
	m.open()
	m.fault.clear()
	m.check(0, false)
	m.rewind()
}

// Fault lets an operation fail soon.
func (m *model) Fault(t *rapid.T) {
	op := rapid.SampledFrom([]faultfs.Op{faultfs.OpWrite, faultfs.OpSync, faultfs.OpOpen, faultfs.OpRename,
		faultfs.OpRemove,
		faultfs.OpSyncDir, faultfs.OpTruncate, faultfs.OpRead}).Draw(t, "operation")
	m.fault.arm(&plan{op: op, skip: rapid.IntRange(0, 3).Draw(t, "after"), fail: rapid.IntRange(1, 4).Draw(t, "times"),
		allow: rapid.SampledFrom([]int{0, 17, 500}).Draw(t, "bytes"),
		err:   rapid.SampledFrom([]error{syscall.EIO, syscall.ENOSPC}).Draw(t, "error")})
}

// Checkpoint acknowledges the records that were read and shuts the process down: the acknowledgement and all records
// are durable then.
func (m *model) Checkpoint(t *rapid.T) {
	m.fault.clear()
	m.ack()
	m.Reopen(t)
	if spares, _ := filepath.Glob(filepath.Join(m.path, "*"+spareSuffix)); len(spares) > 0 {
		t.Fatalf("left behind by an orderly end: %v", spares)
	}
	m.cut(crashfs.Cut{Names: crashfs.NoNames, Bytes: crashfs.NoBytes})
	m.check(m.consumed, true)
}

// Reopen shuts the process down and starts another one.
func (m *model) Reopen(t *rapid.T) {
	m.fault.clear()
	m.reader.Close()
	m.no(m.log.Close())
	m.stop()
	m.open()
	m.check(m.consumed, true)
	m.rewind()
}

// Kill kills the process, keeping what it wrote, and starts another one.
func (m *model) Kill(t *rapid.T) {
	m.seen.add("kills", 1)
	m.stop()
	m.open()
	m.check(m.consumed, true)
	m.rewind()
}

// Crash cuts the power, now.
func (m *model) Crash(t *rapid.T) {
	m.cut(m.draw(t))
	m.check(0, false)
	m.rewind()
}

// Torn kills the process or cuts the power in the middle of something.
func (m *model) Torn(t *rapid.T) {
	m.fault.arm(&plan{skip: rapid.IntRange(0, 8).Draw(t, "operations"), fail: 1 << 30,
		allow: rapid.SampledFrom([]int{0, 30, 520}).Draw(t, "bytes"),
		err:   crashfs.ErrKilled})
	switch rapid.IntRange(0, 3).Draw(t, "what") {
	case 0:
		m.append(700)
	case 1:
		m.append(int(m.o.SegmentBytes))
		m.append(100)
	case 2:
		m.ack()
	case 3:
		m.log.Close()
	}
	if rapid.Bool().Draw(t, "kill") {
		m.stop()
		m.open()
		m.check(0, false)
		m.rewind()
		return
	}
	m.cut(m.draw(t))
	m.check(0, false)
	m.rewind()
}

func (m *model) draw(t *rapid.T) crashfs.Cut {
	seed := rapid.Uint64Range(0, 1<<20).Draw(t, "choices")
	cut := crashfs.Draw(rand.New(rand.NewPCG(seed, 0)).IntN)
	t.Logf("names %d, bytes %d", cut.Names, cut.Bytes)
	return cut
}

// cut cuts the power and starts a process on what remains.
func (m *model) cut(cut crashfs.Cut) {
	m.seen.add("power cuts", 1)
	m.stop()
	m.image++
	m.path = filepath.Join(m.base, fmt.Sprint(m.image))
	m.no(m.disk.Image(m.path, cut))
	m.newDisk()
	m.open()
	torn, _ := filepath.Glob(filepath.Join(m.path, "*"+tornSuffix))
	m.seen.add("torn ends", int64(len(torn)))
}

// check reads everything that is not acknowledged. The first record must not be below low. With exact set, the log must
// know all acknowledgements.
func (m *model) check(low int, exact bool) {
	if m.fault.armed() { // reading would use the fault up
		return
	}
	acked, end := m.log.Bounds()
	if acked > end {
		m.t.Fatalf("acknowledged %d of %d", acked, end)
	}
	r := m.log.Reader(acked)
	defer r.Close()
	first, next, entries := -1, 0, int64(0)
	for {
		rec, ok, err := r.TryNext()
		var c *CorruptError
		if errors.As(err, &c) && (m.corrupted || m.unsure) {
			continue
		}
		m.no(err)
		if !ok {
			break
		}
		i, known := m.index[string(rec.Data)]
		if !known || m.records[i].count != rec.Count {
			m.t.Fatalf("%.40q of %d entries is read, which nobody appended", rec.Data, rec.Count)
		}
		if first < 0 {
			if first = i; i < low {
				m.t.Fatalf("record %d is read again, everything below %d was acknowledged", i, low)
			}
			m.tookBack(first)
			next = m.consumed
		}
		m.passed(next, i)
		m.deliver(i)
		next, entries = i+1, entries+int64(rec.Count)
	}
	if first < 0 {
		next = m.consumed
	}
	m.passed(next, len(m.records))
	if _, n := m.log.Backlog(); exact && !m.corrupted && n != entries {
		m.t.Fatalf("the log counts %d entries, %d are read", n, entries)
	}
}

// tookBack records that acknowledgements behind first were lost: these records are read again, unless their segment was
// removed before.
func (m *model) tookBack(first int) {
	for i := first; i < m.consumed; i++ {
		if m.records[i].fate == durable {
			m.records[i].fate = released
		}
	}
	m.consumed = min(m.consumed, first)
}

// Corrupt flips bits of a file of the log while it is not open. At most the group that was hit is lost, and that is
// reported.
func (m *model) Corrupt(t *rapid.T) {
	m.stop()
	m.corrupted = true
	names := m.files()
	if len(names) == 0 {
		m.open()
		return
	}
	name := rapid.SampledFrom(names).Draw(t, "file")
	data, err := os.ReadFile(filepath.Join(m.path, name))
	m.no(err)
	if len(data) == 0 {
		m.open()
		return
	}
	at, bit := rapid.IntRange(0, len(data)-1).Draw(t, "byte"), rapid.IntRange(0, 7).Draw(t, "bit")
	victims := m.victims(name, uint64(at))
	m.flip(name, at, byte(1)<<bit)
	before := m.aside()
	m.open()
	told := m.damage() || m.aside() > before
	lost := 0
	for _, i := range victims {
		m.seen.add("records hit by damage", 1)
		if i >= m.consumed && m.records[i].fate == durable {
			lost++
		}
		m.records[i].fate = hit
	}
	if lost > 0 && !told {
		t.Fatalf("%d records are damaged in %s at %d and nobody says so\n%s", lost, name, at, m.listing())
	}
	m.check(0, false)
	m.rewind()
}

func (m *model) files() (names []string) {
	list, err := os.ReadDir(m.path)
	m.no(err)
	for _, e := range list {
		if _, ok := parseSegmentName(e.Name()); ok || e.Name() == ackName {
			names = append(names, e.Name())
		}
	}
	return names
}

// flip changes a byte on the disk, durably.
func (m *model) flip(name string, at int, mask byte) {
	dir, err := faultfs.OpenDir(m.path, m.disk.Process(nil))
	m.no(err)
	defer dir.Close()
	f, err := dir.OpenFile(name, os.O_RDWR, 0)
	m.no(err)
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], int64(at))
	m.no(err)
	b[0] ^= mask
	_, err = f.WriteAt(b[:], int64(at))
	m.no(err)
	m.no(f.Sync())
}

// victims returns the records of the group that contains a byte of the segment, or all records of the segment if the
// byte belongs to its header.
func (m *model) victims(name string, at uint64) (hit []int) {
	dir, err := faultfs.OpenDir(m.path, nil)
	m.no(err)
	defer dir.Close()
	list, err := List(dir)
	m.no(err)
	for i, s := range list {
		if s.Name != name {
			continue
		}
		w := walker{dir: dir}
		m.no(w.walk(s, i == len(list)-1, func(g group, body []byte, _ *CorruptError) bool {
			if at < segmentHeader || g.at <= s.Base+at && s.Base+at < g.end() {
				for len(body) > 0 {
					n, _, ok := parseRecord(body)
					if !ok {
						break
					}
					if i, known := m.index[string(body[recordHeader:recordHeader+n])]; known {
						hit = append(hit, i)
					}
					body = body[recordHeader+n:]
				}
			}
			return true
		}))
	}
	return hit
}

// damage reports whether a reader reports damage.
func (m *model) damage() (told bool) {
	acked, _ := m.log.Bounds()
	r := m.log.Reader(acked)
	defer r.Close()
	for {
		_, ok, err := r.TryNext()
		var c *CorruptError
		if errors.As(err, &c) {
			told = true
			continue
		}
		m.no(err)
		if !ok {
			return told
		}
	}
}

func (m *model) aside() (n int) {
	list, err := os.ReadDir(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	m.no(err)
	for _, e := range list {
		if strings.HasSuffix(e.Name(), tornSuffix) || strings.HasSuffix(e.Name(), corruptSuffix) {
			n++
		}
	}
	return n
}

// arm replaces p by the next fault.
func (p *plan) arm(next *plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.op, p.skip, p.fail, p.allow, p.err, p.struck = next.op, next.skip, next.fail, next.allow, next.err, false
}

func (p *plan) clear() { p.arm(&plan{}) }

// armed reports whether the fault can still happen, used whether it did.
func (p *plan) armed() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.fail > 0 }
func (p *plan) used() bool  { p.mu.Lock(); defer p.mu.Unlock(); return p.struck }
