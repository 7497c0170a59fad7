package lines

import (
	"bytes"
	"time"
)

// longKeep is how many bytes of memory a message keeps for the next one.
const longKeep = 1 << 20

// piece is what one source line contributes to a message.
type piece struct {
	from, to int    // of the source line
	text     []byte // the part of it that belongs to the message …
	at       int    // … and its index in the chunk; -1 = it is not in the chunk
	stamp    []byte // time and stream of a container line; empty for others
	stream   int
	whole    bool // the source line has a newline
	last     bool // it has none, and never gets one
	partial  bool // the container runtime says that the line continues
}

// ends says whether the piece ends a line.
func (p *piece) ends() bool { return (p.whole || p.last) && !p.partial }

// message is a message that is not complete yet.
type message struct {
	start, end int // in the chunk: its first byte, and the end of its last line; end = 0: there is no message
	text       []byte
	at         int // text is at chunk.Data[at:]; -1 = it is in own
	own        []byte
	lines      int
	open       bool   // its last line is not complete
	stamp      []byte // of its last piece; a copy
}

func (m *message) begun() bool { return m.end > 0 }

// clear makes m no message, and keeps its memory.
func (m *message) clear() {
	if cap(m.own) > longKeep {
		m.own = nil
	}
	*m = message{own: m.own[:0], stamp: m.stamp[:0]}
}

// append adds a piece. As long as the pieces are adjacent in the chunk, nothing is copied.
func (m *message) append(p *piece, data []byte, stamp bool) {
	switch {
	case !m.begun():
		m.start, m.at, m.text = p.from, p.at, p.text
		if stamp && len(p.stamp) > 0 {
			m.own = append(append(m.own[:0], p.stamp...), ' ')
			m.own = append(m.own, p.text...)
			m.text, m.at = m.own, -1
		} else if p.at < 0 {
			m.own = append(m.own[:0], p.text...)
			m.text = m.own
		}
	case m.at >= 0 && m.at+len(m.text) == p.at:
		m.text = data[m.at : p.at+len(p.text)]
	default:
		if m.at >= 0 {
			m.own, m.at = append(m.own[:0], m.text...), -1
		}
		m.own = append(m.own, p.text...)
		m.text = m.own
	}
	if !m.open {
		m.lines++
	}
	m.open = !p.ends()
	m.end = p.to
	m.stamp = append(m.stamp[:0], p.stamp...)
}

// settle takes the messages that p shows to be complete: those that are too old, cover too much of the file, or were
// followed by too much of the other stream.
func (d *Decoder) settle(p *piece) {
	for i := range d.pending {
		m := &d.pending[i]
		if !m.begun() {
			continue
		}
		if p.to-m.start > d.span() || p.from-m.end > idleSpan || lateBy(m.stamp, p.stamp, d.o.Wait) {
			d.flush(m)
		}
	}
}

// add adds p to the message of its stream, and takes the messages that become complete.
func (d *Decoder) add(p *piece) {
	m := &d.pending[p.stream]
	begins := d.start == nil || d.start.Match(bytes.TrimRight(p.text, "\r\n"))
	if m.begun() && (!m.open && (begins || m.lines >= d.o.MaxLines)) {
		d.flush(m)
	}
	if m.begun() && len(m.text)+len(p.text) > d.o.MaxLine {
		d.split(m)
	}
	if !p.whole && !p.last { // a line that is too long, or a piece of it
		if m.begun() {
			d.flush(m)
		}
		d.put(p.text)
		d.broken()
		return
	}
	m.append(p, d.out.chunk.Data, d.o.Stamp)
	if d.start == nil && !m.open {
		d.flush(m)
	}
}

// flush takes m. If its last line has no newline, it gets one, so that it does not run into the next message.
func (d *Decoder) flush(m *message) {
	text := m.text
	if n := len(text); n == 0 || text[n-1] != '\n' {
		if m.at >= 0 {
			m.own = append(m.own[:0], text...)
		}
		m.own = append(m.own, '\n')
		text = m.own
	}
	d.put(text)
	d.out.taken.Broken = false
	m.clear()
}

// split takes what there is of a message that is too long.
func (d *Decoder) split(m *message) {
	if !m.open { // it has whole lines only: the next message begins with a line
		d.flush(m)
		return
	}
	d.put(m.text)
	d.broken()
	m.clear()
}

func (d *Decoder) put(text []byte) {
	prefix := d.out.chunk.Prefix
	if d.out.taken.Broken {
		prefix = nil
	}
	d.out.batch.AppendPrefixed(d.out.chunk.Category, prefix, text)
	d.out.taken.Entries++
}

// broken notes that a piece was taken that is not the last one of its message.
func (d *Decoder) broken() {
	if !d.out.taken.Broken {
		d.out.taken.Split++
	}
	d.out.taken.Broken = true
}

// flushAll takes all open messages, the older one first.
func (d *Decoder) flushAll() {
	a, b := &d.pending[0], &d.pending[1]
	if b.begun() && (!a.begun() || b.start < a.start) {
		a, b = b, a
	}
	for _, m := range []*message{a, b} {
		if m.begun() {
			d.flush(m)
		}
	}
}

// lateBy says whether b was written more than wait after a. Both begin with an RFC 3339 time; without times it is
// false.
func lateBy(a, b []byte, wait time.Duration) bool {
	const toSecond = len("2006-01-02T15:04:05")
	if len(a) < toSecond || len(b) < toSecond || bytes.Equal(a[:toSecond], b[:toSecond]) && wait >= time.Second {
		return false
	}
	x, xok := stampTime(a)
	y, yok := stampTime(b)
	return xok && yok && y.Sub(x) > wait
}

func stampTime(stamp []byte) (time.Time, bool) {
	text, _, _ := bytes.Cut(stamp, []byte{' '})
	t, err := time.Parse(time.RFC3339Nano, string(text))
	return t, err == nil
}
