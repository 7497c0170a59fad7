package forwarder

import (
	"context"
	"maps"
	"slices"
	"time"
)

// wanted is a directory and the inputs whose patterns show it, in their order.
type wanted map[string][]*source

// find looks for directories that match, in a goroutine of its own: a pattern may lead over a file system that hangs.
func (f *follower) find(ctx context.Context) <-chan wanted {
	found := make(chan wanted)
	go func() {
		for {
			start := time.Now()
			w := make(wanted)
			for _, s := range f.sources {
				for _, dir := range s.dirs() {
					w[dir] = append(w[dir], s)
				}
			}
			pause := min(max(f.rescan, slowRescan*time.Since(start)), maxRescan)
			select {
			case found <- w:
			case <-ctx.Done():
				return
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
		}
	}()
	return found
}

// assignment tells a volume about a directory.
type assignment struct {
	dir     string
	sources []*source     // that want files of it; none = it does not match any more
	known   []*generation // of its paths
	first   bool          // it stood when the forwarder was started
	release bool          // it is on another file system now: what is known of it is given back
}

// assign gives each directory to the volume of its file system, and says how many volumes were started.
func (f *follower) assign(ctx context.Context, now wanted) (started int) {
	remounted := f.mounts.read()
	mail := make(map[*volume][]assignment)
	var fresh []*volume
	f.mu.Lock()
	for _, dir := range slices.Sorted(maps.Keys(now)) {
		v := f.assigned[dir]
		switch {
		case v == nil:
			name := f.volumeName(f.mounts.of(dir))
			if v = f.volumes[name]; v == nil {
				v = newVolume(f, name)
				f.volumes[name], fresh = v, append(fresh, v)
			}
			f.assigned[dir] = v
			mail[v] = append(mail[v], assignment{dir: dir, sources: now[dir], known: f.loaded[dir], first: f.before == nil})
			delete(f.loaded, dir)
		case remounted && v.name != f.volumeName(f.mounts.of(dir)):
			mail[v] = append(mail[v], assignment{dir: dir, release: true}) // a later look gives it to another
		case !slices.Equal(now[dir], f.before[dir]):
			mail[v] = append(mail[v], assignment{dir: dir, sources: now[dir]})
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
			f.ship.free <- new(parcel)
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
		place, steps := v.place.Load(), v.steps.Load()
		if place == nil || steps != v.stepsSeen {
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
			f.log.Warn("file system hangs; its files are read on when it answers, all others meanwhile", "mount", v.name, "path", *place)
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
			if place := v.place.Load(); place != nil {
				f.log.Warn("a file system hangs and is not waited for", "mount", v.name, "path", *place)
			}
		}
	}
	return nil
}

// stopHang is how long a volume may take to end.
const stopHang = 2 * time.Second
