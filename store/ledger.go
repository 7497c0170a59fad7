package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/rotate"
	"inkwell/store/manifest"
)

// ledger knows what is in the files that are not in a manifest yet, and what is in no file. It follows the checkpoints: what the shards
// wrote since the last one is added before the next is saved, and a file that a checkpoint knows to be finished gets its line in the
// manifest of its category. Until that is written, its contents stay here, whatever happens.
//
// Its fields belong to the checkpoint in progress, or to the drainer while none is.
type ledger struct {
	root  *faultfs.Dir
	log   *slog.Logger
	lines *faultfs.Lines
	open  map[string][]manifest.Contents // by category
	marks *markers                       // nil: none are made
	none  inNoFile

	crowded map[string]bool // categories of which there is too much to be remembered
}

// openLedger reads the ledger in state and leaves out what the checkpoint does not know of.
func openLedger(root, state *faultfs.Dir, log *slog.Logger, saved *checkpoint) (*ledger, error) {
	l := &ledger{root: root, log: log, open: make(map[string][]manifest.Contents), none: inNoFile{root: root}}
	var err error
	var damage faultfs.Damage
	l.lines, damage, err = faultfs.OpenLines(state, manifest.Ledger, manifest.LedgerHeader, func(body []byte) error {
		c, err := manifest.ParseContents(body)
		if err == nil {
			l.add(c)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if damage.Lines > 0 {
		log.Warn("damaged lines of the ledger are passed over; manifests may lack entries", "file", filepath.Join(state.Path(), manifest.Ledger), "lines", damage.Lines, "kept as", damage.Aside)
	}
	if err := l.none.look(log); err != nil {
		return nil, err
	}
	for name := range l.open {
		through := saved.Drained // of one that is complete, or was not known yet
		if m, known := saved.Categories[name]; known {
			through = m.Through
		}
		l.rewind(name, through)
		if err := l.forgetListed(name); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// forgetListed forgets the files that the manifest of a category has already.
func (l *ledger) forgetListed(name string) error {
	if _, err := l.root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		delete(l.open, name)
		return nil
	}
	dir, err := l.root.Sub(name)
	if err != nil {
		return nil // its files will tell
	}
	defer dir.Close()
	files, damaged, err := manifest.ReadFiles(dir)
	if faultfs.IsMisplaced(err) {
		return nil // enlist will tell
	}
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	if damaged > 0 {
		l.log.Warn("damaged lines of a manifest are passed over; audits do not know the files", "file", filepath.Join(dir.Path(), manifest.Name), "lines", damaged)
	}
	listed := make(map[string]bool, len(files))
	for _, f := range files {
		listed[f.Name] = true
	}
	manifest.Settle(l.open[name])
	l.open[name] = slices.DeleteFunc(l.open[name], func(c manifest.Contents) bool { return listed[c.File] })
	return nil
}

// add takes over what was added to a file; what was said before of the entries behind c.From is void.
func (l *ledger) add(c manifest.Contents) {
	l.rewind(c.Category, c.From)
	if l.marks != nil {
		l.marks.wrote(c.Category, c.Spans, c.Last)
	}
	l.open[c.Category] = append(l.open[c.Category], c)
}

// rewind forgets what was added behind a journal offset: it was cut off, and is read again.
func (l *ledger) rewind(name string, through uint64) {
	list := l.open[name]
	for k := len(list); k > 0 && list[k-1].Through > through; k-- {
		list = list[:k-1]
	}
	l.open[name] = list
}

// save makes added durable. It may be called again with the same.
func (l *ledger) save(added []manifest.Contents) error {
	if l.lines.Due() {
		var all []manifest.Contents
		for _, list := range l.open {
			all = append(all, list...)
		}
		bodies, err := bodiesOf(all)
		if err != nil {
			return err
		}
		return l.lines.Rewrite(slices.Values(bodies))
	}
	if len(added) == 0 {
		return nil
	}
	bodies, err := bodiesOf(added)
	if err != nil {
		return err
	}
	if err := l.lines.Append(bodies...); err != nil {
		return err
	}
	return l.lines.Sync()
}

func bodiesOf(list []manifest.Contents) ([][]byte, error) {
	bodies := make([][]byte, 0, len(list))
	for i := range list {
		body, err := list[i].Append(nil)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	return bodies, nil
}

// publish gives the files that the checkpoint knows to be finished their lines in the manifests. Each category has its own part of the
// health: what keeps one from being written must not hide another.
func (l *ledger) publish(saved *checkpoint, health *stats.Health) {
	for name, list := range l.open {
		open := ""
		if m := saved.Categories[name]; m.State.Open != nil {
			open = m.State.Open.File
		}
		manifest.Settle(list)
		k := 0
		for k < len(list) && list[k].File != open && list[k].File != "" {
			k++
		}
		if k > 0 {
			err := l.enlist(name, list[:k])
			health.Set("manifest of "+name, err)
			if err != nil {
				continue
			}
		}
		if l.open[name] = manifest.Condense(slices.Clone(list[k:])); len(l.open[name]) == 0 {
			delete(l.open, name)
		}
	}
	health.Set("manifest of all", l.none.publish())
	if l.marks != nil {
		l.marks.write(time.Now(), l.open, health)
	}
}

// crowd finds the categories of which most is remembered, if there is more than limit in all after joining what can be: a sender may
// number as it likes, while forwarders that take turns in a file come to one stretch an hour each. Their files are sealed by the next
// cut, but where finished ones wait for a manifest that cannot be written: that would not help. What has no file is remembered without
// its numbers.
func (l *ledger) crowd(limit int) {
	l.crowded = nil
	if _, total := l.sizes(); total <= limit {
		return
	}
	for name, list := range l.open {
		l.open[name] = manifest.Tighten(list)
	}
	sizes, total := l.sizes()
	if total <= limit {
		return
	}
	l.crowded = make(map[string]bool)
	for _, name := range slices.SortedFunc(maps.Keys(sizes), func(a, b string) int { return sizes[b] - sizes[a] }) {
		if total <= limit/2 {
			return
		}
		list := l.open[name]
		if list[0].File == list[len(list)-1].File {
			l.crowded[name] = true
		}
		total -= sizes[name]
		for i := range list {
			if c := &list[i]; c.File == "" {
				c.Spans = manifest.Unnumber(c.Spans)
			}
		}
	}
}

// sizes is how many stretches of numbers are remembered of each category, and in all.
func (l *ledger) sizes() (sizes map[string]int, total int) {
	sizes = make(map[string]int, len(l.open))
	for name, list := range l.open {
		for i := range list {
			sizes[name] += len(list[i].Spans)
		}
		total += sizes[name]
	}
	return sizes, total
}

// enlist writes the lines of finished files.
func (l *ledger) enlist(name string, list []manifest.Contents) error {
	dir, err := l.root.Sub(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	var bodies [][]byte
	var finished []manifest.File
	for len(list) > 0 {
		k := 1
		for k < len(list) && list[k].File == list[0].File {
			k++
		}
		f := manifest.Join(list[:k])
		if f.Bytes, err = sizeOf(dir, f.Name); err != nil {
			return err
		}
		body, err := manifest.AppendFile(nil, &f)
		if err != nil {
			return err
		}
		bodies, finished, list = append(bodies, body), append(finished, f), list[k:]
	}
	if err := faultfs.AppendLines(dir, manifest.Name, manifest.Header, bodies...); err != nil || l.marks == nil {
		return err
	}
	for _, f := range finished {
		l.marks.finished(name, f)
	}
	return nil
}

// sizeOf is the length of a finished file, which may wait for its name; 0 when somebody has taken it away already.
func sizeOf(dir *faultfs.Dir, name string) (int64, error) {
	for _, n := range []string{name, rotate.Hidden(name)} {
		info, err := dir.Lstat(n)
		if err == nil {
			return info.Size(), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
	}
	return 0, nil
}

// close releases the files.
func (l *ledger) close() error { return errors.Join(l.lines.Close(), l.none.close()) }
