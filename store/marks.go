package store

import (
	"encoding/json"

	"inkwell/internal/faultfs"
)

// States is how files stand: path → state. A state is what the store that made it needs to continue the file after a
// crash.
type States map[string]json.RawMessage

// Marks is what a Keeper says of its files when it makes them durable.
type Marks struct {
	Files States         // how they stand now; what is in it of other stores stays
	Added []Added        // what came to them since the Mark before
	Later *faultfs.Later // gets what has to be synced before Files is true; nil: the Keeper syncs it
}

// Added is what one file got. What it says takes the place of whatever was said before of the content of the file from
// Start on: after a crash the file was cut back there, and written again.
type Added struct {
	Dir   string // where the file is, as it was configured
	File  string // its final name; "" for entries that have no bytes, and came when no file was open
	Start int64  // offset of the first entry in the content of the file, before compression
	First int64  // when the first and the last entry came in, in Unix seconds
	Last  int64
	// Spans in the order in which they stand in the file, but for neighbours without numbers, which are one span a
	// category. With Unordered there were too many: they are joined by hour, category and stream.
	Spans     []Span
	Unordered bool
	Open      bool // more may be written to the file
}
