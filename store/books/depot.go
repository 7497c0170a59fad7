package books

import (
	"slices"

	"inkwell/internal/faultfs"
)

// Depot takes finished files from the directories of a collector to another place. Safe for concurrent use.
type Depot interface {
	// Add notes finished files of a directory, durably, with all that they hold. It comes before the manifest lists them,
	// and again after a crash between the two.
	Add(dir string, files []File) error
	// Mark notes a done marker of a directory, durably; it comes again as Add does.
	Mark(dir string, m *Marker) error
	// Holds says whether a file is still to be taken there.
	Holds(dir, file string) bool
}

// hand gives finished files to the depot. Of one of which the manifest has a first part, both are what it holds.
func (b *Books) hand(dir *faultfs.Dir, path string, finished []File) error {
	if b.o.Depot == nil || len(finished) == 0 {
		return nil
	}
	files := slices.Clone(finished)
	if slices.ContainsFunc(files, func(f File) bool { return f.Start > 0 }) {
		known, _, err := ReadFiles(dir)
		if err != nil {
			return err
		}
		for i, f := range files {
			if k := slices.IndexFunc(known, func(o File) bool { return o.Name == f.Name }); k >= 0 && f.Start > 0 {
				files[i] = lines{known[k]}.add(f).file()
			}
		}
	}
	return b.o.Depot.Add(path, files)
}

// held says whether a file has to stay because the depot does not have it yet.
func (o *Options) held(dir, file string) bool { return o.Depot != nil && o.Depot.Holds(dir, file) }
