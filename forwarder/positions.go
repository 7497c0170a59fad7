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
	positionsHeader = positionsMagic + "4" // not 3: one flipped bit would make a 2 of that
	olderHeader     = positionsMagic + "2"
	positionsSlack  = 4 << 20 // bytes that may be appended before the file is rewritten
)

// positions is the file that says how much of each generation was acknowledged. It is an append-only log of lines (see
// position), in which the last line of an identity and path counts. When it has grown too much it is rewritten
// atomically; the older checkpoints in it are kept (see history). Lines with a wrong checksum are skipped. What was
// appended but not synced is lost in a power cut: that makes positions older, never wrong.
//
// Not safe for concurrent use.
type positions struct {
	dir     *faultfs.Dir
	log     *slog.Logger
	file    *faultfs.File // nil = the file has to be rewritten before anything else
	room    int64         // the end of the disk space that is allocated for the file: see allocate
	live    map[key]position
	past    map[key]history // of the positions in live
	buf     []byte
	size    int64  // of the file
	fresh   int64  // size when it was last rewritten
	dirty   bool   // something was written and not synced
	missing bool   // live has something that the file has not
	started []byte // the boot ID to be saved once the file is written; nil = none
}

func newPositions(log *slog.Logger) *positions {
	return &positions{log: log, live: make(map[key]position), past: make(map[key]history)}
}

// openPositions reads the file and rewrites it, so that it can be appended to. On a full disk the rewriting waits until
// the next sync: if the forwarder could not be started then, files would be rotated away that it could have sent.
func openPositions(dir *faultfs.Dir, log *slog.Logger) (*positions, error) {
	p := newPositions(log)
	p.dir = dir
	header, take := positionsHeader, p.take
	if old, err := dir.ReadFile(positionsName); err == nil && bytes.HasPrefix(old, []byte(olderHeader)) {
		header, take = olderHeader, p.takeOlder(make(map[identity]key)) // it is rewritten in the current version
	}
	lines, damage, err := faultfs.OpenLines(dir, positionsName, header, take)
	if err != nil {
		return nil, err
	}
	if damage.Lines > 0 {
		log.Warn("damaged positions are skipped; some lines may be sent twice",
			"file", filepath.Join(dir.Path(), positionsName), "lines", damage.Lines, "kept as", damage.Aside)
	}
	if err := lines.Keep(); err != nil { // before it is overwritten
		return nil, err
	}
	err = p.rewrite()
	if isFull(err) && header == positionsHeader && damage.Lines == 0 {
		p.reopen()
	}
	return p, unlessFull(err)
}

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// unlessFull returns err, but nil if the disk or the quota is full.
func unlessFull(err error) error {
	if isFull(err) {
		return nil
	}
	return err
}

// take parses a line of either version, because the header may be damaged.
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

// takeOlder parses a line of version 2, in which the last line of an identity counts, whatever its path is.
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

// commit writes batch, in order, with one write, so that it survives when the process is killed. After an error the
// positions are kept and written with the next commit or sync.
func (p *positions) commit(batch []position) error {
	p.buf = p.buf[:0]
	for i := range batch {
		p.set(batch[i])
		p.buf = appendPosition(p.buf, &batch[i])
	}
	if p.missing || p.file == nil || p.size > positionsSlack+3*p.fresh {
		return p.rewrite()
	}
	err := p.allocate(int64(len(p.buf)))
	if err == nil {
		err = p.append()
	}
	p.missing = err != nil
	killpoint.Reach("forward.positions.written")
	return err
}

// append writes what is in buf to the end of the file.
func (p *positions) append() error {
	n, err := p.file.Write(p.buf)
	p.size += int64(n)
	p.dirty = true
	return err
}

// sync makes everything that was committed survive a power cut.
func (p *positions) sync() error {
	if p.missing || p.file == nil || p.started != nil {
		return p.rewrite()
	}
	if !p.dirty {
		return nil
	}
	err := p.file.Sync()
	killpoint.Reach("forward.positions.synced")
	p.missing = err != nil // rewrite next time: after a failed sync, another one of the same file proves nothing
	p.dirty = err != nil
	return err
}

// rewrite replaces the file by one that has only the lines that count. If that fails, the old one stays open.
func (p *positions) rewrite() error {
	p.missing = true
	data := p.appendTo([]byte(positionsHeader + "\n"))
	if err := p.dir.WriteFile(positionsName, data); err != nil {
		return fmt.Errorf("write positions: %w", err)
	}
	if err := p.closeFile(); err != nil {
		p.log.Warn("cannot close old positions", "err", err)
	}
	f, err := p.dir.OpenFile(positionsName, os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("open positions: %w", err)
	}
	p.file, p.size, p.fresh = f, int64(len(data)), int64(len(data))
	p.missing, p.dirty, p.room = false, false, 0
	_ = p.allocate(0) // on a full disk the next commit says so
	return p.noteBoot()
}

// appendTo appends the lines that count. The older checkpoints of a file come before its position, as positions without
// a stream: a reader that does not know of them takes the last line.
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
