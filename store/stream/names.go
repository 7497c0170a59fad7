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

// Source is the origin of the entries of a stream, as announced by the sender.
type Source = proto.Source

// Names records the sources of streams, in a file next to the entries: the journal of a collector or the spool of a
// forwarder. The first source announced for a stream is kept. Names are only shown to people. As nothing else depends
// on them, a sender announces them once per connection, and every sender that may write entries is trusted.
//
// Limitations: at most maxNames streams and maxNameBytes of text are kept. The streams that were announced or looked up
// least recently are forgotten first, and so are those that were silent for Options.TTL. Safe for concurrent use.
type Names struct {
	ttl   time.Duration
	log   *slog.Logger
	save  sync.Mutex // guards lines; taken before mu
	lines *faultfs.Lines

	mu      sync.Mutex
	known   map[ID]*knownSource
	bytes   int
	unsaved []ID
	failed  bool // the last save failed, which was logged
}

// knownSource is the source of a stream.
type knownSource struct {
	source Source
	seen   int64 // when the stream was last announced or looked up, in Unix seconds
}

const (
	maxNames     = 1 << 16
	maxNameBytes = 16 << 20

	// NamesFile is the name of the file of Names.
	NamesFile   = "sources"
	namesHeader = "inkwell sources 1"
)

// NewNames returns Names that are only in memory until Keep is called.
func NewNames(log *slog.Logger) *Names {
	return &Names{ttl: DefaultTTL, log: log, known: make(map[ID]*knownSource)}
}

// OpenNames returns Names that are stored in a directory. ttl is that of Options; 0 = 30 days.
func OpenNames(dir *faultfs.Dir, ttl time.Duration, log *slog.Logger) (*Names, error) {
	n := NewNames(log)
	n.ttl = cmp.Or(ttl, n.ttl)
	return n, n.Keep(dir)
}

// Keep reads the names stored in a directory, and stores them there from now on. The directory still belongs to the
// caller, and must stay open until Close has returned.
func (n *Names) Keep(dir *faultfs.Dir) error {
	n.save.Lock()
	defer n.save.Unlock()
	lines, damage, err := faultfs.OpenLines(dir, NamesFile, namesHeader, n.read)
	if err != nil {
		return err
	}
	if damage.Lines > 0 {
		n.log.Warn("damaged lines of the sources of streams are skipped; some will have no name", "file",
			filepath.Join(dir.Path(), NamesFile), "lines", damage.Lines, "kept as", damage.Aside)
	}
	n.lines = lines
	return nil
}

// read parses a line of the file: STREAM SEEN "HOST" "PATH".
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

func appendName(dst []byte, id ID, of *knownSource) []byte {
	dst = append(dst, id.String()...)
	dst = strconv.AppendInt(append(dst, ' '), of.seen, 10)
	dst = strconv.AppendQuote(append(dst, ' '), of.source.Host)
	return strconv.AppendQuote(append(dst, ' '), of.source.Path)
}

// add adds the source of a stream and reports whether the stream is new. The caller holds mu.
func (n *Names) add(id ID, s Source, seen int64) (fresh bool) {
	if of := n.known[id]; of != nil {
		of.seen = max(of.seen, seen)
		return false
	}
	n.known[id] = &knownSource{source: s, seen: seen}
	n.bytes += len(s.Host) + len(s.Path)
	if len(n.known) > maxNames || n.bytes > maxNameBytes {
		n.evict()
	}
	return true
}

// evict forgets an eighth of the streams, those that were announced or looked up least recently. The caller holds mu.
func (n *Names) evict() {
	ids := slices.SortedFunc(maps.Keys(n.known),
		func(a, b ID) int { return cmp.Compare(n.known[a].seen, n.known[b].seen) })
	for _, id := range ids[:(len(ids)+7)/8] {
		n.drop(id)
	}
}

// drop forgets a stream. The caller holds mu.
func (n *Names) drop(id ID) {
	n.bytes -= len(n.known[id].source.Host) + len(n.known[id].source.Path)
	delete(n.known, id)
}

// Tell records the source of a stream. Save makes it durable.
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

// Learn records the sources that a batch announces for the streams of its entries, and saves them.
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

// Source returns the source of a stream, if it is known.
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

// Save makes the recorded sources durable. A failure is logged once, and the next Save tries again.
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
	ids, bodies, anew := n.pendingLines()
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

// pendingLines returns the lines to be written. If anew is true, they replace the whole file; otherwise they are those
// of ids and are appended. The caller holds save.
func (n *Names) pendingLines() (ids []ID, bodies [][]byte, anew bool) {
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

// Close saves the recorded sources and releases the file.
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

// ReadNames reads the names stored in a directory, which may be in use; without a file the result is empty. bad counts
// damaged lines.
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
