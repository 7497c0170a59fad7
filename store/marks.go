package store

import (
	"encoding/json"

	"inkwell/internal/faultfs"
)

// States maps the path of a file to its state: what the store that wrote the file needs to continue it after a crash,
// e.g. its length and checksum.
type States map[string]json.RawMessage

// Marks collects what Keepers report about their files when they make them durable.
type Marks struct {
	Files States         // the current states; entries of other stores are kept
	Added []Added        // what was written since the previous Mark
	Later *faultfs.Later // collects the files to be synced before Files may be saved; nil: the Keeper syncs them itself
}

// Added describes what was appended to one file. It replaces everything reported before about the content of the file
// from Start on, because after a crash the file is truncated there and written again.
type Added struct {
	Dir   string // the directory of the file, as configured
	File  string // the final name of the file; "" for entries without bytes that came while no file was open
	Start int64  // offset of the first entry in the content of the file, before compression
	First int64  // when the first and the last entry were received, in Unix seconds
	Last  int64
	// Spans are in the order of the file, with one exception: neighbouring entries without numbers make one span for
	// each category. If there were too many spans, Unordered is true and they are merged by hour, category and stream.
	Spans     []Span
	Unordered bool
	Open      bool // more may be written to the file
}
