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
	Disks        *faultfs.Disks   // syncs the manifests; belongs to the caller; nil = own

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
	own      *faultfs.Disks
	lines    *faultfs.Lines
	accounts map[string]*account
	touched  map[*account]bool // since the last Publish, or because that failed
	unsaved  []post
	spans    int // of all accounts
	anew     bool
	replayed bool // nothing was published since Open: what is to be listed may stand in its manifest already
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
	own := new(faultfs.Disks)
	o.Disks = cmp.Or(o.Disks, own)
	b := &Books{o: o, own: own, accounts: make(map[string]*account), touched: make(map[*account]bool), markers: newMarkers(&o)}
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

// damaged tells of lines that are passed over.
func (b *Books) damaged(name string, damage faultfs.Damage) {
	if damage.Lines > 0 {
		b.o.Logger.Warn("damaged lines of the books are skipped; manifests may lack entries", "file",
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

// Close waits for retention and releases the files. It saves nothing.
func (b *Books) Close() error {
	b.looks.Wait()
	return errors.Join(b.lines.Close(), b.o.Counter.close(), b.own.Close())
}
