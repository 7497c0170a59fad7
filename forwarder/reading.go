package forwarder

import (
	"bytes"
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// roundTime is how long the follower reads before it looks at files and directories again.
const roundTime = 50 * time.Millisecond

// longLine is how many bytes without a newline are read again and again while they wait for one; from there on only what is new is.
const longLine = chunkSize / 2

func (v *volume) makeReady(g *generation) {
	if !g.reading {
		g.reading = true
		v.ready = append(v.ready, g)
	}
}

// readRound reads a chunk of each file that has something, in turn, until there is no more, the parcel is full, or for a while.
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
		if served < len(round) { // those who had no turn come first
			next = append(round[served:], next...)
			round = nil
		}
		v.spare = round
		v.ready = append(next, v.ready...)
	}
}

// read takes a chunk's worth of lines and says whether there is more.
func (v *volume) read(g *generation) bool {
	if g.fd < 0 || g.rewritten || !g.retired && g.trail.gens[0] != g { // an older generation was found meanwhile
		return false
	}
	v.at(&g.name)
	more, err := v.readChunk(g)
	if err != nil {
		v.readFailed(g, err)
		return false
	}
	v.readWorks(g)
	if !more {
		g.every = v.timing.poll
		g.pollAt = time.Now().Add(g.every)
		if v.once {
			g.pollAt, v.soon = time.Time{}, true
		}
	}
	return more
}

// readFailed tells that an open file cannot be read. Where that stays so, its path is asked again: a file server may have replaced the
// file, of which it then says ESTALE.
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

// readWorks tells that a file can be read again.
func (v *volume) readWorks(g *generation) {
	if !g.failed.IsZero() {
		v.count.unreadable.Add(-1)
		v.log.Info("file can be read again", "file", g.name, "after", time.Since(g.failed).Round(time.Millisecond))
		g.failed = time.Time{}
	}
}

// letGo closes a file that cannot be read, and has the next look decide what is read instead.
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
	g.look = look{}
	v.askDirectory(g)
	if len(g.trail.gens) > 0 {
		g.trail.gens[0].pollAt = time.Time{}
	}
}

func (v *volume) readChunk(g *generation) (more bool, err error) {
	if g.scanned >= longLine {
		return v.readLong(g)
	}
	off := g.offset - int64(g.tail.n)
	n, err := readAt(g.fd, v.buf, off)
	if err != nil {
		return false, err
	}
	end := content(v.buf[:n], off, min(g.tail.n, n), n < len(v.buf))
	ok, c := v.consume(g, v.buf[:end])
	if !ok {
		v.suspect(g)
		return false, nil
	}
	if v.isFull() {
		return true, nil
	}
	taken := c.before + c.bytes
	if end < n {
		return v.passPadding(g, v.buf[taken:end])
	}
	g.scanned, g.padded = int64(n-taken), false
	return n == len(v.buf), nil
}

// readLong goes on in a line that is longer than a chunk.
func (v *volume) readLong(g *generation) (more bool, err error) {
	longest := int64(v.longest(g.source))
	want := min(int64(len(v.buf)), longest-g.scanned)
	n, err := readAt(g.fd, v.buf[:want], g.end())
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
	if err != nil || data == nil { // scanned stays: the end of the line is looked for again
		return false, err
	}
	if ok, _ := v.consume(g, data); !ok {
		v.suspect(g)
	}
	return true, nil
}

// readLine reads length bytes behind the offset and what the tail covers before it. nil means that the file has become shorter.
func (v *volume) readLine(g *generation, length int64) ([]byte, error) {
	total := int(length) + g.tail.n
	if cap(v.long) < total {
		v.long = make([]byte, total)
	}
	data := v.long[:total]
	n, err := readAt(g.fd, data, g.offset-int64(g.tail.n))
	if err != nil || n < total {
		return nil, err
	}
	return data, nil
}

// consumed is what consume took.
type consumed struct {
	cut
	before int // bytes of data that stood before the offset
}

// consume takes the lines of data, which begins with the bytes that the tail covers. It takes nothing and is not ok if those are not
// what they were: the file was written anew.
func (v *volume) consume(g *generation, data []byte) (ok bool, c consumed) {
	c.before = g.tail.n
	if len(data) < c.before || printOf(data[:c.before]) != g.tail {
		return false, c
	}
	if at := int64(g.head.n) - (g.offset - int64(c.before)); g.head.n < printMax && at >= 0 { // no hole lies between
		g.head = g.head.grow(data[min(at, int64(len(data))):])
	}
	cutter := cutter{category: g.source.category, max: v.longest(g.source), full: parcelFull}
	c.cut = cutter.take(&v.cur.batch, data[c.before:], g.broken)
	if c.entries > 0 {
		v.took(g, data[:c.before+c.bytes], c.cut)
	}
	return true, c
}

// took moves the position behind data, which ends where the last entry ends.
func (v *volume) took(g *generation, data []byte, c cut) {
	v.number(g, data, c)
	g.offset += int64(c.bytes)
	g.scanned, g.broken = 0, c.broken
	g.tail = printOf(data[len(data)-int(min(g.offset, printMax)):])
	if g.state == ignored {
		g.state = active
	}
	v.cur.bytes += int64(c.bytes)
	v.count.lines.Add(int64(c.entries))
	v.count.bytes.Add(int64(c.bytes))
	v.count.split.Add(int64(c.split))
	g.source.received.Add(int64(c.entries))
	v.note(g)
}

// takeRest takes the line without an end that the file ends with. It says whether it could.
func (v *volume) takeRest(g *generation) bool {
	if v.isFull() {
		return false
	}
	data, err := v.readLine(g, g.scanned)
	if err != nil {
		v.readFailed(g, err)
		return false
	}
	if data == nil || printOf(data[:g.tail.n]) != g.tail {
		v.suspect(g)
		return false
	}
	v.cur.batch.Append(g.source.category, append(data[g.tail.n:len(data):len(data)], '\n'))
	v.took(g, data, cut{bytes: int(g.scanned), entries: 1, rest: true})
	return true
}
