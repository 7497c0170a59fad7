// Package books keeps what stands in which file, and what is in none: what `inkwell audit` adds up.
//
//	Mark ─► store.Added ─► Add ─► Save: STATE/books ─► checkpoint ─► Publish ─┬─► DIR/.manifest        a line for each finished file
//	                                                                          ├─► DIR/_SUCCESS.PERIOD   a period is complete
//	                                                                          ├─► ROOT/.counts          refused, came twice
//	                                                                          └─► retention
//
// An outlet is one writer: what it added lies between two of its Marks, which are numbered. The books follow the
// checkpoints: what was added is durable here before the checkpoint that covers it, and what the checkpoint does not
// cover after a crash is forgotten, because the entries come again. What a saved checkpoint covers is never taken back;
// when the file is finished, it becomes a line of the manifest in the directory of the file, whatever wrote that, and
// until then it stays here, whatever happens.
//
// Each statement is about the content of a file from an offset on, and takes the place of earlier ones about the same:
// so it does no harm to make one twice, a plain file can be gone on with after it was finished, and of a file about
// which too much is to be remembered a first part goes into the manifest while it is open.
//
// Limitations: entries without numbers are counted only.
package books

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/store"
	"inkwell/store/stream"
)

// Options say which books are kept where.
type Options struct {
	State *faultfs.Dir // the books' own file is in it
	// Through is the number of the Mark up to which the checkpoint that was saved last has what an outlet brought to
	// its files, also of one that it does not list: nothing more comes to the files of that. The numbers only grow.
	Through      func(outlet string) (through uint64, listed bool)
	Destinations []Destination
	Counter      *Counter                                    // of what is in no file; nil = an own one
	Before       func(category string) Takeover              // whose the books of a collector of before are; nil = nobody's
	Moved        func(outlet, path string) (string, string)  // what they are now, if the state was moved together with the files; nil = they were not
	Source       func(stream [16]byte) (stream.Source, bool) // where a stream comes from; nil = that is not known
	Depot        Depot                                       // where finished files go from here; nil = they stay
	Logger       *slog.Logger
	Health       *stats.Health
	Injector     faultfs.Injector // of the directories of files; nil = none

	maxSpans int              // for tests, 0 = the constant
	now      func() time.Time // for tests, nil = time.Now
}

const (
	booksName   = "books"
	booksHeader = "inkwell books 1"
	beforeName  = "contents" // of collectors of before

	maxSpans = 1 << 18 // of files that are not finished: beyond, those with most go into their manifests
)

// Books is the books of one collector. Their methods belong to whoever makes the checkpoints, one at a time.
type Books struct {
	o        Options
	lines    *faultfs.Lines
	accounts map[string]*account
	touched  map[*account]bool // since the last Publish, or because that failed
	unsaved  []post
	spans    int // of all accounts
	anew     bool
	markers  *markers
	pruned   time.Time

	looking   sync.Mutex     // held while retention looks at the directories
	looks     sync.WaitGroup // for that
	keeping   keeping        // of the look in progress
	appending sync.RWMutex   // held by retention while it appends to a manifest, and for reading by those that do beside each other
}

