package collector

import (
	"cmp"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"inkwell/internal/config"
	"inkwell/internal/faultfs"
	"inkwell/store"
	"inkwell/store/plain"
)

// isReserved says whether the name is one of the collector's own, under which entries of many categories are kept, each
// entry with its category.
func isReserved(name string) bool {
	return name == store.UnsafeCategory || name == store.OverflowCategory
}

// leftovers lists the categories for which a former run, or the original, has left entries in a buffer of their copy of
// the model.
func leftovers(model config.Sink) []string {
	found := make(map[string]bool)
	for _, s := range secondaries(model) {
		for _, e := range entries(cmp.Or(s.Root, s.Dir), s.Dir) {
			name := e.Name()
			if e.IsDir() && !found[name] && (isReserved(name) || store.SafeCategory([]byte(name))) &&
				holds(model.For(name)) {
				found[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// holds says whether a former run has left entries in a buffer of the tree s.
func holds(s config.Sink) bool {
	switch s := s.(type) {
	case config.Buffer:
		f, isFile := s.Secondary.(config.File)
		return isFile && s.Replay && buffers(s, f) || holds(s.Primary)
	case config.Bucket:
		return slices.ContainsFunc(s.Children, holds)
	case config.Multi:
		return slices.ContainsFunc(s.Children, holds)
	case config.ByCategory:
		return len(leftovers(s.Model)) > 0
	}
	return false
}

// buffers says whether entries were left in the buffer b with the secondary store s.
func buffers(b config.Buffer, s config.File) bool {
	if files, err := plain.Buffered(filepath.Join(s.Dir, s.Sub), s.Base); err == nil && len(files) > 0 {
		return true
	}
	return len(entries(cmp.Or(s.Root, s.Dir), spoolDir(b, s))) > 0
}

// entries lists a directory beneath root; a missing one is empty.
func entries(root, path string) []fs.DirEntry {
	dir, err := faultfs.LookBeneath(root, path)
	if err != nil {
		return nil
	}
	defer dir.Close()
	list, _ := dir.ReadDir() // an error is reported when the buffer is opened
	return list
}

// secondaries lists the secondary file stores of the buffers in a tree that are replayed.
func secondaries(s config.Sink) (files []config.File) {
	config.Walk(s, func(s config.Sink) {
		if b, ok := s.(config.Buffer); ok && b.Replay {
			if f, ok := b.Secondary.(config.File); ok {
				files = append(files, f)
			}
		}
	})
	return files
}
