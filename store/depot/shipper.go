package depot

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
	"inkwell/internal/stats"
	"inkwell/rotate"
	"inkwell/store/books"
)

// Route says to which depot the files of a directory are uploaded.
type Route struct {
	Root    string // the directory, including everything below it
	Address string // of the depot, for messages
	Depot   Depot
	Kept    []string // series below Root that stay there because their store has no depot: their directory and base, joined
	Who     string   // name of the writer, for the names of files; "" = the name of the Shipper
	Hive    bool     // the layout of the directory: an hour is a partition in the depot, too
	AwayMax int64    // limit of bytes waiting, beyond which Full returns an error; 0 = unlimited
}

// keeps says whether a file in a directory below Root stays there.
func (r *Route) keeps(dir, file string) bool {
	base, ok := rotate.BaseOf(file)
	return ok && slices.Contains(r.Kept, filepath.Join(dir, base))
}

// ShipperOptions configure a Shipper. The zero value of a field is its default.
type ShipperOptions struct {
	State  *faultfs.Dir // directory of the notes; the Shipper closes it
	Routes []Route
	Logger *slog.Logger // nil = none
	Stats  *stats.Set   // nil = a new set

	tuning tuning // for tests
}

// tuning overrides constants for tests; 0 = the constant.
type tuning struct {
	retry   time.Duration
	workers int
	unnamed func() // called when a file has no final name, before its hidden one is looked for
}

// Shipper uploads finished files to depots in the background. It implements books.Depot. All methods are safe for
// concurrent use, but none may be called after Close.
type Shipper struct {
	o      ShipperOptions
	who    string
	health *stats.Health
	lanes  []*lane
	work   sync.WaitGroup

	mu      sync.Mutex
	pending map[string]*item // by local path
}

// NewShipper returns a Shipper, which first uploads what an earlier run left.
func NewShipper(o ShipperOptions) (_ *Shipper, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Stats == nil {
		o.Stats = stats.New()
	}
	s := &Shipper{o: o, health: stats.NewHealth(o.Logger), pending: make(map[string]*item)}
	if s.who, err = writer(o.State); err != nil {
		return nil, err
	}
	for i := range o.Routes {
		s.lanes = append(s.lanes, newLane(s, &o.Routes[i]))
	}
	list, damaged, err := readNotes(o.State)
	if err != nil {
		return nil, err
	}
	if len(damaged) > 0 {
		o.Logger.Warn("notes of files that are to go to the depot cannot be read: if they were not cut by a crash, "+
			"the files of that time have to be compared with the depot (inkwell audit)",
			"state", o.State.Path(), "notes", damaged)
	}
	slices.SortFunc(list, func(a, b *note) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Name, b.Name)) })
	orphans := 0
	for _, n := range list {
		if l := s.lane(n.Dir); l != nil {
			s.add(l, n)
		} else {
			orphans++
		}
	}
	if orphans > 0 {
		o.Logger.Warn("files of directories that have no depot any more are not brought anywhere (publish= of their "+
			"store brings them)", "files", orphans)
	}
	s.gauges()
	for _, l := range s.lanes {
		l.start()
	}
	return s, nil
}

// gauges registers the gauges of waiting files.
func (s *Shipper) gauges() {
	sum := func(of func(*lane) int64) func() int64 {
		return func() (n int64) {
			for _, l := range s.lanes {
				n += of(l)
			}
			return n
		}
	}
	s.o.Stats.Gauge(stats.Overall+":depot waiting bytes", sum(func(l *lane) int64 { return l.bytes.Load() }))
	s.o.Stats.Gauge(stats.Overall+":depot waiting files", sum(func(l *lane) int64 { return l.files.Load() }))
	for _, name := range []string{"depot files", "depot bytes", "depot failures"} {
		s.o.Stats.Overall(name).Add(0)
	}
}

// lane returns the lane for the files of a directory, nil if they stay where they are.
func (s *Shipper) lane(dir string) *lane {
	for _, l := range s.lanes {
		if rel, err := filepath.Rel(l.route.Root, dir); err == nil && filepath.IsLocal(rel) {
			return l
		}
	}
	return nil
}

// Add implements books.Depot.
func (s *Shipper) Add(dir string, files []books.File) error {
	l := s.lane(dir)
	if l == nil {
		return nil
	}
	for _, f := range files {
		if l.route.keeps(dir, f.Name) {
			continue
		}
		n := &note{Dir: dir, File: f.Name, Name: l.layout.file(dir, &f), Size: f.Bytes, At: f.Last.Unix()}
		if f.Bytes == 0 || s.Holds(dir, f.Name) {
			continue // the file was removed, or has a note already
		}
		f.Name = path.Base(n.Name)
		body, err := books.AppendFile(nil, &f)
		if err != nil {
			return err
		}
		n.Line = body
		if err := n.save(s.o.State); err != nil {
			return err
		}
		killpoint.Reach("depot.noted")
		s.add(l, n)
	}
	return nil
}

// Mark implements books.Depot.
func (s *Shipper) Mark(dir string, m *books.Marker) error {
	l := s.lane(dir)
	if l == nil {
		return nil
	}
	there := *m
	there.Files = slices.DeleteFunc(slices.Clone(m.Files), func(f books.File) bool { return l.route.keeps(dir, f.Name) })
	if len(there.Files) == 0 {
		return nil
	}
	n := &note{Dir: dir, Name: l.layout.marker(dir, &there), At: m.Made.Unix()}
	n.File = path.Base(n.Name)
	for i := range there.Files {
		n.After = append(n.After, there.Files[i].Name)
		there.Files[i].Name = path.Base(l.layout.file(dir, &there.Files[i]))
	}
	var err error
	if n.Marker, err = json.MarshalIndent(there, "", "  "); err != nil {
		return err
	}
	if s.Holds(dir, n.File) {
		return nil
	}
	if err := n.save(s.o.State); err != nil {
		return err
	}
	s.add(l, n)
	return nil
}

// Holds implements books.Depot.
func (s *Shipper) Holds(dir, file string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending[filepath.Join(dir, file)] != nil
}

// add adds a note to its lane.
func (s *Shipper) add(l *lane, n *note) {
	it := &item{note: n, lane: l}
	s.mu.Lock()
	known := s.pending[n.path()] != nil
	s.pending[n.path()] = it
	s.mu.Unlock()
	if !known {
		l.push(it)
	}
}

// done removes an item that was uploaded.
func (s *Shipper) done(it *item) {
	s.mu.Lock()
	delete(s.pending, it.path())
	s.mu.Unlock()
}

// Full returns an error if no more entries should be received because too many bytes wait for a depot.
func (s *Shipper) Full() error {
	for _, l := range s.lanes {
		if n := l.bytes.Load(); l.route.AwayMax > 0 && n >= l.route.AwayMax {
			return fmt.Errorf("%d bytes wait for the depot %s, at most %d may (away_max)", n, l.route.Address,
				l.route.AwayMax)
		}
	}
	return nil
}

// Status describes the current problem, "" if there is none.
func (s *Shipper) Status() string {
	text := s.health.Status()
	if err := s.Full(); err != nil {
		return err.Error() + ": " + text
	}
	return text
}

// Close gives the lanes the time limit to upload waiting files, as long as the depots work, and ends them. The next run
// uploads the rest.
func (s *Shipper) Close(limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for _, l := range s.lanes {
		l.drain(deadline)
	}
	s.work.Wait()
	errs := []error{s.o.State.Close()}
	for _, l := range s.lanes {
		errs = append(errs, l.route.Depot.Close())
	}
	return errors.Join(errs...)
}