// Open reads the books in o.State and leaves out what the checkpoint does not cover.
func Open(o Options) (*Books, error) {
	if o.maxSpans == 0 {
		o.maxSpans = maxSpans
	}
	if o.now == nil {
		o.now = time.Now
	}
	b := &Books{o: o, accounts: make(map[string]*account), touched: make(map[*account]bool), markers: newMarkers(&o)}
	if o.Counter == nil {
		b.o.Counter = NewCounter(o.Destinations, o.Logger, o.Injector)
	}
	if err := b.readBefore(); err != nil {
		return nil, err
	}
	var damage faultfs.Damage
	var err error
	b.lines, damage, err = faultfs.OpenLines(o.State, booksName, booksHeader, func(body []byte) error {
		p, err := parsePost(body)
		if err == nil {
			p.move(o.Moved)
			b.account(p.outlet).add(p)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	b.damaged(booksName, damage)
	for key, a := range b.accounts {
		through, listed := o.Through(key)
		a.rewind(through)
		a.settle(through, b.markers)
		if !listed {
			a.finish()
		}
		b.spans += a.spans()
		b.touched[a] = true
	}
	b.markers.recover(o.now())
	return b, nil
}

// damaged tells of lines that are passed over.
func (b *Books) damaged(name string, damage faultfs.Damage) {
	if damage.Lines > 0 {
		b.o.Logger.Warn("damaged lines of the books are passed over; manifests may lack entries", "file",
			filepath.Join(b.o.State.Path(), name), "lines", damage.Lines, "kept as", damage.Aside)
	}
}

func (b *Books) account(key string) *account {
	a := b.accounts[key]
	if a == nil {
		a = &account{key: key}
		b.accounts[key] = a
	}
	return a
}

// Add takes over what an outlet added to its files between two Marks. What was said before of the outlet behind the
// first is void: it was taken back.
func (b *Books) Add(outlet string, from, through uint64, added []store.Added) {
	if len(added) == 0 {
		return
	}
	a := b.account(outlet)
	from = max(from, a.through) // what a saved checkpoint covers is never taken back
	p := post{outlet: outlet, from: from, through: max(from, through), added: added}
	before := a.spans()
	a.add(p)
	b.spans += a.spans() - before
	b.touched[a] = true
	b.unsaved = append(b.unsaved, p)
}

// Save makes what was added durable; the checkpoint that covers it comes behind. After an error it is saved with the
// next.
func (b *Books) Save() error {
	if err := b.save(); err != nil {
		return fmt.Errorf("save %s: %w", filepath.Join(b.o.State.Path(), booksName), err)
	}
	b.unsaved = nil
	return nil
}

func (b *Books) save() error {
	if b.anew || b.lines.Due() {
		var all []post
		for _, a := range b.accounts {
			all = a.appendPosts(all)
		}
		bodies, err := bodiesOf(all)
		if err != nil {
			return err
		}
		if err := b.lines.Rewrite(slices.Values(bodies)); err != nil {
			return err
		}
		return b.forgetBefore()
	}
	if len(b.unsaved) == 0 {
		return nil
	}
	bodies, err := bodiesOf(b.unsaved)
	if err != nil {
		return err
	}
	if err := b.lines.Append(bodies...); err != nil {
		return err
	}
	return b.lines.Sync()
}

func bodiesOf(posts []post) ([][]byte, error) {
	bodies := make([][]byte, 0, len(posts))
	for i := range posts {
		body, err := posts[i].append(nil)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	return bodies, nil
}

// Publish says that a checkpoint was saved which covers everything that was added. Finished files get their lines in
// the manifests, periods that are complete their markers, and files that are too old or too many go. What cannot be
// written is tried again with the next; the health says what it is.
func (b *Books) Publish(now time.Time) {
	for a := range b.touched {
		through, _ := b.o.Through(a.key)
		before := a.spans()
		a.settle(through, b.markers)
		b.spans += a.spans() - before
	}
	b.enlist()
	for _, n := range b.o.Counter.all {
		b.o.Health.Set("counts of "+n.path, n.publish())
	}
	b.markers.write(now, b.accounts)
	b.retain(now)
}

// enlist writes the lines of what is finished, and of what has to leave the memory, by directory.
func (b *Books) enlist() {
	crowded := b.crowded()
	byDir := make(map[string][]*content)
	for a := range b.touched {
		for _, c := range a.settled {
			if c.File == "" {
				b.empty(c)
			} else if !c.Open || crowded[c] {
				byDir[c.Dir] = append(byDir[c.Dir], c)
			}
		}
	}
	failed := b.appendAll(byDir)
	for a := range b.touched {
		b.spans -= a.spans()
		a.settled = slices.DeleteFunc(a.settled, func(c *content) bool {
			if crowded[c] && c.Open && !failed[c.Dir] {
				c.listed()
			}
			return !c.Open && !failed[c.Dir]
		})
		b.spans += a.spans()
		if len(a.posts) == 0 && !slices.ContainsFunc(a.settled, func(c *content) bool { return failed[c.Dir] }) {
			delete(b.touched, a)
		}
		if len(a.settled) == 0 && len(a.posts) == 0 {
			delete(b.accounts, a.key)
		}
	}
}

// sideBySide is how many manifests are appended to at once: where a period of many categories ends, each is an fsync.
const sideBySide = 32

// appendAll writes lines in several directories, and says which of these failed.
func (b *Books) appendAll(byDir map[string][]*content) (failed map[string]bool) {
	failed = make(map[string]bool)
	var work sync.WaitGroup
	var mu sync.Mutex // guards failed and the markers
	room := make(chan struct{}, sideBySide)
	for path, list := range byDir {
		room <- struct{}{}
		work.Go(func() {
			defer func() { <-room }()
			finished, err := b.append(path, list)
			b.o.Health.Set("manifest of "+path, err)
			mu.Lock()
			defer mu.Unlock()
			failed[path] = err != nil
			for _, f := range finished {
				b.markers.finished(path, f)
			}
		})
	}
	work.Wait()
	return failed
}

// crowded are the open files with most spans, if there are too many of all together.
func (b *Books) crowded() map[*content]bool {
	if b.spans <= b.o.maxSpans {
		return nil
	}
	var all []*content
	for _, a := range b.accounts {
		for _, c := range a.settled {
			if c.Open {
				all = append(all, c)
				b.touched[a] = true
			}
		}
	}
	slices.SortFunc(all, func(a, b *content) int { return b.spans.Len() - a.spans.Len() })
	crowded := make(map[*content]bool)
	left := b.spans
	for _, c := range all {
		if left <= b.o.maxSpans/2 {
			break
		}
		crowded[c] = true
		left -= c.spans.Len()
	}
	return crowded
}

// append writes lines about files in a directory, and returns those that markers speak of.
func (b *Books) append(path string, list []*content) (finished []File, err error) {
	dir, err := b.o.openDir(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	var bodies [][]byte
	for _, c := range list {
		f := fileOf(c.said())
		f.Sources = b.sources(f.Spans)
		if f.Bytes, err = sizeOf(dir, f.Name); err != nil {
			return nil, err
		}
		body, err := AppendFile(nil, &f)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
		if !f.Open {
			finished = append(finished, f)
		}
	}
	if err := b.hand(dir, path, finished); err != nil {
		return nil, err
	}
	b.appending.RLock()
	defer b.appending.RUnlock()
	if err := faultfs.AppendLines(dir, Manifest, ManifestHeader, bodies...); err != nil {
		return nil, err
	}
	return b.marked(dir, path, finished)
}

// marked are the finished files that markers speak of. Of one that has several lines, the manifest says what it holds.
func (b *Books) marked(dir *faultfs.Dir, path string, finished []File) ([]File, error) {
	finished = slices.DeleteFunc(finished, func(f File) bool { return b.markers.of(path, f.Name) == nil })
	if !slices.ContainsFunc(finished, func(f File) bool { return f.Start > 0 }) {
		return finished, nil
	}
	all, _, err := ReadFiles(dir)
	if err != nil {
		return nil, err
	}
	for i := range finished {
		if k := slices.IndexFunc(all, func(f File) bool { return f.Name == finished[i].Name }); k >= 0 {
			finished[i] = all[k]
		}
	}
	return finished, nil
}

// empty counts entries that have no bytes, and are in no file because none was open.
func (b *Books) empty(c *content) {
	for _, s := range c.spans.List() {
		n := Count{Category: s.Category, What: Empty, Entries: s.Count}
		if s.Numbered() {
			n.Stream = stream.ID(s.Stream).String()
		}
		if d := b.o.destination(c.Dir, ""); d != nil {
			for _, none := range b.o.Counter.all {
				if none.path == d.Root {
					none.count(n, s.First)
				}
			}
		}
	}
}

// Close waits for retention and releases the files. It saves nothing.
func (b *Books) Close() error {
	b.looks.Wait()
	return errors.Join(b.lines.Close(), b.o.Counter.close())
}
