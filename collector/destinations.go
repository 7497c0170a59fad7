package collector

import (
	"path/filepath"

	"inkwell/internal/config"
	"inkwell/store/books"
)

// destinations lists the directories with files for readers. The files of a buffer do not count, because they are read
// back.
func (r *router) destinations() (all []books.Destination) {
	for _, f := range r.files() {
		d := books.Destination{Root: filepath.Join(f.Dir, f.Sub)}
		if c := f.Compress; c != nil {
			d.Keep, d.SeriesBytes, d.TotalBytes = c.Keep, c.KeepBytes, c.KeepTotal
			if c.DoneMarkers {
				d.Done = &books.Done{Period: c.Period, At: c.At, Lateness: c.Lateness, Hive: c.Hive}
				if c.Hive {
					d.Done.Period = c.Period.Calendar()
				}
			}
		}
		all = append(all, d)
	}
	return all
}

// files lists the stores that write files for readers.
func (r *router) files() (all []config.File) {
	for _, b := range r.conf.Stores {
		all = append(all, config.Outputs(b.Sink)...)
	}
	return all
}
