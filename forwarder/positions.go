package forwarder

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
)

const (
	positionsName   = "positions"
	positionsMagic  = "inkwell positions "
	positionsHeader = positionsMagic + "4" // not 3: a flipped bit would make 2 of that
	olderHeader     = positionsMagic + "2"
	positionsSlack  = 4 << 20 // bytes that may be appended before the file is written anew
)

// positions is the file that says how far each generation was taken over: an append-only log of lines (see position),
// the last line of an identity and path counts. It is written anew when it has grown, atomically; what it says of older
// places is kept (see past). Lines whose checksum does not match are passed over: what was appended and not synced when
// the power failed is lost, which makes positions older, never wrong.
//
// Not safe for concurrent use.
type positions struct {
	dir     *faultfs.Dir
	log     *slog.Logger
	file    *faultfs.File // nil = to be written anew before anything else
	live    map[key]position
	past    map[key]past // of those that are in live
	buf     []byte
	size    int64  // of the file
	fresh   int64  // its size when it was last written anew
	dirty   bool   // there is something that was not synced
	missing bool   // live has something that the file has not
	started []byte // what bootName is to hold once the file is written; nil = it does
}

func newPositions(log *slog.Logger) *positions {
	return &positions{log: log, live: make(map[key]position), past: make(map[key]past)}
}

// openPositions reads the file, and writes it anew: from then on there is one that can be appended to. On a full disk
// that has time until the next sync: a forwarder that cannot be started there would let files be rotated away that it
// could send.
func openPositions(dir *faultfs.Dir, log *slog.Logger) (*positions, error) {
	p := newPositions(log)
	p.dir = dir
	header, take := positionsHeader, p.take
	if old, err := dir.ReadFile(positionsName); err == nil && bytes.HasPrefix(old, []byte(olderHeader)) {
		header, take = olderHeader, p.takeOlder(make(map[identity]key)) // what is written anew is of today's version
	}
	lines, damage, err := faultfs.OpenLines(dir, positionsName, header, take)
	if err != nil {
		return nil, err
	}
	if damage.Lines > 0 {
		log.Warn("damaged positions are passed over; some lines may be sent twice",
			"file", filepath.Join(dir.Path(), positionsName), "lines", damage.Lines, "kept as", damage.Aside)
	}
	if err := lines.Keep(); err != nil { // before it is written over
		return nil, err
	}
	return p, unlessFull(p.rewrite())
}

// unlessFull is err, but for a lack of room.
func unlessFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil
	}
	return err
}

// take reads a line, of either version: the header may be damaged.
func (p *positions) take(body []byte) error {
	pos, err := parsePosition(body, 4)
	if err != nil {
		pos, err = parsePosition(body, 2)
	}
	if err == nil {
		p.set(pos)
	}
	return err
}

// takeOlder reads a line of version 2, in which the last one of an identity counts, whatever its path is.
func (p *positions) takeOlder(last map[identity]key) func(body []byte) error {
	return func(body []byte) error {
		pos, err := parsePosition(body, 2)
		if err != nil {
			return p.take(body)
		}
		if before, known := last[pos.id]; known && before != pos.key() {
			delete(p.live, before)
			delete(p.past, before)
		}
		last[pos.id] = pos.key()
		p.set(pos)
		return nil
	}
}

func (p *positions) set(pos position) {
	k := pos.key()
	if pos.phase == removed {
		delete(p.live, k)
		delete(p.past, k)
		return
	}
	if before, known := p.live[k]; known && before.offset != pos.offset {
		if old := p.past[k].add(before.checkpoint(), pos.offset); old != nil {
			p.past[k] = old
		}
	}
	p.live[k] = pos
}

// commit makes batch, in order, survive a killed process, with one write. After an error they are remembered and
// written with the next commit or sync.
func (p *positions) commit(batch []position) error {
	p.buf = p.buf[:0]
	for i := range batch {
		p.set(batch[i])
		p.buf = appendPosition(p.buf, &batch[i])
	}
	if p.missing || p.file == nil || p.size > positionsSlack+3*p.fresh {
		return p.rewrite()
	}
	n, err := p.file.Write(p.buf)
	p.size += int64(n)
	p.dirty = true
	p.missing = err != nil
	killpoint.Reach("forward.positions.written")
	return err
}

// sync makes everything that was committed survive a power failure.
func (p *positions) sync() error {
	if p.missing || p.file == nil || p.started != nil {
		return p.rewrite()
	}
	if !p.dirty {
		return nil
	}
	err := p.file.Sync()
	killpoint.Reach("forward.positions.synced")
	p.missing = err != nil // the next time in a new file: a second sync of this one would prove nothing
	p.dirty = err != nil
	return err
}

// rewrite replaces the file by one that holds only what is needed.
func (p *positions) rewrite() error {
	p.missing = true
	if err := p.closeFile(); err != nil {
		p.log.Warn("cannot close old positions", "err", err)
	}
	data := p.appendTo([]byte(positionsHeader + "\n"))
	if err := p.dir.WriteFile(positionsName, data); err != nil {
		return fmt.Errorf("write positions: %w", err)
	}
	f, err := p.dir.OpenFile(positionsName, os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("open positions: %w", err)
	}
	p.file, p.size, p.fresh = f, int64(len(data)), int64(len(data))
	p.missing, p.dirty = false, false
	return p.noteBoot()
}

// appendTo writes what counts, and before each position the older places of its file, as positions of which nothing was
// taken: who reads them takes the last.
func (p *positions) appendTo(dst []byte) []byte {
	for _, k := range slices.SortedFunc(maps.Keys(p.live), compareKeys) {
		pos := p.live[k]
		for _, old := range p.past[k] {
			dst = appendPosition(dst, &position{id: k.identity, phase: active, category: pos.category, path: pos.path,
				offset: old.offset, head: old.head, tail: old.tail})
		}
		dst = appendPosition(dst, &pos)
	}
	return dst
}

func compareKeys(a, b key) int {
	return cmp.Or(cmp.Compare(a.dev, b.dev), cmp.Compare(a.ino, b.ino), cmp.Compare(a.path, b.path))
}

func (p *positions) closeFile() error {
	f := p.file
	p.file = nil
	if f == nil {
		return nil
	}
	return f.Close()
}

// close syncs and releases the file.
func (p *positions) close() error { return errors.Join(p.sync(), p.closeFile()) }
