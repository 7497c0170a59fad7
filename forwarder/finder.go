package forwarder

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"inkwell/forwarder/pattern"
)

// finding is what an input's pattern leads to.
type finding struct {
	source *source
	dirs   []string // in which its files can be; in order
	issues []pattern.Issue
	first  bool // nothing was found before
}

// find looks for the directories that match, each pattern in a goroutine of its own: one may lead over a file system
// that hangs.
func (f *follower) find(ctx context.Context) <-chan finding {
	found := make(chan finding)
	for _, s := range f.sources {
		go f.search(ctx, s, found)
	}
	return found
}

// search is the goroutine that looks for the directories of one input.
type search struct {
	finding
	finder  *pattern.Finder
	dirs    map[string]bool
	changed bool     // since it was told
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

// note takes over what a look found, and watches what new names can matter in.
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
		if !x.first { // what came between the look and the watch; at the start the next look is near
			x.note(x.finder.LookAt(dir, time.Now()))
		}
	}
}

// tell hands on what is there, if that has changed. It is false if ctx ended.
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

// wanted is the directories, and the inputs that want files of each, in their order.
type wanted map[string][]*source

// wanted puts together what the patterns lead to. What was found for the first time stood when the forwarder was
// started.
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

// assignment tells a volume about a directory.
type assignment struct {
	dir     string
	sources []*source     // that want files of it; none = it does not match any more
	known   []*generation // of its paths
	first   bool          // it was found at the start, by one of the sources at least
	release bool          // it is on another file system now: what is known of it is given back
}

// assign gives each directory to the volume of its file system, and says how many volumes were started.
func (f *follower) assign(ctx context.Context) (started int) {
	now, first := f.wanted()
	f.mounts.read()
	mail := make(map[*volume][]assignment)
	var fresh []*volume
	f.mu.Lock()
	for _, dir := range slices.Sorted(maps.Keys(now)) {
		v := f.assigned[dir]
		switch {
		case v == nil:
			name := f.volumeName(f.mounts.find(dir).id)
			if v = f.volumes[name]; v == nil {
				v = newVolume(f, name)
				f.volumes[name], fresh = v, append(fresh, v)
			}
			f.assigned[dir] = v
			mail[v] = append(mail[v], assignment{dir: dir, sources: now[dir], known: f.loaded[dir], first: first[dir]})
			delete(f.loaded, dir)
		case v.name != f.volumeName(f.mounts.find(dir).id):
			mail[v] = append(mail[v], assignment{dir: dir, release: true}) // a later look gives it to another
		case !slices.Equal(now[dir], f.before[dir]):
			mail[v] = append(mail[v], assignment{dir: dir, sources: now[dir], first: first[dir]})
		}
	}
	for dir := range f.before {
		if v := f.assigned[dir]; v != nil && now[dir] == nil {
			mail[v] = append(mail[v], assignment{dir: dir})
		}
	}
	f.mu.Unlock()
	f.before = now
	for v, list := range mail {
		v.post(list)
	}
	for _, v := range fresh {
		if len(f.volumes) > 1 { // each fills one, and one more is under way
			f.ship.free <- new(shipment)
		}
		go func() { f.failed <- v.run(ctx) }()
	}
	return len(fresh)
}

// volumeName is the name of the volume of a file system: its own, or that of one that it shares with.
func (f *follower) volumeName(mount string) string {
	if f.volumes[mount] != nil || len(f.volumes) < volumesMax {
		return mount
	}
	return slices.Min(slices.Collect(maps.Keys(f.volumes)))
}

// lookForHangs tells when a file system does not answer, and when it does again.
func (f *follower) lookForHangs() {
	for _, v := range f.volumes {
		path, steps := v.pending.Load(), v.steps.Load()
		if path == nil || steps != v.stepsSeen {
			v.stepsSeen, v.stepped = steps, time.Now()
			if v.hangs {
				v.hangs = false
				f.count.hanging.Add(-1)
				f.log.Info("file system answers again", "mount", v.name)
			}
			continue
		}
		if !v.hangs && time.Since(v.stepped) >= f.hang {
			v.hangs = true
			f.count.hanging.Add(1)
			f.log.Warn("file system hangs; its files are read on when it answers, all others meanwhile",
				"mount", v.name, "path", *path)
		}
	}
}

// await waits for the volumes to end, but not for those that hang.
func (f *follower) await(cancel context.CancelFunc) error {
	cancel()
	grace := time.NewTimer(stopHang)
	defer grace.Stop()
	for _, v := range f.volumes {
		select {
		case <-v.ended:
		case <-grace.C:
			grace.Reset(0)
			if path := v.pending.Load(); path != nil {
				f.log.Warn("a file system hangs and is not waited for", "mount", v.name, "path", *path)
			}
		}
	}
	return nil
}

// stopHang is how long a volume may take to end.
const stopHang = 2 * time.Second

// obstacle is why a pattern leads to no file.
type obstacle struct {
	text  string // "" = it leads to some
	since time.Time
	told  bool
}

// tellPatterns tells which patterns lead to no file, and why, and which directories on the way cannot be looked into:
// once, and when it changes. A rotation that leaves a path empty for a moment is not worth a word.
func (f *follower) tellPatterns(now time.Time) {
	for _, s := range f.sources {
		x, known := f.findings[s]
		if !known {
			continue // it is being looked for
		}
		f.tellBlocked(x)
		o := &obstacle{text: x.obstacle(), since: now}
		was := f.obstacles[s]
		switch {
		case was == nil, was.text != o.text:
			f.obstacles[s] = o
		case o.text != "" && !was.told && now.Sub(was.since) >= f.hang/2:
			was.told = true
			f.log.Warn("nothing is followed by a pattern: "+o.text, "pattern", s.pattern.String())
		}
		if was != nil && was.told && o.text == "" {
			f.log.Info("files are followed by a pattern now", "pattern", s.pattern.String())
		}
	}
}

// tellFiles tells how many files are followed: once all patterns were looked at, and when that has changed, once a
// minute.
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

// tellBlocked tells which directories on the way cannot be looked into, and which can again.
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
			f.log.Warn("cannot look into a directory on the way of a pattern; it is tried again",
				"dir", i.Path, "pattern", x.source.pattern.String(), "err", i.Err)
		}
	}
	for path := range before {
		if !now[path] {
			f.count.unreadable.Add(-1)
			f.log.Info("directory on the way of a pattern can be looked into again, or is gone", "dir", path)
		}
	}
	f.blocked[x.source] = now
}
