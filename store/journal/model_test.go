package journal

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"inkwell/internal/faultfs"
	"inkwell/internal/faultfs/crashfs"
	"inkwell/internal/stats"
	"inkwell/proto"
	"inkwell/rotate"
	"inkwell/store"
	"inkwell/store/books"
	"inkwell/store/series"
	"inkwell/store/spool"
	"inkwell/store/stream"
)

// sequences is how many sequences of actions the model plays in a run; INKWELL_SEQUENCES=N changes it.
const sequences = 200

// TestEngineModel plays random sequences of appends, faults, kills, power cuts and damage on a whole engine (journal,
// checkpoint and the files of each kind of series) with tiny segments and files, and compares what is in the files with
// what was appended. A failure is printed with its seed; the goroutines of the engine make each run of a sequence a
// little different, so that shrinking finds a short one, not the shortest.
func TestEngineModel(t *testing.T) {
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	set := func(name, value string) {
		if !given[name] {
			if err := flag.Set(name, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	seed, n := fmt.Sprint(rand.Uint64()), sequences
	if text := os.Getenv("INKWELL_SEQUENCES"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	set("rapid.checks", fmt.Sprint(n/len(kinds)))
	set("rapid.steps", "10")
	set("rapid.seed", seed)
	t.Logf("-rapid.seed=%s", seed)
	seen := map[string]*atomic.Int64{}
	for _, what := range []string{"sequences", "power cuts", "kills", "failed appends", "failed opens", "journal full",
		"entries hit by damage", "published files", "checkpoints", "torn journals"} {
		seen[what] = new(atomic.Int64)
	}
	t.Run("kinds", func(t *testing.T) {
		for _, kind := range kinds {
			t.Run(kind, func(t *testing.T) {
				t.Parallel()
				base := t.TempDir()
				n := 0
				rapid.Check(t, func(r *rapid.T) {
					n++
					seen["sequences"].Add(1)
					m := newModel(r, filepath.Join(base, fmt.Sprint(n)), kind)
					m.seen = seen
					defer m.discard()
					r.Repeat(m.actions())
					m.finish()
				})
			})
		}
	})
	var all []string
	for what, n := range seen {
		all = append(all, fmt.Sprintf("%s %d", what, n.Load()))
		if n.Load() == 0 && !t.Failed() && !testing.Short() && !given["rapid.checks"] && !given["rapid.failfile"] {
			t.Errorf("the model never saw %s: it tests less than it says", what)
		}
	}
	slices.Sort(all)
	t.Log(strings.Join(all, ", "))
}

// kinds are the kinds of files: compressed, the same in partitions, uncompressed by `inkwell collect`, and those of the original.
var kinds = []string{"gzip", "zstd", "hive", "none", "plain"}

// mishap fails operations for a while.
type mishap struct {
	mu     sync.Mutex
	op     faultfs.Op // "" = all that change something
	skip   int        // operations that pass before
	fail   int
	allow  int
	err    error
	struck bool
}

func (p *mishap) Inject(op faultfs.Op, _ string, n int) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail == 0 || op != p.op && (p.op != "" || op == faultfs.OpRead || op == faultfs.OpOpen) {
		return n, nil
	}
	if p.skip > 0 {
		p.skip--
		return n, nil
	}
	p.fail--
	p.struck = true
	return p.allow, p.err
}

func (p *mishap) arm(op faultfs.Op, skip, fail int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.op, p.skip, p.fail, p.allow, p.err, p.struck = op, skip, fail, skip%3*100, err, false
}

func (p *mishap) clear()     { p.arm("", 0, 0, nil) }
func (p *mishap) used() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.struck }

// modelEntry is an entry that was appended.
type modelEntry struct {
	category, message string
	sure              bool // acknowledged, and not damaged since
}

// engineModel is an engine, its disk, and the expected content of the files.
type engineModel struct {
	t     *rapid.T
	seen  map[string]*atomic.Int64
	base  string
	path  string
	image int
	disk  *crashfs.Disk
	proc  *crashfs.Process
	fault *mishap
	j     *Journal
	stats *stats.Set // of the process

	kind      string
	options   Options
	outlet    OutletOptions
	fileBytes int64

	entries   []modelEntry
	damaged   bool                         // the journal was
	told      bool                         // that was counted or set aside
	published map[string][sha256.Size]byte // by path: never to change
}

func newModel(t *rapid.T, base, kind string) *engineModel {
	m := &engineModel{t: t, base: base, kind: kind, fault: &mishap{}, published: make(map[string][sha256.Size]byte)}
	m.fileBytes = rapid.SampledFrom([]int64{300, 2000}).Draw(t, "file bytes")
	m.options = Options{MaxBytes: 6000, Tuning: Tuning{SaveEvery: time.Millisecond, Retry: time.Millisecond,
		SegmentBytes: rapid.SampledFrom([]int64{300, 2000}).Draw(t,
			"segment bytes"), SyncAll: rapid.SampledFrom([]int{0, 1, 3}).Draw(t, "syncfs from")},
		Memory: rapid.SampledFrom([]int64{400, 1 << 20}).Draw(t, "memory")}
	m.outlet = OutletOptions{Single: true, Continued: true, Check: time.Millisecond,
		Target:   rapid.SampledFrom([]int64{1, 300}).Draw(t, "target"),
		Interval: rapid.SampledFrom([]time.Duration{1, 5 * time.Millisecond}).Draw(t, "interval")}
	m.path = filepath.Join(base, "disk")
	m.no(os.MkdirAll(m.path, 0o750))
	m.newDisk()
	m.open()
	return m
}

func (m *engineModel) no(err error) {
	if err != nil {
		m.t.Helper()
		m.t.Fatal(err)
	}
}

func (m *engineModel) newDisk() {
	disk, err := crashfs.New(m.path)
	m.no(err)
	m.disk = disk
}

// open starts a process; the first attempt may hit an armed fault.
func (m *engineModel) open() {
	j, err := m.try()
	if err != nil {
		if !m.fault.used() {
			m.t.Fatalf("open: %v", err)
		}
		m.seen["failed opens"].Add(1)
		m.proc.Kill()
		m.fault.clear()
		j, err = m.try()
		m.no(err)
	}
	m.j = j
}

func (m *engineModel) try() (*Journal, error) {
	m.proc = m.disk.Process(m.fault)
	m.stats = stats.New()
	o := m.options
	o.StateRoot, o.StateDir, o.Injector, o.Stats = filepath.Join(m.path, "out"), filepath.Join(m.path, "out",
		".inkwell"), m.proc, m.stats
	j, err := Open(o)
	if err != nil {
		return nil, err
	}
	r := Routes{Prepare: func() {}, Route: func(category []byte) *Target { return &Target{Outlets: []*Outlet{m.outletOf(j, string(category))}} },
		Destinations: []books.Destination{{Root: filepath.Join(m.path, "out")}}}
	r.Patterns.Add(Default)
	j.Start(r)
	return j, nil
}

// outletOf returns the outlet of a category, with files below out/CATEGORY.
func (m *engineModel) outletOf(j *Journal, category string) *Outlet {
	o, proc, set, dir := m.outlet, m.proc, m.stats, filepath.Join(m.path, "out", category)
	o.Name, o.Category, o.Store = category, category, "file "+filepath.Join("out", category)
	root := filepath.Dir(dir)
	o.Open = func(saved store.States) (store.Store, error) {
		if m.kind == "plain" {
			return series.OpenPlain(series.PlainOptions{Root: root, Dir: dir, Base: category, MaxSize: m.fileBytes,
				MaxWrite: 200, Stats: set, Injector: proc}, saved)
		}
		codec, hive := rotate.Gzip, m.kind == "hive"
		if !hive {
			var err error
			if codec, err = rotate.ParseCodec(m.kind); err != nil {
				return nil, err
			}
		}
		return series.OpenCompressed(series.CompressedOptions{Root: root, Dir: dir, Base: category, Codec: codec, Hive: hive,
			MaxSize: m.fileBytes, Stats: set, Injector: proc}, saved)
	}
	return j.NewOutlet(o)
}

// stop ends the process as if it were killed.
func (m *engineModel) stop() {
	if m.j == nil {
		return
	}
	m.proc.Kill()
	m.fault.clear()
	m.end(time.Millisecond)
}

// end shuts the process down within a limit, and reports whether the journal is empty.
func (m *engineModel) end(limit time.Duration) bool {
	m.j.Stop(limit)
	empty := m.empty()
	err := m.j.Close()
	m.note()
	m.j = nil
	return empty && err == nil
}

// note records whether damage was counted.
func (m *engineModel) note() {
	m.told = m.told || m.stats.Overall("journal damaged").Load() > 0
}

func (m *engineModel) discard() {
	m.stop()
	os.RemoveAll(m.base)
}

func (m *engineModel) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){
		"Append":     m.Append,
		"Many":       m.Many,
		"Rotate":     m.Rotate,
		"Checkpoint": m.Checkpoint,
		"Full":       m.Full,
		"Fault":      m.Fault,
		"Hard":       m.Hard,
		"Corrupt":    m.Corrupt,
		"Kill":       m.Kill,
		"Crash":      m.Crash,
		"Torn":       m.Torn,
		"Reopen":     m.Reopen,
	}
	for name, do := range actions {
		actions[name] = func(t *rapid.T) { m.t = t; do(t) }
	}
	return actions
}

