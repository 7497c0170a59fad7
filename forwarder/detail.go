package forwarder

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// maxDetails bounds how many files are listed one by one: those that are the furthest behind.
const maxDetails = 10_000

// Detail is the answer of a forwarder or a pipe that is asked for its state. Times are in seconds and sizes in bytes,
// unless a field says otherwise.
type Detail struct {
	Trouble string        `json:"trouble,omitempty"` // what is wrong; "" = nothing
	Hops    []HopDetail   `json:"hops"`
	Spool   *SpoolDetail  `json:"spool,omitempty"`
	Files   []FileDetail  `json:"files,omitempty"` // the furthest behind first; at most 10,000
	Matched int           `json:"file_count"`
	Lag     int64         `json:"lag_bytes"`         // of all files
	Oldest  time.Duration `json:"oldest_unsent_age"` // of the oldest unread line, in nanoseconds
	Hanging []string      `json:"hanging,omitempty"` // file systems that do not answer; their files are not in Files
}

// HopDetail describes one address of the next hop.
type HopDetail struct {
	Address   string     `json:"address"`
	Connected *time.Time `json:"connected_since,omitempty"`
	Down      *time.Time `json:"down_since,omitempty"` // since when calls to it have been failing
	Inkwell   bool       `json:"inkwell"`              // it has shown that it is an Inkwell
	LastError string     `json:"last_error,omitempty"`
	Failed    *time.Time `json:"last_error_at,omitempty"`
}

// SpoolDetail describes what could not be sent yet.
type SpoolDetail struct {
	Dir     string        `json:"dir"`
	Bytes   int64         `json:"bytes"`
	Entries int64         `json:"entries"`
	Age     time.Duration `json:"age"` // for how long it has not been empty, in nanoseconds
}

// FileDetail is a file that is followed.
type FileDetail struct {
	Path     string `json:"path"`
	Category string `json:"category,omitempty"`
	Size     int64  `json:"size"`
	Position int64  `json:"position"` // up to which it was read
	Lag      int64  `json:"lag"`
	// of the oldest line behind the position, at least, in nanoseconds
	Age   time.Duration `json:"oldest_unsent_age"`
	State string        `json:"state"` // one of the constants below
	Error string        `json:"error,omitempty"`
}

// The states of a FileDetail.
const (
	fileFollowing  = "following"
	fileWaiting    = "waiting" // for an older file of its path to be read, or for a descriptor
	fileUnreadable = "unreadable"
	fileDone       = "done" // rotated, and read to its end
)

// askTime is how long a volume may take to list its files.
const askTime = time.Second

// Detail describes the whole forwarder. It waits for one second at most, and may be called at any time while Run runs.
func (f *Forwarder) Detail(ctx context.Context) Detail {
	d := Detail{Hops: f.hop.details(), Spool: f.hop.spoolDetail(), Trouble: f.Trouble()}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	d.Files, d.Hanging = f.follower.details(ctx)
	d.Matched = len(d.Files)
	for _, file := range d.Files {
		d.Lag += file.Lag
		d.Oldest = max(d.Oldest, file.Age)
	}
	slices.SortFunc(d.Files, func(a, b FileDetail) int {
		return cmp.Or(cmp.Compare(b.Lag, a.Lag), cmp.Compare(a.Path, b.Path))
	})
	d.Files = d.Files[:min(len(d.Files), maxDetails)]
	return d
}

// details asks each volume for its files. hanging has the mount points of those that do not answer in time.
func (f *follower) details(ctx context.Context) (files []FileDetail, hanging []string) {
	f.mu.Lock()
	volumes := make([]*volume, 0, len(f.volumes))
	for _, v := range f.volumes {
		volumes = append(volumes, v)
	}
	f.mu.Unlock()
	var asking sync.WaitGroup
	var mu sync.Mutex
	for _, v := range volumes {
		asking.Go(func() {
			list, ok := v.ask(ctx)
			mu.Lock()
			defer mu.Unlock()
			files = append(files, list...)
			if !ok {
				hanging = append(hanging, v.name)
			}
		})
	}
	asking.Wait()
	return files, hanging
}

// ask has the volume's goroutine list its files. ok is false when ctx ended before that.
func (v *volume) ask(ctx context.Context) (files []FileDetail, ok bool) {
	answer := make(chan []FileDetail, 1)
	v.mu.Lock()
	v.asked = append(v.asked, answer)
	v.mu.Unlock()
	signal(v.wake)
	select {
	case files = <-answer:
		return files, true
	case <-v.ended:
		return nil, true
	case <-ctx.Done():
		return nil, false
	}
}

// answer sends the list of files to everybody who asked for it.
func (v *volume) answer(now time.Time) {
	v.mu.Lock()
	asked := v.asked
	v.asked = nil
	v.mu.Unlock()
	if len(asked) == 0 {
		return
	}
	var files []FileDetail
	for _, d := range v.dirs {
		for path, err := range d.failed {
			files = append(files, FileDetail{Path: path, State: fileUnreadable, Error: err.Error()})
		}
		for _, t := range d.trails {
			for i, g := range t.gens {
				files = append(files, v.detail(g, i > 0, now))
			}
		}
	}
	for _, g := range slices.Concat(v.open, v.opened) {
		if g.retired {
			files = append(files, v.detail(g, false, now))
		}
	}
	for _, to := range asked {
		to <- files
	}
}

// detail describes a file. waits says that it waits for an older file of its path.
func (v *volume) detail(g *generation, waits bool, now time.Time) FileDetail {
	size, mtime := g.stat.size, g.stat.mtime
	if g.fd >= 0 {
		v.at(&g.name)
		if l, err := g.statOpen(); err == nil {
			size, mtime = l.size, l.mtime
		}
	}
	d := FileDetail{Path: g.name, Category: g.category, Size: size, Position: g.offset, State: fileFollowing}
	d.Lag = max(size-g.offset, 0)
	switch {
	case !g.failed.IsZero():
		d.State = fileUnreadable
	case g.retired:
		d.State = fileDone
	case waits || g.fd < 0 && !g.parked || g.due:
		d.State = fileWaiting
	}
	if d.Lag > 0 {
		since := mtime
		if !g.behind.IsZero() && g.behind.Before(mtime) {
			since = g.behind
		}
		d.Age = max(now.Sub(since), 0)
	}
	return d
}

// Detail describes the pipe.
func (p *Pipe) Detail(context.Context) Detail {
	return Detail{Hops: p.hop.details(), Spool: p.hop.spoolDetail(), Trouble: p.Trouble()}
}
