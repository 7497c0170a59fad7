package forwarder

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"inkwell/forwarder/pattern"
)

// finding is the result of looking for the directories of one input's pattern.
type finding struct {
	source *source
	dirs   []string // in which its files can be, sorted
	issues []pattern.Issue
	first  bool // this is the first result
}

// find looks for the directories that match. Each pattern has a goroutine of its own, because it may lead to a file
// system that hangs.
func (f *follower) find(ctx context.Context) <-chan finding {
	found := make(chan finding)
	for _, s := range f.sources {
		go f.search(ctx, s, found)
	}
	return found
}

// search is the state of the goroutine that looks for the directories of one input.
type search struct {
	finding
	finder  *pattern.Finder
	dirs    map[string]bool
	changed bool     // since the last finding was handed over
	watch   *watcher // nil until there is something to watch
	log     *slog.Logger
}

func (f *follower) search(ctx context.Context, s *source, found chan<- finding) {
	x := &search{finding: finding{source: s, first: true}, log: f.log}
	x.finder, x.dirs = pattern.NewFinder(s.pattern), make(map[string]bool)
	defer x.close()
	g := &guard{patience: f.hang / 5, stuck: make(map[string]bool)}
	x.finder.Guard = g.call
	for ctx.Err() == nil {
		start := time.Now()
		g.mounts.read()
		x.note(x.finder.Look(start))
		if !x.tell(ctx, found) {
			return
		}
		pause := time.NewTimer(min(max(f.rescan, slowRescan*time.Since(start)), maxRescan))
		for waiting := true; waiting; {
			select {
			case <-pause.C:
				waiting = false
			case <-x.woken():
				x.watch.hints(func(string) {}, func(dir string) { x.note(x.finder.LookAt(dir, time.Now())) })
				waiting = x.tell(ctx, found)
			case <-ctx.Done():
				waiting = false
			}
		}
	}
}

// note applies what a look has changed, and watches the directories in which new names matter.
func (x *search) note(c *pattern.Changes) {
	for _, dir := range c.Gone {
		delete(x.dirs, dir)
	}
	for _, dir := range c.Added {
		x.dirs[dir] = true
	}
	x.changed = x.changed || len(c.Added)+len(c.Gone) > 0 || !slices.EqualFunc(x.issues, c.Issues, sameIssue)
	x.issues = slices.Clone(c.Issues)
	for _, dir := range slices.Clone(c.Lists) {
		if x.watch == nil {
			x.watch = newWatcher(x.log)
		}
		x.finder.Guard(dir, func() { x.watch.add(dir) })
		if !x.first { // find what came between the look and the watch; at the start the next look is soon
			x.note(x.finder.LookAt(dir, time.Now()))
		}
	}
}

// tell hands the finding over, if it has changed. It is false if ctx ended.
func (x *search) tell(ctx context.Context, found chan<- finding) bool {
	if !x.first && !x.changed {
		return true
	}
	x.finding.dirs = slices.Sorted(maps.Keys(x.dirs))
	select {
	case found <- x.finding:
		x.first, x.changed = false, false
		return true
	case <-ctx.Done():
		return false
	}
}

func (x *search) woken() <-chan struct{} {
	if x.watch == nil {
		return nil
	}
	return x.watch.wake
}

func (x *search) close() {
	if x.watch == nil {
		return
	}
	if err := x.watch.close(); err != nil {
		x.log.Warn("cannot close the watch", "err", err)
	}
}

func sameIssue(a, b pattern.Issue) bool { return a.Path == b.Path && a.Kind == b.Kind }

// wanted has the inputs that want files of each directory, in their order.
type wanted map[string][]*source

// wanted merges the findings of all patterns. first has the directories found by a pattern's first search: they existed
// when the forwarder was started.
func (f *follower) wanted() (w wanted, first map[string]bool) {
	w, first = make(wanted), make(map[string]bool)
	for _, s := range f.sources {
		x := f.findings[s]
		for _, dir := range x.dirs {
			w[dir] = append(w[dir], s)
			if x.first {
				first[dir] = true
			}
		}
		x.first = false
		f.findings[s] = x
	}
	return w, first
}

// obstacle is why a pattern matches no file.
type obstacle struct {
	text  string // "" = it matches some
	since time.Time
	told  bool
}

// tellPatterns logs which patterns match no file and why, and which directories on their way cannot be read: once each,
// and when it changes. A rotation that leaves a path empty for a moment is not logged.
func (f *follower) tellPatterns(now time.Time) {
	for _, s := range f.sources {
		x, known := f.findings[s]
		if !known {
			continue // its first search is not finished
		}
		f.tellBlocked(x)
		o := &obstacle{text: x.obstacle(), since: now}
		was := f.obstacles[s]
		switch {
		case was == nil, was.text != o.text:
			f.obstacles[s] = o
		case o.text != "" && !was.told && now.Sub(was.since) >= f.hang/2:
			was.told = true
			f.log.Warn("a pattern follows no file: "+o.text, "pattern", s.pattern.String())
		}
		if was != nil && was.told && o.text == "" {
			f.log.Info("a pattern follows files now", "pattern", s.pattern.String())
		}
	}
}

// tellFiles logs how many files are followed: once all patterns were searched for the first time, and then at most once
// a minute when that has changed.
func (f *follower) tellFiles(complete bool, now time.Time) {
	files := f.count.files.Load()
	if !complete || files == f.told || !f.toldAt.IsZero() && now.Sub(f.toldAt) < time.Minute {
		return
	}
	f.log.Info("following files", "files", files)
	f.told, f.toldAt = files, now
}

// obstacle says why nothing matches; "" = something does.
func (x finding) obstacle() string {
	if x.source.files.Load() > 0 {
		return ""
	}
	for _, i := range x.issues {
		switch {
		case len(x.dirs) > 0 || i.Kind == pattern.Unreadable:
		case i.Kind == pattern.Missing:
			return i.Path + " does not exist"
		default:
			return i.Path + " is not a directory"
		}
	}
	return "no file matches"
}

// tellBlocked logs which directories on the way of a pattern cannot be read, and which can be read again.
func (f *follower) tellBlocked(x finding) {
	now := make(map[string]bool)
	before := f.blocked[x.source]
	for _, i := range x.issues {
		if i.Kind != pattern.Unreadable {
			continue
		}
		now[i.Path] = true
		if !before[i.Path] {
			f.count.unreadable.Add(1)
			f.log.Warn("cannot read a directory of a pattern; it is tried again",
				"dir", i.Path, "pattern", x.source.pattern.String(), "err", i.Err)
		}
	}
	for path := range before {
		if !now[path] {
			f.count.unreadable.Add(-1)
			f.log.Info("a directory of a pattern can be read again, or is gone", "dir", path)
		}
	}
	f.blocked[x.source] = now
}