// Append appends a batch of a few entries of up to three categories.
func (m *engineModel) Append(t *rapid.T) {
	m.append(rapid.IntRange(1, 4).Draw(t, "entries"), rapid.SampledFrom([]int{1, 40, 250}).Draw(t, "bytes"))
}

func (m *engineModel) append(n, size int) error {
	var b proto.Batch
	first := len(m.entries)
	for range n {
		i := len(m.entries)
		e := modelEntry{category: fmt.Sprintf("c%d", i%3),
			message: fmt.Sprintf("%d %d %s\n", m.image, i, strings.Repeat(fmt.Sprint(i*i%97), size))}
		b.Append([]byte(e.category), []byte(e.message))
		b.AppendSpan(proto.Span{Stream: streamOf(e.category), First: int64(i / 3), Count: 1})
		m.entries = append(m.entries, e)
	}
	err := m.j.Append(context.Background(), &b)
	for i := first; err == nil && i < len(m.entries); i++ {
		m.entries[i].sure = true
	}
	if err != nil {
		m.seen["failed appends"].Add(1)
		if errors.Is(err, spool.ErrFull) {
			m.seen["journal full"].Add(1)
		}
		if !errors.Is(err, store.ErrTryLater) {
			m.t.Fatalf("append: %v", err)
		}
	}
	return err
}

