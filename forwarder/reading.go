package forwarder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"inkwell/forwarder/lines"
	"inkwell/forwarder/packed"
)

// roundTime is how long a volume reads before it looks at files and directories again.
const roundTime = 50 * time.Millisecond

// longLine is the length from which a line without a newline is not read again from its start at each attempt; then
// only the bytes that were added are read.
const longLine = chunkSize / 2

func (v *volume) makeReady(g *generation) {
	if !g.reading {
		g.reading = true
		v.ready = append(v.ready, g)
	}
}

// readRound reads a chunk of each file that has content, in turn, until there is no more, the shipment is full, or
// roundTime has passed.
func (v *volume) readRound(ctx context.Context, start time.Time) {
	for len(v.ready) > 0 && !v.isFull() && ctx.Err() == nil && time.Since(start) < roundTime {
		round, next := v.ready, v.spare[:0]
		v.ready = nil
		served := 0
		for ; served < len(round) && !v.isFull(); served++ {
			g := round[served]
			if more := v.read(g); more {
				next = append(next, g)
			} else {
				g.reading = false
			}
			v.offer(ctx)
		}
		if served < len(round) { // files that had no turn come first next time
			next = append(round[served:], next...)
			round = nil
		}
		clear(round) // do not keep closed files in memory
		v.spare = round
		v.ready = append(next, v.ready...)
	}
}

// read takes the lines of one chunk, and says whether there is more to read.
func (v *volume) read(g *generation) bool {
	if g.fd < 0 || g.rewritten || !g.retired && g.trail.gens[0] != g { // an older generation was found meanwhile
		return false
	}
	if g.trail.held && !g.begun() && !g.retired {
		g.pollAt = time.Now().Add(v.timing.poll)
		return false
	}
	v.at(&g.name)
	if v.mayBeTruncated(g) {
		v.askDirectory(g)
		g.pollAt = time.Time{}
		return false
	}
	more, err := v.readChunk(g)
	switch {
	case errors.Is(err, packed.ErrLater):
		return true
	case err != nil:
		v.readFailed(g, err)
		return false
	}
	v.readWorks(g)
	if !more {
		g.behind = time.Time{}
		g.every = v.timing.poll
		g.pollAt = time.Now().Add(g.every)
		if v.once {
			g.pollAt, v.soon = time.Time{}, true
		}
	}
	return more
}

// mayBeTruncated says whether a file may have been copied and truncated before anything was read of it: it had to wait
// for older files, and its directory has changed since it was listed. Then only the copy has the old content, and that
// must be read first. It is asked once for each file.
func (v *volume) mayBeTruncated(g *generation) bool {
	if g.asked || g.begun() || g.retired {
		return false
	}
	g.asked = true
	l, err := statPath(g.trail.dir.path)
	return err == nil && !l.mtime.Equal(g.trail.dir.mtime)
}

// readFailed handles an error of an open file. If the error persists, the path is opened again: an NFS server answers
// ESTALE when it has replaced the file.
func (v *volume) readFailed(g *generation, err error) {
	now := time.Now()
	if g.failed.IsZero() {
		g.failed = now
		v.count.unreadable.Add(1)
		v.log.Warn("cannot read a file; it is tried again", "file", g.name, "err", err)
	}
	g.every = v.pollMax
	g.pollAt = now.Add(g.every)
	if errors.Is(err, unix.ESTALE) || now.Sub(g.failed) >= v.partial {
		v.letGo(g)
	}
}

// readWorks logs that a file can be read again.
func (v *volume) readWorks(g *generation) {
	if !g.failed.IsZero() {
		v.count.unreadable.Add(-1)
		v.log.Info("file can be read again", "file", g.name, "after", time.Since(g.failed).Round(time.Millisecond))
		g.failed = time.Time{}
	}
}

// letGo closes a file that cannot be read. The next scan of the directory decides what is read instead.
func (v *volume) letGo(g *generation) {
	g.failed = time.Time{}
	v.count.unreadable.Add(-1)
	g.close(v.log)
	if g.retired {
		g.retired = false
		v.retired--
		return
	}
	g.trail.remove(g)
	g.stat.changed = time.Time{} // so that it counts as changed, and is opened again
	v.askDirectory(g)
	if len(g.trail.gens) > 0 {
		g.trail.gens[0].pollAt = time.Time{}
	}
}

// chunk returns memory for the next read of g. It is larger than a chunk if a message is larger.
func (v *volume) chunk(g *generation) []byte {
	want := max(g.until-g.offset, 0)
	if g.scanned >= longLine {
		want = max(want, 2*g.scanned)
	}
	total := g.tail.n + int(min(want, int64(g.trail.decoder.Most())))
	if total <= len(v.buf) {
		return v.buf
	}
	if cap(v.long) < total {
		v.long = make([]byte, total)
	}
	return v.long[:total]
}

