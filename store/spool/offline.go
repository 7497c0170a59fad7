package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"

	"inkwell/internal/faultfs"
)

// Segment describes one segment of a log, which need not be open.
type Segment struct {
	Name      string
	Base, End uint64 // offsets; End is bounded by the size of the file and the base of the next segment
	Acked     bool   // everything in it is acknowledged
}

// Report is the result of Verify.
type Report struct {
	Segments   int
	Groups     int
	Records    int
	Entries    int64  // in intact groups
	Waiting    int64  // entries that are not acknowledged
	Acked, End uint64 // offsets
	Damaged    []Damage
	TornBytes  int64    // behind the last intact group of the last segment: an Append that was never confirmed
	Aside      []string // files that earlier runs set aside
}

// Damage describes one damaged range that Verify found.
type Damage struct {
	CorruptError
	Header  bool  // the header of the segment is bad, so nothing in the segment can be read
	Last    bool  // it is in the last segment
	Lost    int64 // entries lost in the range, -1 if no intact group follows that would tell
	Groups  int   // intact groups behind the range, in all segments
	Entries int64 // in those groups
}

// List lists the segments of the log in dir, oldest first. It takes no lock and changes nothing; the segments of a log
// in use may change right after.
func List(dir *faultfs.Dir) ([]Segment, error) {
	segments, _, err := segmentsIn(dir)
	if err != nil {
		return nil, err
	}
	acked, err := ackedIn(dir)
	if err != nil {
		return nil, err
	}
	list := make([]Segment, 0, len(segments))
	for i, s := range segments {
		info, err := dir.Lstat(s.name())
		if err != nil {
			return nil, err
		}
		end := s.base + uint64(info.Size())
		if i+1 < len(segments) {
			end = min(end, segments[i+1].base)
		}
		list = append(list, Segment{Name: s.name(), Base: s.base, End: end, Acked: end <= acked})
	}
	return list, nil
}

// ackedIn returns the acknowledged offset, 0 if there is none.
func ackedIn(dir *faultfs.Dir) (uint64, error) {
	f, err := dir.OpenFile(ackName, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	p, _, _, err := readAck(f)
	return p.offset, errors.Join(err, f.Close())
}

// Verify reads the whole log in dir, without a lock like List, and reports its content and its damage. progress, which
// may be nil, is called with the bytes read so far and in total.
func Verify(dir *faultfs.Dir, progress func(done, total int64)) (Report, error) {
	var r Report
	list, err := List(dir)
	if err != nil {
		return r, err
	}
	if r.Acked, err = ackedIn(dir); err != nil {
		return r, err
	}
	var total, done int64
	for _, s := range list {
		total += int64(s.End - s.Base)
	}
	var c counter
	w := walker{dir: dir, onSegment: func(first uint64) { c.advanceTo(&r, first) }}
	for i, s := range list {
		err := w.walk(s, i == len(list)-1, func(g group, body []byte, damage *CorruptError) bool {
			if damage != nil {
				c.damage(&r, Damage{CorruptError: *damage, Header: damage.Start == s.Base, Last: i == len(list)-1})
			} else {
				c.group(&r, g, body)
			}
			if progress != nil {
				progress(done+int64(max(g.end(), s.Base)-s.Base), total)
			}
			return true
		})
		if err != nil {
			return r, err
		}
		r.Segments++
		done += int64(s.End - s.Base)
	}
	for i := range r.Damaged {
		d := &r.Damaged[i]
		d.Groups, d.Entries = r.Groups-d.Groups, r.Entries-d.Entries
	}
	r.End, r.TornBytes = w.end, w.torn
	r.Aside, err = asideIn(dir)
	return r, err
}

// counter collects in a Report what a walker finds.
type counter struct {
	next  uint64 // number of the entry that is expected next
	known bool
	open  int // damaged ranges since the last intact group
}

func (c *counter) damage(r *Report, d Damage) {
	// Groups and Entries are the counts before the range; Verify subtracts them from the totals
	d.Lost, d.Groups, d.Entries = -1, r.Groups, r.Entries
	r.Damaged = append(r.Damaged, d)
	c.open++
}

// advanceTo is called with the number of the next entry found. The entries between the expected number and this one
// were lost in the damaged ranges before it.
func (c *counter) advanceTo(r *Report, first uint64) {
	// if there are several ranges, all lost entries are counted for the last
	if c.open > 0 && c.known && first >= c.next {
		for i := len(r.Damaged) - c.open; i < len(r.Damaged); i++ {
			r.Damaged[i].Lost = 0
		}
		r.Damaged[len(r.Damaged)-1].Lost = int64(first - c.next)
	}
	c.open, c.next, c.known = 0, first, true
}

func (c *counter) group(r *Report, g group, body []byte) {
	c.advanceTo(r, g.first)
	c.next += g.entries
	r.Groups++
	r.Entries += int64(g.entries)
	at := g.at + groupHeader
	for len(body) > 0 {
		length, count, ok := parseRecord(body)
		if !ok {
			return
		}
		r.Records++
		at += recordHeader + uint64(length)
		body = body[recordHeader+length:]
		if at > r.Acked {
			r.Waiting += int64(count)
		}
	}
}

// asideIn lists the files in dir that recovery set aside.
func asideIn(dir *faultfs.Dir) ([]string, error) {
	list, err := dir.ReadDir()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range list {
		if n := e.Name(); strings.HasSuffix(n, tornSuffix) || strings.HasSuffix(n, corruptSuffix) {
			names = append(names, n)
		}
	}
	return names, nil
}

// Records iterates over the unacknowledged records in dir, read like those of Verify. A damaged range is yielded as a
// *CorruptError, and the iteration continues behind it. Data is valid until the next record.
func Records(dir *faultfs.Dir) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		list, err := List(dir)
		if err != nil {
			yield(Record{}, err)
			return
		}
		acked, err := ackedIn(dir)
		if err != nil {
			yield(Record{}, err)
			return
		}
		for i, s := range list {
			if s.Acked {
				continue
			}
			goOn := true
			w := walker{dir: dir}
			err := w.walk(s, i == len(list)-1, func(g group, body []byte, damage *CorruptError) bool {
				if damage != nil {
					goOn = yield(Record{}, damage)
				} else {
					goOn = yieldRecords(g, body, acked, yield)
				}
				return goOn
			})
			if err != nil && goOn {
				goOn = yield(Record{}, err)
			}
			if !goOn {
				return
			}
		}
	}
}