// streamOf returns the stream of a category. Its numbers are those of the entries of the test, of which every third
// belongs to the category.
func streamOf(category string) (id stream.ID) {
	copy(id[:], category)
	return id
}

// Many appends enough entries for several segments and files.
func (m *engineModel) Many(t *rapid.T) {
	for range 6 {
		m.append(3, 60)
	}
}

// Rotate appends an entry that is larger than a file may be.
func (m *engineModel) Rotate(*rapid.T) { m.append(1, int(m.fileBytes)) }

// Checkpoint waits for a checkpoint that covers everything.
func (m *engineModel) Checkpoint(*rapid.T) {
	m.fault.clear()
	m.seen["checkpoints"].Add(1)
	m.soon("a checkpoint of everything", m.empty)
}

// empty reports whether a checkpoint covers the whole journal.
func (m *engineModel) empty() bool {
	bytes, entries := m.j.Backlog()
	return bytes <= 64 || entries == 0 // a segment has a header; entries are not known for certain behind damage
}

func (m *engineModel) soon(what string, f func() bool) {
	for deadline := time.Now().Add(20 * time.Second); !f(); time.Sleep(300 * time.Microsecond) {
		if time.Now().After(deadline) {
			bytes, entries := m.j.Backlog()
			m.t.Fatalf("never came: %s; %d bytes and %d entries wait; status %q, %q", what, bytes, entries,
				m.j.Status(), m.j.StoreStatus())
		}
	}
}

// Full makes all writes to files fail until the journal is full, and then lets them succeed again.
func (m *engineModel) Full(t *rapid.T) {
	m.fault.arm(rapid.SampledFrom([]faultfs.Op{faultfs.OpSync, faultfs.OpTruncate, faultfs.OpWrite}).Draw(t,
		"operation"), 8, 1<<30, syscall.ENOSPC)
	for range 60 {
		if m.append(2, 100) != nil {
			break
		}
	}
	m.fault.clear()
	m.soon("room again", func() bool { return m.append(1, 10) == nil })
}

