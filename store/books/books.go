// Package books records which entries are in which file, and how many are in none. `inkwell audit` adds that up.
//
//	Mark ─► store.Added ─► Add ─► Save: STATE/books ─► checkpoint ─► Publish ─┬─► DIR/.manifest        a line for each finished file
//	                                                                          ├─► DIR/_SUCCESS.PERIOD   a period is complete
//	                                                                          ├─► ROOT/.counts          refused, duplicates
//	                                                                          └─► retention
//
// Each outlet writes files by itself and numbers its Marks; it reports what it added to its files between two Marks.
// The books follow the checkpoints. What was added is durable in the books before the checkpoint that covers it. What
// the checkpoint does not cover after a crash is forgotten, because the outlet gets those entries again. What a saved
// checkpoint covers is never taken back: it stays in the books until the file is finished, and then becomes a line of
// the manifest in the directory of the file, whichever store wrote the file.
//
// Each line describes the content of a file from an offset on, and replaces earlier lines about the content behind that
// offset. Therefore a line may be written twice, a plain file can be continued after it was finished, and the first
// part of an open file with very many spans can be moved to the manifest.
//
// Limitations: entries without numbers are counted only.
package books

import (
	"cmp"
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

// Options configure Books.
type Options struct {
	State *faultfs.Dir // contains the file of the books
	// Through returns the number of the Mark up to which the last saved checkpoint covers what an outlet added to its
	// files, and whether the checkpoint lists the outlet: if not, nothing more is added to its files. The numbers only
	// grow.
	Through      func(outlet string) (through uint64, listed bool)
	Destinations []Destination
	Counter      *Counter // of entries that are in no file; nil = the Books create one
	// Before says which outlets the categories in the books of an older version belong to; nil = such books are
	// ignored.
	Before func(category string) Takeover
	// Moved returns the present names of an outlet and a path, after the state and the files were moved to another
	// directory; nil = nothing was moved.
	Moved    func(outlet, path string) (string, string)
	Source   func(stream [16]byte) (stream.Source, bool) // where a stream comes from; nil = that is not known
	Depot    Depot                                       // takes finished files; nil = they stay in their directories
	Logger   *slog.Logger
	Health   *stats.Health
	Injector faultfs.Injector // for the directories of files; nil = none
	Disks    *faultfs.Disks   // syncs the manifests, and belongs to the caller; nil = the Books create one

	maxSpans int              // for tests, 0 = the constant
	now      func() time.Time // for tests, nil = time.Now
}

const (
	booksName   = "books"
	booksHeader = "inkwell books 1"
	beforeName  = "contents" // the books of an older version

	maxSpans = 1 << 18 // of open files in memory; above that, the files with the most spans are listed in manifests
)

// Books are the books of one collector. Their methods are called by the goroutine that makes the checkpoints.
type Books struct {
	o        Options
	own      *faultfs.Disks
	lines    *faultfs.Lines
	accounts map[string]*account
	touched  map[*account]bool // since the last Publish, or because that failed
	unsaved  []post
	spans    int  // of all accounts
	anew     bool // the file has to be written again as a whole, to replace the books of an older version
	replayed bool // nothing was published since Open, so that lines may be in their manifests already
	markers  *markers
	pruned   time.Time

	looking sync.Mutex     // held while retention examines the directories
	looks   sync.WaitGroup // the goroutine that does so
	keeping keeping        // belongs to that goroutine
	// locked by retention to append to a manifest; read-locked by the concurrent appends of Publish
	appending sync.RWMutex
}

// Open reads the books in o.State and leaves out what the checkpoint does not cover.
func Open(o Options) (*Books, error) {
	o.maxSpans = cmp.Or(o.maxSpans, maxSpans)
	if o.now == nil {
		o.now = time.Now
	}
	own := new(faultfs.Disks)
	o.Disks = cmp.Or(o.Disks, own)
	b := &Books{o: o, own: own, accounts: make(map[string]*account), touched: make(map[*account]bool),
		markers: newMarkers(&o)}
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
	b.replayed = true
	return b, nil
}

// damaged logs that damaged lines were skipped.
func (b *Books) damaged(name string, damage faultfs.Damage) {
	if damage.Lines > 0 {
		b.o.Logger.Warn("damaged lines of the books are skipped; manifests may lack entries",
			"file", filepath.Join(b.o.State.Path(), name), "lines", damage.Lines, "kept as", damage.Aside)
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

// Add records what an outlet added to its files between two Marks. It replaces what was recorded for the outlet after
// the first of them, which the outlet has undone.
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

// Save makes what was added durable. The checkpoint that covers it must be saved after that. What could not be saved is
// saved by the next call.
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

// Publish is called when a checkpoint was saved that covers everything that was added. It lists finished files in the
// manifests, writes the markers of complete periods, and removes files by retention. What cannot be written is tried
// again by the next call, and the Health says why.
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

// Close waits for retention and releases the files. It saves nothing.
func (b *Books) Close() error {
	b.looks.Wait()
	return errors.Join(b.lines.Close(), b.o.Counter.close(), b.own.Close())
}