func (v *volume) readChunk(g *generation) (more bool, err error) {
	code, err := g.encoding()
	if err != nil {
		return false, err
	}
	if g.scanned >= longLine && g.until == 0 && g.trail.decoder.Plain(code) {
		return v.readLong(g)
	}
	buf, off := v.chunk(g), g.offset-int64(g.tail.n)
	n, err := g.readAt(buf, off)
	if err != nil {
		return false, err
	}
	full := n == len(buf)
	end := content(buf[:n], off, min(g.tail.n, n), !full)
	end = min(n, int(code.Even(off+int64(end))-off))
	padded := end < n
	if decided := int(g.until - off); g.until > 0 && decided <= n {
		end, padded = decided, false
	} else if g.until > 0 && !full {
		v.suspect(g) // it has become shorter
		return false, nil
	}
	ok, c := v.consume(g, code, buf[:end])
	switch {
	case !ok:
		v.suspect(g)
		return false, nil
	case v.isFull():
		return true, nil
	case padded:
		return v.passPadding(g, code, buf[c.before+c.Bytes-g.tail.n:end])
	}
	g.scanned, g.padded = int64(end-c.before-c.Bytes), false
	g.held = int64(max(c.Seen-c.Bytes, 0))
	if full && g.scanned > int64(g.trail.decoder.Most()) {
		return false, fmt.Errorf("no message ends within %d bytes", g.scanned)
	}
	return full || end < n, nil
}

// readLong continues to read a line that is longer than a chunk.
func (v *volume) readLong(g *generation) (more bool, err error) {
	longest := int64(g.source.lines.MaxLine)
	want := min(int64(len(v.buf)), longest-g.scanned)
	n, err := g.readAt(v.buf[:want], g.end())
	if n == 0 || err != nil {
		return false, err
	}
	length := g.scanned
	if end := bytes.IndexByte(v.buf[:n], '\n'); end >= 0 {
		length += int64(end) + 1
	} else if length += int64(n); length < longest {
		g.scanned = length
		return int64(n) == want, nil
	}
	data, err := v.readLine(g, length)
	if err != nil || data == nil { // scanned is kept, so that the newline is found again
		return false, err
	}
	if ok, _ := v.consume(g, g.code, data); !ok {
		v.suspect(g)
	}
	return true, nil
}

// readLine reads length bytes at the offset, and before them the bytes that the tail covers. nil means that the file
// has become shorter.
func (v *volume) readLine(g *generation, length int64) ([]byte, error) {
	total := int(length) + g.tail.n
	if cap(v.long) < total {
		v.long = make([]byte, total)
	}
	data := v.long[:total]
	n, err := g.readAt(data, g.offset-int64(g.tail.n))
	if err != nil || n < total {
		return nil, err
	}
	return data, nil
}

// consumed is what consume took.
type consumed struct {
	lines.Taken
	before int // bytes of data before the offset
}

// consume takes the messages in data, which begins with the bytes that the tail covers. If those bytes have changed,
// the file was rewritten: then ok is false and nothing is taken.
func (v *volume) consume(g *generation, code lines.Encoding, data []byte) (ok bool, c consumed) {
	c.before = g.tail.n
	if len(data) < c.before || printOf(data[:c.before]) != g.tail {
		return false, c
	}
	// head grows only if data continues the bytes that it covers.
	if at := int64(g.head.n) - (g.offset - int64(c.before)); g.head.n < printMax && at >= 0 {
		g.head = g.head.grow(data[min(at, int64(len(data))):])
	}
	chunk := lines.Chunk{Data: data[c.before:]}
	if g.until == g.offset+int64(len(chunk.Data)) {
		chunk.End = len(chunk.Data)
	}
	c.Taken = v.take(g, code, chunk, data)
	return true, c
}

// take appends the messages of a chunk to the shipment and advances the position. The chunk is the end of data; what
// precedes it in data was taken before.
func (v *volume) take(g *generation, code lines.Encoding, c lines.Chunk, data []byte) lines.Taken {
	before := len(data) - len(c.Data)
	c.Category, c.Offset, c.Encoding, c.Ahead, c.Broken = g.trail.category, g.offset, code, int(g.ahead), g.broken
	c.Prefix = g.trail.prefix
	t := g.trail.decoder.Take(&v.cur.batch, c)
	if t.Entries == 0 && t.Bytes == 0 {
		return t
	}
	v.number(g, code, t.Entries)
	g.offset += int64(t.Bytes)
	g.ahead, g.broken = int64(t.Ahead), t.Broken
	g.scanned, g.held = 0, 0
	if g.offset >= g.until {
		g.until = 0
	}
	taken := data[:before+t.Bytes]
	g.tail = printOf(taken[len(taken)-int(min(g.offset, printMax)):])
	if g.phase == ignored {
		g.phase = active
	}
	v.cur.bytes += int64(t.Bytes)
	v.count.lines.Add(int64(t.Entries))
	v.count.bytes.Add(int64(t.Bytes))
	v.count.split.Add(int64(t.Split))
	v.count.odd.Add(int64(t.Odd))
	g.trail.received.Add(int64(t.Entries))
	v.note(g)
	return t
}

// endAt decides that the last message of the file ends at offset, whatever is added later. The decision is saved before
// the message is sent, so that after a restart the same bytes make the same message. endAt is false if that is not
// possible now: the shipment already has a position of this file, and saving a later one would count the unsent lines
// before it as acknowledged.
func (v *volume) endAt(g *generation, offset int64) bool {
	switch {
	case g.until > 0:
		return true
	case g.shipment == v.cur.seq:
		v.cur.close()
		return false
	case v.isFull():
		return false
	}
	g.until = offset
	v.cur.born = append(v.cur.born, g.position)
	v.makeReady(g)
	return true
}

// takeRest takes all that is left in the file, even if it does not end with a newline. It says whether that was
// possible.
func (v *volume) takeRest(g *generation) bool {
	if !v.endAt(g, g.end()) {
		return false
	}
	for g.until > 0 && !v.isFull() && !g.rewritten {
		if _, err := v.readChunk(g); err != nil && !errors.Is(err, packed.ErrLater) {
			v.readFailed(g, err)
			return false
		}
	}
	return g.until == 0
}
