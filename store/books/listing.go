package books

import (
	"errors"
	"slices"
	"sync"

	"inkwell/internal/faultfs"
	"inkwell/store/stream"
)

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
	known, err := b.listed(dir)
	if err != nil {
		return nil, err
	}
	var anew []File // finished, and not in the manifest
	for _, c := range list {
		f := FileOf(c.said())
		f.Sources = b.sources(f.Spans)
		if f.Bytes, err = sizeOf(dir, f.Name); err != nil {
			return nil, err
		}
		body, err := AppendFile(nil, &f)
		if err != nil {
			return nil, err
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
	if err := b.hand(dir, path, anew); err != nil {
		return nil, err
	}
	b.appending.RLock()
	defer b.appending.RUnlock()
	if err := faultfs.AppendLines(dir, Manifest, ManifestHeader, bodies...); err != nil {
		return nil, err
	}
	return b.marked(dir, path, finished)
}

// listed are the lines of a manifest, at the first look after Open: the books' own file is written anew when it has grown,
// and until then it tells of files that have their lines.
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
