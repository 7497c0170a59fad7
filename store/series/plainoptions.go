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

// PlainOptions configure a Plain. A zero number means what 0 means in the configuration, not the default of the option.
type PlainOptions struct {
	Root      string // an ancestor of Dir, below which no symbolic link is followed: as configured; "" = Dir
	Dir       string // for the copy of a model it contains the category; created if it is missing
	Sub       string // a directory in Dir; "" = Dir itself
	Base      string // beginning of the names of the files
	Symlink   string // the link is named Symlink_current; "" = Base
	NoSymlink bool
	// Thrift is the format of thriftfile stores: a length precedes each message, OpenPlain always begins a new file,
	// and files are rotated after a batch, by the bytes of messages. Simple leaves out the lengths and the chunks.
	Thrift, Simple bool

	Period       Period
	RotateHour   int   // hour of the day from which on the file of a day may end
	RotateMinute int   // minute of the hour from which on the file of an hour or a day may end
	MaxSize      int64 // bytes; 0 = unlimited
	MaxWrite     int64 // bytes that are gathered for a write
	Single       bool  // the size is checked after each message, as if it came alone, and not only after a batch
	Chunk        int64 // bytes: no message extends over a multiple of it, unless it is longer; 0 = off

	WriteCategory  bool // on a line before every message
	WriteMeta      bool // each file ends with the name of the next one
	WriteStats     bool // a line in scribe_stats for each rotation
	RotateOnReopen bool // OpenPlain always begins a new file
	Form           store.Form
	Own            func(stream [16]byte) bool // entries of these streams are recorded without their numbers; nil = none

	Now      func() time.Time // nil = time.Now; its location is that of the dates
	Logger   *slog.Logger     // nil = discard
	Stats    *stats.Set       // nil = a new set; counts "bytes lost" and "dropped empty"
	Injector faultfs.Injector // faults for tests
}

// openDir opens the directory of the files.
func (o *PlainOptions) openDir() (*faultfs.Dir, error) {
	return faultfs.OpenLater(cmp.Or(o.Root, o.Dir), filepath.Join(o.Dir, o.Sub), o.Injector)
}

// written returns the path of a file in the form in which the original writes it into files: with the directories as
// configured.
func (o *PlainOptions) written(name string) string {
	dir := o.Dir
	if o.Sub != "" {
		dir += "/" + o.Sub
	}
	return dir + "/" + name
}

// thriftChunk is the size of the chunks of Thrift's file transport.
const thriftChunk = 16 << 20
