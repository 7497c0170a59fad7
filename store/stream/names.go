package stream

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/proto"
)

// Source is where the entries of a stream come from, as their sender says.
type Source = proto.Source

// Names knows where streams come from, and keeps that in a file beside what holds their entries: a collector's journal,
// a forwarder's spool. What was told of a stream first stays. It is for people who read, so that nothing depends on it:
// a sender tells it once a connection, and what is told by one that may write entries is believed.
//
// Limitations: at most maxNames streams and maxNameBytes of text are known; those that nobody spoke of for the longest
// time are forgotten first, and those of which nothing was heard for Options.TTL. Safe for concurrent use.
type Names struct {
	ttl   time.Duration
	log   *slog.Logger
	save  sync.Mutex // guards lines; taken before mu
	lines *faultfs.Lines

	mu      sync.Mutex
	known   map[ID]*named
	bytes   int
	unsaved []ID
	failed  bool // it was logged that they cannot be saved
}

// named is a stream whose source is known.
type named struct {
	source Source
	seen   int64 // Unix seconds of when somebody spoke of it
}

const (
	maxNames     = 1 << 16
	maxNameBytes = 16 << 20

	// NamesFile is the name of the file of Names.
	NamesFile   = "sources"
	namesHeader = "inkwell sources 1"
)

// NewNames returns Names that are kept in memory until Keep.
func NewNames(log *slog.Logger) *Names {
	return &Names{ttl: DefaultTTL, log: log, known: make(map[ID]*named)}
}

// OpenNames returns Names that are kept in a directory. ttl is that of Options; 0 = 30 days.
func OpenNames(dir *faultfs.Dir, ttl time.Duration, log *slog.Logger) (*Names, error) {
	n := NewNames(log)
	n.ttl = cmp.Or(ttl, n.ttl)
	return n, n.Keep(dir)
}

// Keep reads what was kept in a directory, and keeps there what is known from now on. The directory stays the caller's,
// and must be open until Close has returned.
func (n *Names) Keep(dir *faultfs.Dir) error {
	n.save.Lock()
	defer n.save.Unlock()
	lines, damage, err := faultfs.OpenLines(dir, NamesFile, namesHeader, n.read)
	if err != nil {
		return err
	}
	if damage.Lines > 0 {
		n.log.Warn("damaged lines of the sources of streams are passed over; some will have no name", "file",
			filepath.Join(dir.Path(), NamesFile), "lines", damage.Lines, "kept as", damage.Aside)
	}
	n.lines = lines
	return nil
}

// read takes a line of the file: STREAM SEEN "HOST" "PATH".
func (n *Names) read(body []byte) error {
	id, s, seen, err := parseName(body)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.add(id, s, seen)
	return nil
}

func parseName(body []byte) (id ID, s Source, seen int64, err error) {
	f := strings.SplitN(string(body), " ", 3)
	if len(f) != 3 {
		return id, s, 0, fmt.Errorf("%d fields", len(f))
	}
	if id, err = ParseID(f[0]); err != nil {
		return id, s, 0, err
	}
	if seen, err = strconv.ParseInt(f[1], 10, 64); err != nil {
		return id, s, 0, err
	}
	host, err := strconv.QuotedPrefix(f[2])
	if err != nil {
		return id, s, 0, err
	}
	path, found := strings.CutPrefix(f[2][len(host):], " ")
	if !found {
		return id, s, 0, errors.New("no path")
	}
	if s.Host, err = strconv.Unquote(host); err != nil {
		return id, s, 0, err
	}
	s.Path, err = strconv.Unquote(path)
	return id, s.Clean(), seen, err
}

func appendName(dst []byte, id ID, of *named) []byte {
	dst = append(dst, id.String()...)
	dst = strconv.AppendInt(append(dst, ' '), of.seen, 10)
	dst = strconv.AppendQuote(append(dst, ' '), of.source.Host)
	return strconv.AppendQuote(append(dst, ' '), of.source.Path)
}

