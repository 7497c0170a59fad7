package series

import (
	"cmp"
	"log/slog"
	"path/filepath"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/stats"
	"inkwell/store"
)

// PlainOptions say what a Plain writes where. The zero value of a number is what the configuration language calls 0,
// not its default.
type PlainOptions struct {
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

	WriteCategory  bool // on a line before every message
	WriteMeta      bool // the name of the next file at the end of each
	WriteStats     bool // a line in scribe_stats for each rotation
	RotateOnReopen bool // Open begins a new file
	Form           store.Form
	Own            func(stream [16]byte) bool // entries of these streams count as such without numbers; nil = none

	Now      func() time.Time // nil = time.Now; its location is that of the dates
	Logger   *slog.Logger     // nil = none
	Stats    *stats.Set       // nil = own: counts "bytes lost", "dropped empty"
	Injector faultfs.Injector // faults for tests
}

// openDir opens the directory of the files.
func (o *PlainOptions) openDir() (*faultfs.Dir, error) {
	return faultfs.OpenLater(cmp.Or(o.Root, o.Dir), filepath.Join(o.Dir, o.Sub), o.Injector)
}

// written is the path of a file as the original writes it into files: with the directories as they were configured.
func (o *PlainOptions) written(name string) string {
	dir := o.Dir
	if o.Sub != "" {
		dir += "/" + o.Sub
	}
	return dir + "/" + name
}

// thriftChunk is the chunk of Thrift's file transport.
const thriftChunk = 16 << 20
