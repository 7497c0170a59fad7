package depot

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"time"

	"inkwell/store/books"
)

const (
	// Manifests is the directory in a depot of what says what is in its files.
	Manifests = "_inkwell/manifests"
	// ManifestSuffix is what the name of such an object has behind that of the file.
	ManifestSuffix = ".manifest"
)

// layout is where the files of one collector go in a depot.
type layout struct {
	root string // the directory of its files
	who  string
}

// directory is that of a category: where it lies below root, or for files in root itself their base.
func (l layout) directory(dir, base string) string {
	rel, err := filepath.Rel(l.root, dir)
	if err != nil || rel == "." || !filepath.IsLocal(rel) {
		return base
	}
	return filepath.ToSlash(rel)
}

// file is the name of a file in the depot: access-2026-11-29_00007.gz of web1 is
// access/dt=2026-11-29/access-2026-11-29_web1_00007.gz. Without a date in its name it is in the partition of its first
// entry.
func (l layout) file(dir string, f *books.File) string {
	at := strings.LastIndexByte(f.Name, '_')
	if at < 0 {
		at = len(f.Name)
	}
	base := f.Name[:at]
	stem, date := base, f.First.Local().Format(time.DateOnly)
	if k := len(base) - len("-"+time.DateOnly); k > 0 && base[k] == '-' {
		if _, err := time.Parse(time.DateOnly, base[k+1:]); err == nil {
			stem, date = base[:k], base[k+1:]
		}
	}
	return path.Join(l.directory(dir, stem), "dt="+date, NameOf(f.Name, l.who))
}

// NameOf is what a file that is called name in the directory of its collector is called in a depot, in its partition.
func NameOf(name, who string) string {
	at := strings.LastIndexByte(name, '_')
	if at < 0 {
		at = len(name)
	}
	return name[:at] + "_" + who + name[at:]
}

// WriterOf is who brought a file: local is its name in the directory of its collector. "" = the names do not belong
// together.
func WriterOf(local, name string) (who string) {
	at := max(strings.LastIndexByte(local, '_'), 0)
	who = strings.TrimSuffix(strings.TrimPrefix(name, local[:at]+"_"), local[at:])
	if NameOf(local, who) != name {
		return ""
	}
	return who
}

// manifestOf is the name of the object that says what is in a file.
func manifestOf(name string) string { return path.Join(Manifests, name) + ManifestSuffix }

// marker is the name of a done marker, beside the first of the files that it lists. A version that takes the place of one
// before has a name of its own: nothing is replaced.
func (l layout) marker(dir string, m *books.Marker) string {
	name := books.MarkerPrefix + m.Period + "_" + l.who
	if m.Version > 1 {
		name += fmt.Sprintf(".v%d", m.Version)
	}
	return path.Join(path.Dir(l.file(dir, &m.Files[0])), name)
}