// Fault lets some operations fail.
func (m *engineModel) Fault(t *rapid.T) {
	m.fault.arm(rapid.SampledFrom([]faultfs.Op{faultfs.OpWrite, faultfs.OpSync, faultfs.OpOpen, faultfs.OpRename,
		faultfs.OpRemove,
		faultfs.OpSyncDir, faultfs.OpSyncAll, faultfs.OpTruncate, faultfs.OpMkdir, faultfs.OpSymlink, ""}).Draw(t, "operation"),
		rapid.IntRange(0, 5).Draw(t, "after"), rapid.IntRange(1, 4).Draw(t, "times"),
		rapid.SampledFrom([]error{syscall.EIO, syscall.ENOSPC}).Draw(t, "error"))
}

// Hard kills the process; the first attempt to start another meets a fault.
func (m *engineModel) Hard(t *rapid.T) {
	m.stop()
	m.Fault(t)
	m.open()
	m.fault.clear()
}

// Reopen shuts the process down, checks the files, and starts another process.
func (m *engineModel) Reopen(*rapid.T) {
	m.close()
	m.check()
	m.open()
}

// close shuts the process down. After a fault a second attempt may be necessary.
func (m *engineModel) close() {
	m.fault.clear()
	if !m.end(10 * time.Second) {
		m.open()
		if !m.end(10 * time.Second) {
			m.t.Fatalf("entries are left in the journal although nothing fails\n%s", m.listing())
		}
	}
}

// finish shuts the last process down, cuts the power, and checks the published files.
func (m *engineModel) finish() {
	m.close()
	m.check()
	m.open()
	m.close()
	m.imageNow(crashfs.Cut{})
	m.outlet.Continued = false
	m.open()
	m.close()
	m.checkBooks(m.check())
}

// checkBooks compares the manifests of the files, which are all finished, with the content of the files.
func (m *engineModel) checkBooks(found []bool) {
	if m.damaged { // there may be files in which nobody goes on
		return
	}
	for c := range 3 {
		category := fmt.Sprintf("c%d", c)
		path := filepath.Join(m.path, "out", category)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		dir, err := faultfs.OpenDir(path, nil)
		m.no(err)
		files, _, err := books.ReadFiles(dir)
		m.no(errors.Join(err, dir.Close()))
		var listed stream.Ranges
		for _, f := range files {
			for _, s := range f.Spans {
				if n := listed.Overlap(s.First, s.End()); n > 0 || s.Stream != streamOf(category) {
					m.t.Fatalf("%s: the manifests have %d entries of %+v twice\n%s", category, n, s, m.listing())
				}
				listed.Add(s.First, s.End())
			}
		}
		for i := c; i < len(m.entries); i += 3 {
			if n := listed.Overlap(int64(i/3), int64(i/3)+1); (n == 1) != found[i] {
				m.t.Fatalf("entry %d of %s is in the files: %v, and in the manifests: %v\n%v\n%s", i, category,
					found[i], n == 1, listed, m.listing())
			}
		}
	}
}

// Kill kills the process, keeping what it wrote, and starts another one.
func (m *engineModel) Kill(t *rapid.T) {
	m.seen["kills"].Add(1)
	time.Sleep(time.Duration(rapid.IntRange(0, 3).Draw(t, "milliseconds")) * time.Millisecond)
	m.stop()
	m.open()
}

// Crash cuts the power, now.
func (m *engineModel) Crash(t *rapid.T) {
	time.Sleep(time.Duration(rapid.IntRange(0, 3).Draw(t, "milliseconds")) * time.Millisecond)
	m.crash(t)
}

func (m *engineModel) crash(t *rapid.T) {
	m.seen["power cuts"].Add(1)
	seed := rapid.Uint64Range(0, 1<<20).Draw(t, "choices")
	cut := crashfs.Draw(rand.New(rand.NewPCG(seed, 0)).IntN)
	t.Logf("names %d, bytes %d", cut.Names, cut.Bytes)
	m.imageNow(cut)
	m.open()
}

