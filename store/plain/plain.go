// Package plain writes the category files of the original Scribe, byte for byte, and reads the buffer files that it leaves.
//
//	Append ─► gather ─► write ─► size > MaxSize? ─► rotate: the next file is begun as .NAME.open
//	Mark ─► fsync, state ─► saved in a checkpoint ─► Publish: .NAME.open → NAME, link, scribe_stats
//
//	NAME = BASE_NNNNN             Period never
//	       BASE-YYYY-MM-DD_NNNNN  otherwise, the local date when the file was begun
//	link = BASE_current → NAME
//	message in a file  [zero bytes up to a chunk] [category "\n"] message ["\n"]
//	     in a thrift file  [zero bytes up to a chunk] u32 little-endian length, message
//
// Source: the behaviour of Scribe 2.2, as it was seen and as its FileStore was read.
//
// Rotation keeps the original's rules: the size is looked at behind each write, and a write is made when the gathered bytes exceed
// MaxWrite, or at the end of a batch, so that a file is larger than MaxSize by at most that; the clock is looked at by Check.
//
// Invariants: a byte that no saved state covers is either behind the state's end of the open file, from where Open cuts it off, or in a
// hidden file that no state names, which Open removes: it will be appended again. So nothing is in the files twice or missing, however
// the process ends. Files that were closed never change.
//
// Limitations: a File is the only writer of its series. Not safe for concurrent use, but for Status.
package plain

import (
	"cmp"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/store"
)

// Options say what a File writes where. The zero value of a number is what the configuration language calls 0, not its default.
type Options struct {
	Root      string // Dir lies beneath it, and no link is followed on the way: the directory of the configuration; "" = Dir
	Dir       string // with the category, for the copy of a model; made if it is missing
	Sub       string // beneath Dir
	Base      string // the names begin with it
	Symlink   string // stem of the link; "" = Base
	NoSymlink bool
	Thrift    bool // a length before each message, and always a new file at Open; rotated behind a batch, by the bytes of messages
	Simple    bool // with Thrift: no lengths and no chunks

	Period       Period
	RotateHour   int   // of the day, from which on a day's file may end
	RotateMinute int   // of the hour, from which on an hour's or a day's file may end
	MaxSize      int64 // bytes, 0 = no limit
	MaxWrite     int64 // bytes that are gathered for a write
	Single       bool  // the size is looked at behind each message, as if it came alone
	Chunk        int64 // bytes: no message crosses a multiple of that, if it can be helped; 0 = off

	Newlines       store.Newlines // behind messages
	WriteCategory  bool           // on a line before every message
	WriteMeta      bool           // the name of the next file at the end of each
	WriteStats     bool           // a line in scribe_stats for each rotation
	RotateOnReopen bool           // Open begins a new file
	Quote          bool           // the quoted category before every message: entries of many categories come together

	Keep time.Duration // files of the series that were last written before are removed; 0 = never

	Now      func() time.Time // nil = time.Now; its location is that of the dates
	Logger   *slog.Logger     // nil = none
	Stats    *stats.Set       // nil = own: counts "bytes lost", "dropped empty"
	Injector faultfs.Injector // faults for tests
}

// openDir opens the directory of the files.
func (o *Options) openDir() (*faultfs.Dir, error) {
	return faultfs.OpenBeneath(cmp.Or(o.Root, o.Dir), filepath.Join(o.Dir, o.Sub), o.Injector)
}

// written is the path of a file as the original writes it into files: with the directories as they were configured.
func (o *Options) written(name string) string {
	dir := o.Dir
	if o.Sub != "" {
		dir += "/" + o.Sub
	}
	return dir + "/" + name
}

// thriftChunk is the chunk of Thrift's file transport.
const thriftChunk = 16 << 20

// Period says by which clock files are rotated. The zero value is never.
type Period struct {
	kind   byte // 'h' hourly, 'd' daily, 's' every length; 0 never
	length time.Duration
}

// The periods with names.
var (
	Never  = Period{}
	Hourly = Period{kind: 'h'}
	Daily  = Period{kind: 'd'}
)

// longestPeriod is what longer ones are, so that their end can be computed.
const longestPeriod = 200 * 365 * 24 * time.Hour

// ParsePeriod reads never, hourly, daily or a number with one of the letters w d h m s behind it, which may be missing for s.
func ParsePeriod(text string) (Period, error) {
	switch text {
	case "never":
		return Never, nil
	case "hourly":
		return Hourly, nil
	case "daily":
		return Daily, nil
	}
	unit, digits := time.Second, text
	if n := len(text) - 1; n > 0 {
		if u, ok := map[byte]time.Duration{'w': 7 * 24 * time.Hour, 'd': 24 * time.Hour, 'h': time.Hour, 'm': time.Minute, 's': time.Second}[text[n]]; ok {
			unit, digits = u, text[:n]
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 {
		return Never, fmt.Errorf("period %q: must be never, hourly, daily or a number above 0 with w, d, h, m or s, as in 15m", text)
	}
	return Period{kind: 's', length: min(time.Duration(n), longestPeriod/unit) * unit}, nil
}

// String is what ParsePeriod reads.
func (p Period) String() string {
	switch p.kind {
	case 'h':
		return "hourly"
	case 'd':
		return "daily"
	case 's':
		return strconv.FormatInt(int64(p.length/time.Second), 10) + "s"
	}
	return "never"
}

// over says whether a file begun at a time ends now.
func (o *Options) over(begun, now time.Time) bool {
	otherDay := now.YearDay() != begun.YearDay() || now.Year() != begun.Year()
	switch o.Period.kind {
	case 'h':
		return (now.Hour() != begun.Hour() || otherDay) && now.Minute() >= o.RotateMinute
	case 'd':
		return otherDay && now.Hour() >= o.RotateHour && now.Minute() >= o.RotateMinute
	case 's':
		return !now.Before(begun.Add(o.Period.length))
	}
	return false
}
