package journald

import (
	"strconv"
	"strings"
	"time"
)

// jumpEvery is the least time between two gaps at which journalctl is started again. Journals of which this user may
// not read all have many gaps.
const jumpEvery = time.Minute

// jumps says whether entries are missing before e that another child may show. journald numbers the entries of all its
// files without gaps, and a child that starts while journald renames a file does not find that file. So a gap is looked
// at once more; if it is still there, the entries in it are gone, or belong to somebody else.
func (in *Input) jumps(e *entry) bool {
	id, last, ok := sequence(in.last.cursor)
	of, n, same := sequence(e.cursor)
	if !ok || !same || id != of || n <= last+1 || e.cursor == in.jump || time.Since(in.jumped) < jumpEvery {
		return false
	}
	in.jump, in.jumped = e.cursor, time.Now()
	return true
}

// sequence returns the number of an entry, and the ID of the sequence in which it is that, from a cursor of the form
//
//	s=ID;i=NUMBER;b=…;m=…;t=…;x=…        NUMBER is hexadecimal
func sequence(cursor string) (id string, number uint64, ok bool) {
	for field := range strings.SplitSeq(cursor, ";") {
		switch key, value, _ := strings.Cut(field, "="); key {
		case "s":
			id = value
		case "i":
			var err error
			number, err = strconv.ParseUint(value, 16, 64)
			ok = err == nil
		}
	}
	return id, number, ok && id != ""
}
