package forwarder

import (
	"bytes"
	"context"
	"time"
)

// roundTime is how long the follower reads before it looks at files and directories again.
const roundTime = 50 * time.Millisecond

// longLine is how many bytes without a newline are read again and again while they wait for one; from there on only what is new is.
const longLine = chunkSize / 2

func (f *follower) makeReady(g *generation) {
	if !g.reading {
		g.reading = true
		f.ready = append(f.ready, g)
	}
}

// readRound reads a chunk of each file that has something, in turn, until there is no more, the parcel is full, or for a while.
func (f *follower) readRound(ctx context.Context, start time.Time) {
	for len(f.ready) > 0 && !f.isFull() && ctx.Err() == nil && time.Since(start) < roundTime {
		round, next := f.ready, f.spare[:0]
		f.ready = nil
		served := 0
		for ; served < len(round) && !f.isFull(); served++ {
			g := round[served]
			if more := f.read(g); more {
				next = append(next, g)
			} else {
				g.reading = false
			}
			f.offer()
		}
		if served < len(round) { // those who had no turn come first
			next = append(round[served:], next...)
			round = nil
		}
		f.spare = round
		f.ready = append(next, f.ready...)
	}
}

// read takes a chunk's worth of lines and says whether there is more.
func (f *follower) read(g *generation) bool {
	if g.fd < 0 || !g.retired && g.trail.gens[0] != g { // an older generation was found meanwhile
		return false
	}
	more, err := f.readChunk(g)
	if err != nil {
		f.readFailed(g, err)
		return false
	}
	g.failing = false
	if !more {
		g.every = f.timing.poll
		g.pollAt = time.Now().Add(g.every)
		if f.once {
			g.pollAt, f.soon = time.Time{}, true
		}
	}
	return more
}

func (f *follower) readFailed(g *generation, err error) {
	if !g.failing {
		f.count.unreadable.Add(1)
		f.log.Warn("cannot read a file; it is tried again", "file", g.name, "err", err)
	}
	g.failing = true
	g.every = f.pollMax
	g.pollAt = time.Now().Add(g.every)
}

func (f *follower) readChunk(g *generation) (more bool, err error) {
	if g.scanned >= longLine {
		return f.readLong(g)
	}
	n, err := readAt(g.fd, f.buf, g.offset-int64(g.tail.n))
	if err != nil {
		return false, err
	}
	data := f.buf[:n]
	ok, c := f.consume(g, data)
	if !ok {
		f.truncated(g)
		return true, nil
	}
	if f.isFull() {
		return true, nil
	}
	g.scanned = int64(n - c.before - c.bytes)
	return n == len(f.buf), nil
}

// readLong goes on in a line that is longer than a chunk.
func (f *follower) readLong(g *generation) (more bool, err error) {
	longest := int64(f.longest(g.source))
	want := min(int64(len(f.buf)), longest-g.scanned)
	n, err := readAt(g.fd, f.buf[:want], g.end())
	if n == 0 || err != nil {
		return false, err
	}
	length := g.scanned
	if end := bytes.IndexByte(f.buf[:n], '\n'); end >= 0 {
		length += int64(end) + 1
	} else if length += int64(n); length < longest {
		g.scanned = length
		return int64(n) == want, nil
	}
	data, err := f.readLine(g, length)
	if err != nil || data == nil { // scanned stays: the end of the line is looked for again
		return false, err
	}
	if ok, _ := f.consume(g, data); !ok {
		f.truncated(g)
	}
	return true, nil
}

// readLine reads length bytes behind the offset and what the tail covers before it. nil means that the file has become shorter.
func (f *follower) readLine(g *generation, length int64) ([]byte, error) {
	total := int(length) + g.tail.n
	if cap(f.long) < total {
		f.long = make([]byte, total)
	}
	data := f.long[:total]
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
func (f *follower) consume(g *generation, data []byte) (ok bool, c consumed) {
	c.before = g.tail.n
	if len(data) < c.before || printOf(data[:c.before]) != g.tail {
		return false, c
	}
	if g.head.n < printMax { // then data begins at the file's first byte, or where the head ends
		g.head = g.head.grow(data[min(g.head.n, len(data)):])
	}
	cutter := cutter{category: g.source.category, max: f.longest(g.source), full: parcelFull}
	c.cut = cutter.take(&f.cur.batch, data[c.before:], g.broken)
	if c.entries > 0 {
		f.took(g, data[:c.before+c.bytes], c.cut)
	}
	return true, c
}

// took moves the position behind data, which ends where the last entry ends.
func (f *follower) took(g *generation, data []byte, c cut) {
	f.number(g, data, c)
	g.offset += int64(c.bytes)
	g.scanned, g.broken = 0, c.broken
	g.tail = printOf(data[len(data)-int(min(g.offset, printMax)):])
	if g.state == ignored {
		g.state = active
	}
	f.cur.bytes += int64(c.bytes)
	f.count.lines.Add(int64(c.entries))
	f.count.bytes.Add(int64(c.bytes))
	f.count.split.Add(int64(c.split))
	g.source.received.Add(int64(c.entries))
	f.note(g)
}

// takeRest takes the line without an end that the file ends with. It says whether it could.
func (f *follower) takeRest(g *generation) bool {
	if f.isFull() {
		return false
	}
	data, err := f.readLine(g, g.scanned)
	if err != nil {
		f.readFailed(g, err)
		return false
	}
	if data == nil || printOf(data[:g.tail.n]) != g.tail {
		f.truncated(g)
		return false
	}
	f.cur.batch.Append(g.source.category, append(data[g.tail.n:len(data):len(data)], '\n'))
	f.took(g, data, cut{bytes: int(g.scanned), entries: 1, rest: true})
	return true
}
