package books

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
	"inkwell/store/stream"
)

// enlist writes the lines of files that are finished, or have too many spans to stay in memory, by directory.
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
	b.replayed = false
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

const (
	// sideBySide is how many manifests are appended to concurrently: the depot records the files first, which takes
	// time.
	sideBySide = 8
	// together is how many manifests are open and synced together, each with its directory. The categories need the
	// other descriptors.
	together = 16
)

// appendAll appends to the manifests of several directories, and returns those in which that failed.
func (b *Books) appendAll(byDir map[string][]*content) (failed map[string]bool) {
	failed = make(map[string]bool)
	for paths := range slices.Chunk(slices.Sorted(maps.Keys(byDir)), together) {
		added := b.openAll(paths)
		var work sync.WaitGroup
		room := make(chan struct{}, sideBySide)
		for i, path := range paths {
			room <- struct{}{}
			work.Go(func() {
				if a := added[i]; a.err == nil {
					a.err = b.append(a, path, byDir[path])
				}
				<-room
			})
		}
		work.Wait()
		b.sync(added)
		for i, path := range paths {
			b.o.Health.Set("manifest of "+path, added[i].err)
			failed[path] = added[i].err != nil
			if added[i].err != nil {
				continue
			}
			for _, f := range added[i].finished {
				b.markers.finished(path, f)
			}
		}
	}
	return failed
}

// addition is what was appended to a manifest.
type addition struct {
	dir      *faultfs.Dir
	file     *faultfs.File // nil: there was nothing to append
	syncs    []faultfs.Syncer
	finished []File // those in periods that get done markers
	err      error
}

// openAll opens the directories to whose manifests something is to be added.
func (b *Books) openAll(paths []string) []*addition {
	added := make([]*addition, len(paths))
	above := roots{o: &b.o, open: make(map[string]*faultfs.Dir)}
	for i, path := range paths {
		a := new(addition)
		if a.dir, a.err = above.openDir(path); a.err == nil {
			a.err = b.o.Disks.Know(a.dir)
		}
		added[i] = a
	}
	if err := above.close(); err != nil {
		b.o.Logger.Debug("close directories", "error", err)
	}
	return added
}

// sync makes additions durable, and closes their files.
func (b *Books) sync(added []*addition) {
	var all []faultfs.Syncer
	for _, a := range added {
		all = append(all, a.syncs...)
	}
	errs := b.o.Disks.Sync(all)
	for _, a := range added {
		a.err = errors.Join(append(errs[:len(a.syncs):len(a.syncs)], a.err)...)
		errs = errs[len(a.syncs):]
		if a.file != nil {
			a.err = errors.Join(a.err, a.file.Close())
		}
		if a.dir != nil {
			a.err = errors.Join(a.err, a.dir.Close())
		}
	}
}

// crowded returns the open files with the most spans, if there are too many spans altogether.
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

// append appends lines about files to the manifest of their directory. They are durable after sync.
func (b *Books) append(a *addition, path string, list []*content) error {
	known, err := b.listed(a.dir)
	if err != nil {
		return err
	}
	var bodies [][]byte
	var anew, finished []File // finished: all of them, anew: those that are not in the manifest
	for _, c := range list {
		f := FileOf(c.asAdded())
		f.Sources = b.sources(f.Spans)
		if f.Bytes, err = sizeOf(a.dir, f.Name); err != nil {
			return err
		}
		body, err := AppendFile(nil, &f)
		if err != nil {
			return err
		}
		if !known[string(body)] {
			bodies = append(bodies, body)
			if !f.Open {
				anew = append(anew, f)
			}
		}
		if !f.Open {
			finished = append(finished, f)
		}
	}
	if err := b.hand(a.dir, path, anew); err != nil {
		return err
	}
	b.appending.RLock()
	defer b.appending.RUnlock()
	var begun bool
	if a.file, begun, err = faultfs.AddLines(a.dir, Manifest, ManifestHeader, bodies...); err != nil {
		return err
	}
	killpoint.Reach("manifest.written")
	a.syncs = append(a.syncs, a.file)
	if !begun {
		a.syncs = append(a.syncs, a.dir)
	}
	a.finished, err = b.marked(a.dir, path, finished)
	return err
}

// listed returns the lines of a manifest at the first Publish after Open, nil at later ones. The file of the books may
// still have files that are in their manifests already, because it is rewritten only when it has grown.
func (b *Books) listed(dir *faultfs.Dir) (bodies map[string]bool, err error) {
	if !b.replayed {
		return nil, nil
	}
	bodies = make(map[string]bool)
	_, err = faultfs.ReadLines(dir, Manifest, ManifestHeader, func(body []byte) error {
		bodies[string(body)] = true
		return nil
	})
	return bodies, err
}

// marked returns the finished files that are in periods with done markers. The content of a file with several lines is
// read from the manifest.
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

// empty counts entries that have no bytes and are in no file, because none was open.
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
