package depot

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"time"

	"inkwell/rotate"
	"inkwell/store/books"
)

// layout determines the names of the files of one collector in a depot.
type layout struct {
	root string // the local directory of the files
	who  string
	hive bool // the hour is a partition as well, where names have one
}

// directory returns the directory of a category: its path relative to root, or for files in root itself their base.
func (l layout) directory(dir, base string) string {
	rel, err := filepath.Rel(l.root, dir)
	if err != nil || rel == "." || !filepath.IsLocal(rel) {
		return base
	}
	return filepath.ToSlash(rel)
}

// file returns the name of a file in the depot. For example, access-2026-11-29_00007.gz of the writer web1 becomes
// access/dt=2026-11-29/access-2026-11-29_web1_00007.gz, and access-2026-11-29T04_00007.gz in the layout of Hive
// access/dt=2026-11-29/hr=04/access-2026-11-29T04_web1_00007.gz. A file without a date in its name goes into the
// partition of its first entry.
func (l layout) file(dir string, f *books.File) string {
	dated := f.Name[:numberAt(f.Name)]
	base, ok := rotate.BaseOf(f.Name)
	if !ok {
		base = dated
	}
	date := strings.TrimPrefix(dated[len(base):], "-")
	if date == "" {
		date = f.First.Local().Format(time.DateOnly)
	}
	if day, _, hourly := strings.Cut(date, "T"); hourly && !l.hive {
		date = day
	}
	return path.Join(l.directory(dir, base), rotate.PartitionOf(date), NameOf(f.Name, l.who))
}

// Naming determines the names in a depot of the files of one writer.
type Naming struct {
	Root string // the local directory of the files
	Who  string // the writer
	Hive bool   // the layout of Hive
}

// File returns the name of a file that is in a local directory below Root.
func (n Naming) File(dir string, f *books.File) string {
	return layout{root: n.Root, who: n.Who, hive: n.Hive}.file(dir, f)
}

// NameOf is what a file that is called name in the directory of its collector is called in a depot, in its partition.
func NameOf(name, who string) string {
	at := numberAt(name)
	return name[:at] + "_" + who + name[at:]
}

// numberAt is where the number in a file's name begins, with its underscore.
func numberAt(name string) int {
	if at := strings.LastIndexByte(name, '_'); at >= 0 {
		return at
	}
	return len(name)
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

// marker returns the name of a done marker, next to the first of the files that it lists. A new version of a marker
// gets a name of its own, because nothing is replaced.
func (l layout) marker(dir string, m *books.Marker) string {
	name := books.MarkerPrefix + m.Period + "_" + l.who
	if m.Version > 1 {
		name += fmt.Sprintf(".v%d", m.Version)
	}
	return path.Join(path.Dir(l.file(dir, &m.Files[0])), name)
}
