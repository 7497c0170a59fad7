package series

import (
	"log/slog"

	"inkwell/internal/faultfs"
	"inkwell/store/index"
)

// indexes are the blocks since the last Mark, which the indexes of the files do not have yet. The zero value is empty.
type indexes struct {
	files  []indexed // in the order in which they were begun; the last one may be open
	failed bool      // the indexes could not be written the last time
}

// indexed is blocks of one file.
type indexed struct {
	name   string // final name of the file
	blocks []index.Block
}

// wrote records a block of a file.
func (x *indexes) wrote(file string, b index.Block) {
	k := len(x.files) - 1
	if k < 0 || x.files[k].name != file {
		x.files = append(x.files, indexed{name: file})
		k++
	}
	x.files[k].blocks = append(x.files[k].blocks, b)
}

// save appends the recorded blocks to the indexes. Readers can do without them, so that a failure is only logged, and
// only the first in a row.
func (x *indexes) save(dir *faultfs.Dir, log *slog.Logger) {
	for _, f := range x.files {
		err := index.Append(dir, f.name, f.blocks)
		if err != nil && !x.failed {
			log.Warn("the index of a file cannot be written: it is read from its beginning until inkwell makes another",
				"file", f.name, "error", err)
		}
		x.failed = err != nil
	}
	x.files = x.files[:0]
}