// add says whether a stream was not known before. The caller holds mu.
func (n *Names) add(id ID, s Source, seen int64) (fresh bool) {
	if of := n.known[id]; of != nil {
		of.seen = max(of.seen, seen)
		return false
	}
	n.known[id] = &named{source: s, seen: seen}
	n.bytes += len(s.Host) + len(s.Path)
	if len(n.known) > maxNames || n.bytes > maxNameBytes {
		n.evict()
	}
	return true
}

// evict forgets an eighth of the streams, those that were not spoken of for the longest time. The caller holds mu.
func (n *Names) evict() {
	ids := slices.SortedFunc(maps.Keys(n.known), func(a, b ID) int { return cmp.Compare(n.known[a].seen, n.known[b].seen) })
	for _, id := range ids[:(len(ids)+7)/8] {
		n.drop(id)
	}
}

// drop forgets a stream. The caller holds mu.
func (n *Names) drop(id ID) {
	n.bytes -= len(n.known[id].source.Host) + len(n.known[id].source.Path)
	delete(n.known, id)
}

// Tell says where a stream comes from. Save makes that durable.
func (n *Names) Tell(id ID, s Source) {
	s = s.Clean()
	if s == (Source{}) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.add(id, s, time.Now().Unix()) {
		n.unsaved = append(n.unsaved, id)
	}
}

// Learn takes what a call tells of the streams of its entries, and makes it durable.
func (n *Names) Learn(b *proto.Batch) {
	if !b.HasNamings() {
		return
	}
	has := make(map[[16]byte]bool)
	for _, s := range b.Spans() {
		has[s.Stream] = s.Numbered()
	}
	for told := range b.Namings {
		if has[told.Stream] {
			n.Tell(told.Stream, told.Source)
		}
	}
	n.Save()
}

// Source is where a stream comes from, if that is known.
func (n *Names) Source(id [16]byte) (s Source, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	of := n.known[id]
	if of == nil {
		return Source{}, false
	}
	of.seen = time.Now().Unix()
	return of.source, true
}

// Save makes what was told durable. What cannot be saved is tried again with the next Save, and logged once.
func (n *Names) Save() {
	n.mu.Lock()
	idle := len(n.unsaved) == 0
	n.mu.Unlock()
	if idle {
		return
	}
	n.save.Lock()
	defer n.save.Unlock()
	if n.lines == nil {
		return
	}
	ids, bodies, anew := n.due()
	var err error
	switch {
	case anew:
		err = n.lines.Rewrite(slices.Values(bodies))
	case len(bodies) > 0:
		if err = n.lines.Append(bodies...); err == nil {
			err = n.lines.Sync()
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		n.unsaved = append(n.unsaved, ids...)
	}
	if err != nil && !n.failed {
		n.log.Warn("cannot save where streams come from; after a restart some have no name", "err", err)
	}
	n.failed = err != nil
}

// due are the lines to be written: all of them, or those of ids. The caller holds save.
func (n *Names) due() (ids []ID, bodies [][]byte, anew bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	ids, n.unsaved = n.unsaved, nil
	if anew = n.lines.Due(); anew {
		before := time.Now().Add(-n.ttl).Unix()
		for id, of := range n.known {
			if of.seen < before {
				n.drop(id)
				continue
			}
			bodies = append(bodies, appendName(nil, id, of))
		}
		return ids, bodies, true
	}
	for _, id := range ids {
		if of := n.known[id]; of != nil {
			bodies = append(bodies, appendName(nil, id, of))
		}
	}
	return ids, bodies, false
}

// Close saves what was told and releases the file.
func (n *Names) Close() error {
	n.Save()
	n.save.Lock()
	defer n.save.Unlock()
	if n.lines == nil {
		return nil
	}
	err := n.lines.Close()
	n.lines = nil
	return err
}

// ReadNames reads what Names kept in a directory, which may be in use; there need not be anything. bad counts damaged
// lines.
func ReadNames(dir *faultfs.Dir) (names map[ID]Source, bad int, err error) {
	names = make(map[ID]Source)
	bad, err = faultfs.ReadLines(dir, NamesFile, namesHeader, func(body []byte) error {
		id, s, _, err := parseName(body)
		if _, before := names[id]; err == nil && !before {
			names[id] = s
		}
		return err
	})
	return names, bad, err
}