func (m *engineModel) imageNow(cut crashfs.Cut) {
	m.stop()
	m.image++
	image := filepath.Join(m.base, "image")
	m.no(m.disk.Image(image, cut))
	m.no(os.RemoveAll(m.path))
	m.no(os.Rename(image, m.path)) // the states name the files by their paths
	m.newDisk()
}

// Torn kills the process or cuts the power after a few operations of any kind.
func (m *engineModel) Torn(t *rapid.T) {
	m.fault.arm("", rapid.IntRange(0, 30).Draw(t, "operations"), 1<<30, crashfs.ErrKilled)
	for i := 0; i < 6 && !m.fault.used(); i++ {
		m.append(2, 80)
		time.Sleep(500 * time.Microsecond)
	}
	if rapid.Bool().Draw(t, "kill") {
		m.stop()
		m.open()
		return
	}
	m.crash(t)
}

// Corrupt flips a bit of the journal while it is not open.
func (m *engineModel) Corrupt(t *rapid.T) {
	m.stop()
	defer m.open()
	journal := filepath.Join(m.path, "out", ".inkwell", "journal")
	names, err := filepath.Glob(filepath.Join(journal, "*.log"))
	m.no(err)
	if len(names) == 0 {
		return
	}
	name := rapid.SampledFrom(names).Draw(t, "segment")
	info, err := os.Stat(name)
	m.no(err)
	if info.Size() == 0 {
		return
	}
	m.damaged = true
	before := m.readable(journal)
	m.flip(journal, filepath.Base(name), rapid.Int64Range(0, info.Size()-1).Draw(t, "byte"),
		rapid.IntRange(0, 7).Draw(t, "bit"))
	after := m.readable(journal)
	for i := range m.entries {
		if e := &m.entries[i]; before[e.message] && !after[e.message] {
			e.sure = false
			m.seen["entries hit by damage"].Add(1)
		}
	}
}

func (m *engineModel) readable(path string) map[string]bool {
	dir, err := faultfs.OpenDir(path, nil)
	m.no(err)
	defer dir.Close()
	found := map[string]bool{}
	for rec, err := range spool.Records(dir) {
		var c *spool.CorruptError
		if errors.As(err, &c) {
			continue
		}
		m.no(err)
		var b proto.Batch
		m.no(b.SetRecord(rec.Data))
		for c := b.Cursor(); c.Next(); {
			found[string(c.Message())] = true
		}
	}
	return found
}

func (m *engineModel) flip(path, name string, at int64, bit int) {
	dir, err := faultfs.OpenDir(path, m.disk.Process(nil))
	m.no(err)
	defer dir.Close()
	f, err := dir.OpenFile(name, os.O_RDWR, 0)
	m.no(err)
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	m.no(err)
	b[0] ^= 1 << bit
	_, err = f.WriteAt(b[:], at)
	m.no(err)
	m.no(f.Sync())
}

// check reads all files: they must contain every acknowledged entry once and in order, every other entry at most once,
// and nothing else. Published files must not have changed.
func (m *engineModel) check() (found []bool) {
	place := make(map[string]int, len(m.entries))
	for i, e := range m.entries {
		place[e.message] = i
	}
	found = make([]bool, len(m.entries))
	for c := range 3 {
		category, last := fmt.Sprintf("c%d", c), -1
		for line := range strings.Lines(m.text(category)) {
			i, known := place[line]
			switch {
			case !known || m.entries[i].category != category:
				m.t.Fatalf("%s: %.60q was never appended", category, line)
			case found[i]:
				m.t.Fatalf("%s: entry %d is there twice\n%s", category, i, m.listing())
			case i < last:
				m.t.Fatalf("%s: entry %d stands behind %d", category, i, last)
			}
			found[i], last = true, i
		}
	}
	for i, e := range m.entries {
		if e.sure && !found[i] {
			m.t.Fatalf("entry %d of %s was acknowledged and is missing\n%s", i, e.category, m.listing())
		}
	}
	aside, _ := filepath.Glob(filepath.Join(m.path, "out", ".inkwell", "journal", "*.corrupt"))
	torn, _ := filepath.Glob(filepath.Join(m.path, "out", ".inkwell", "journal", "*.torn"))
	m.seen["torn journals"].Add(int64(len(torn)))
	if len(aside) > 0 && !m.damaged {
		m.t.Fatalf("set aside although nothing was damaged: %v", aside)
	}
	for path, sum := range m.published {
		data, err := os.ReadFile(filepath.Join(m.path, path))
		if err != nil || sha256.Sum256(data) != sum {
			m.t.Fatalf("published file %s has changed (%v)", path, err)
		}
	}
	m.remember()
	return found
}

