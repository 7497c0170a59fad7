package books

import (
	"path/filepath"
	"strings"
	"time"

	"inkwell/rotate"
)

// Destination is where a store writes files: in a directory and beneath it.
type Destination struct {
	Root string                      // its directory
	Has  func(dir, base string) bool // whether it has a series of files; nil = every one in Root and beneath it
	Done *Done                       // nil: no done markers

	// Finished files are removed: those last written longer ago, then the oldest of a series, then the oldest of all, while they take more
	// bytes; 0 = never.
	Keep                    time.Duration
	SeriesBytes, TotalBytes int64
}

// Done says when the files of a period are complete.
type Done struct {
	Period   rotate.Period
	At       rotate.Clock
	Lateness time.Duration // how long that waits for a stream that has not moved on
}

// has says whether d writes a series.
func (d *Destination) has(dir, base string) bool {
	if dir != d.Root && !strings.HasPrefix(dir, strings.TrimSuffix(d.Root, "/")+"/") {
		return false
	}
	return d.Has == nil || d.Has(dir, base)
}

// destination is the first one that has a series, nil if none has.
func (o *Options) destination(dir, base string) *Destination {
	dir = filepath.Clean(dir)
	for i := range o.Destinations {
		if d := &o.Destinations[i]; d.has(dir, base) {
			return d
		}
	}
	return nil
}
