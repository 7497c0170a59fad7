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

// isReserved says whether entries of many categories are kept under a name, each with its own.
func isReserved(name string) bool {
	return name == store.UnsafeCategory || name == store.OverflowCategory
}

// leftovers are the names of copies of a model for which a former run, or the original, left something in a buffer.
func leftovers(model config.Sink) []string {
	found := make(map[string]bool)
	for _, s := range secondaries(model) {
		for _, e := range entries(cmp.Or(s.Root, s.Dir), s.Dir) {
			name := e.Name()
			if e.IsDir() && !found[name] && (isReserved(name) || store.SafeCategory([]byte(name))) && holds(model.For(name)) {
				found[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// holds says whether a former run left something in a buffer of a tree.
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

// buffers says whether something was left for a buffer with a secondary.
func buffers(b config.Buffer, s config.File) bool {
	if files, err := plain.Buffered(filepath.Join(s.Dir, s.Sub), s.Base); err == nil && len(files) > 0 {
		return true
	}
	return len(entries(cmp.Or(s.Root, s.Dir), spoolDir(b, s))) > 0
}

// entries is what a directory beneath root holds; nothing if there is none yet.
func entries(root, path string) []fs.DirEntry {
	dir, err := faultfs.LookBeneath(root, path)
	if err != nil {
		return nil
	}
	defer dir.Close()
	list, _ := dir.ReadDir() // who opens it will say what is wrong
	return list
}

// secondaries are the files behind every buffer in a tree that is read back.
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