func yieldRecords(g group, body []byte, acked uint64, yield func(Record, error) bool) bool {
	at := g.at + groupHeader
	for len(body) > 0 {
		length, count, ok := parseRecord(body)
		if !ok {
			return true
		}
		rec := Record{Start: at + recordHeader, End: at + recordHeader + uint64(length), Count: count,
			Data: body[recordHeader : recordHeader+length]}
		at, body = rec.End, body[recordHeader+length:]
		if rec.End > acked && !yield(rec, nil) {
			return false
		}
	}
	return true
}

// walker reads the segments of a log that need not be open.
type walker struct {
	dir       *faultfs.Dir
	onSegment func(first uint64) // called for each segment with the number of its first entry; may be nil
	end       uint64             // offset behind the last intact group
	torn      int64              // bytes behind end in the last segment
}

// visitor is called with an intact group or a damaged range; it returns whether to continue.
type visitor func(g group, body []byte, damage *CorruptError) bool

// walk calls visit for each group and each damaged range of s. What follows the last intact group of the last segment
// does not count as damage, because its Append was never confirmed.
func (w *walker) walk(s Segment, last bool, visit visitor) (err error) {
	dir := w.dir
	f, err := dir.OpenFile(s.Name, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	first, err := readSegmentHeader(dir, f, s.Base)
	switch {
	case errors.Is(err, errBadSegment):
		visit(group{}, nil, &CorruptError{Segment: s.Name, Start: s.Base, End: s.End})
		return nil
	case err != nil:
		return fmt.Errorf("read segment %s: %w", s.Name, err)
	case w.onSegment != nil:
		w.onSegment(first)
	}
	scan := scanner{f: f, name: s.Name, base: s.Base, pos: s.Base + segmentHeader}
	defer func() { w.end = scan.pos }()
	within := false // the group belongs to earlier ones, and the last group of them exists
	for scan.pos < s.End {
		at := scan.pos
		g, body, err := scan.next(s.End)
		if err == nil && last && g.more && !within && !scan.isComplete(s.End) {
			scan.pos, w.torn = at, int64(s.End-at)
			return nil
		}
		within = g.more
		var damage *CorruptError
		switch {
		case errors.As(err, &damage):
		case errors.Is(err, errTail) && last:
			tail, err := scan.fill(maxGroup, s.End)
			if !bytes.HasPrefix(terminator[:], tail[:min(len(tail), len(terminator))]) {
				w.torn = int64(s.End - scan.pos)
			}
			return err
		case errors.Is(err, errTail):
			damage = &CorruptError{Segment: s.Name, Start: scan.pos, End: s.End}
			scan.pos = s.End
		case err != nil:
			return fmt.Errorf("read segment %s: %w", s.Name, err)
		}
		if !visit(g, body, damage) {
			return nil
		}
	}
	return nil
}

// Repair does to the log in dir what opening and closing it would do: it sets aside the torn end of the last segment,
// or the last segment if its header is bad. A damaged segment further ahead stays in place, because its intact groups
// are still to be delivered. Repair returns the names of the files it set aside. The error is faultfs.ErrLocked when
// another process has the log open, and a *VersionError when the log has another version; nothing was changed then.
func Repair(dir *faultfs.Dir) (aside []string, err error) {
	before, err := asideIn(dir)
	if err != nil {
		return nil, err
	}
	l, err := Open(dir, Options{})
	if err != nil {
		return nil, err
	}
	if err := l.Close(); err != nil {
		return nil, err
	}
	after, err := asideIn(dir)
	return slices.DeleteFunc(after, func(name string) bool { return slices.Contains(before, name) }), err
}
