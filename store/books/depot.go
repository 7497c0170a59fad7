package books

import (
	"slices"

	"inkwell/internal/faultfs"
)

// Depot takes finished files from the directories of a collector to another place. Safe for concurrent use.
type Depot interface {
	// Add records finished files of a directory, with their whole content, durably. It is called before the manifest
	// lists them, and called again after a crash between the two.
	Add(dir string, files []File) error
	// Mark records a done marker of a directory, durably. It may be called again as Add may.
	Mark(dir string, m *Marker) error
	// Holds reports whether a file still has to be taken to the depot.
	Holds(dir, file string) bool
}

// hand gives finished files to the depot. If the manifest has the first part of a file, the depot gets both parts.
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

// held reports whether a file must not be removed because the depot does not have it yet.
func (o *Options) held(dir, file string) bool { return o.Depot != nil && o.Depot.Holds(dir, file) }