// text returns the content of all files of a category, after verifying their checksums.
func (m *engineModel) text(category string) string {
	path := filepath.Join(m.path, "out", category)
	if _, err := os.Stat(path); err != nil { // opening would make it, behind the back of the disk
		return ""
	}
	if m.kind == "plain" {
		return m.plainText(path)
	}
	dir, err := faultfs.OpenDir(path, nil)
	m.no(err)
	defer dir.Close()
	list, err := rotate.Files(dir, category)
	m.no(err)
	var all strings.Builder
	for _, file := range list {
		if file.Open && m.damaged && !m.knows(file.Name) {
			continue // nobody goes on with it: what the journal had of it was damaged
		}
		f, err := dir.OpenFile(file.Name, os.O_RDONLY, 0)
		m.no(err)
		r, err := rotate.NewReader(f, file.Codec, file.Open)
		m.no(err)
		var part strings.Builder
		if _, err := io.Copy(&part, r); err != nil {
			m.t.Fatalf("%s: %v", file.Name, err)
		}
		all.WriteString(part.String())
		r.Close()
		f.Close()
	}
	return all.String()
}

// plainText returns the content of the plain files of a directory, in the order of their numbers; files without their
// final names come last.
func (m *engineModel) plainText(dir string) string {
	names, err := filepath.Glob(filepath.Join(dir, "c?_0*"))
	m.no(err)
	open, err := filepath.Glob(filepath.Join(dir, ".c?_0*"))
	m.no(err)
	var all strings.Builder
	for _, name := range append(names, open...) {
		if filepath.Base(name)[0] == '.' && !m.knows(filepath.Base(name)) {
			continue // nobody goes on with it: it is removed when the series is opened
		}
		data, err := os.ReadFile(name)
		m.no(err)
		all.Write(data)
	}
	return all.String()
}

// knows reports whether the last checkpoint lists a file that does not have its final name yet.
func (m *engineModel) knows(name string) bool {
	dir, err := faultfs.OpenDir(filepath.Join(m.path, "out", ".inkwell"), nil)
	m.no(err)
	defer dir.Close()
	c, _, err := loadCheckpoint(dir, slog.New(slog.DiscardHandler))
	m.no(err)
	name = strings.TrimSuffix(strings.TrimPrefix(name, "."), ".open")
	for _, state := range c.states() {
		if strings.Contains(string(state), strconv.Quote(name)) {
			return true
		}
	}
	return false
}

// remember records the published compressed files.
func (m *engineModel) remember() {
	if m.kind == "plain" || m.kind == "none" {
		m.seen["published files"].Add(1) // they may still grow
		return
	}
	names, _ := filepath.Glob(filepath.Join(m.path, "out", "c?", "c?-*"))
	partitioned, _ := filepath.Glob(filepath.Join(m.path, "out", "c?", "dt=*", "c?-*"))
	if m.kind == "hive" && len(names) > 0 {
		m.t.Fatalf("published beside the partitions: %v", names)
	}
	names = append(names, partitioned...)
	for _, name := range names {
		rel, err := filepath.Rel(m.path, name)
		m.no(err)
		data, err := os.ReadFile(name)
		m.no(err)
		if _, known := m.published[rel]; !known {
			m.seen["published files"].Add(1)
		}
		m.published[rel] = sha256.Sum256(data)
	}
}

func (m *engineModel) listing() string {
	var s strings.Builder
	filepath.WalkDir(m.path, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			info, _ := e.Info()
			fmt.Fprintf(&s, "%s %d\n", strings.TrimPrefix(path, m.path), info.Size())
		}
		return nil
	})
	return s.String()
}
