package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"inkwell/internal/faultfs"
	"inkwell/rotate"
	"inkwell/store/books"
	"inkwell/store/depot"
)

// place is a category in a depot, in which files lie, and what their manifests say.
type place struct {
	depot    depot.Depot
	category string // its directory in the depot
	contents *Contents
	markers  []string // names of objects
}

// depotListing is what lies beneath a place in a depot.
type depotListing struct {
	depot     depot.Depot
	root      depot.Address
	places    map[string]*place // by category
	files     map[string][]File // by category
	manifests []string
}

// errFound ends a listing of which the first object was wanted.
var errFound = errors.New("found")

// InDepot says whether an argument names a depot or something in one: an address, as in s3://logs/prod/web, or a
// directory in which an Inkwell has put manifests, or what lies beneath and has some. A collector may have its own
// directory beneath a depot, of whose files no manifest there speaks.
func InDepot(arg string) bool {
	if depot.IsAddress(arg) {
		return true
	}
	at, err := filepath.Abs(arg)
	if err != nil {
		return false
	}
	below := ""
	if isFile(filepath.Base(at)) {
		at = filepath.Dir(at)
	}
	for {
		if st, err := os.Stat(filepath.Join(at, filepath.FromSlash(depot.Manifests), below)); err == nil && st.IsDir() {
			return true
		}
		above, name := filepath.Split(at)
		if name == "" {
			return false
		}
		at, below = filepath.Clean(above), filepath.Join(name, below)
	}
}

// ReadDepot lists what an argument names for which InDepot is true: a depot, a category in it, a partition (dt=DAY) or
// a file. The files of all collectors that bring a category there are one series. Connections are closed when ctx ends.
//
// Damaged lines of manifests are told to warn and passed over.
func ReadDepot(ctx context.Context, arg string, warn func(format string, args ...any)) ([]Series, error) {
	return readDepot(ctx, arg, nil, warn)
}

// readDepot is ReadDepot for the partitions dt=DAY of days, nil = all.
func readDepot(ctx context.Context, arg string, days []string, warn func(format string, args ...any)) ([]Series, error) {
	l, below, err := findDepot(ctx, arg)
	if err != nil {
		return nil, err
	}
	dirs := []string{below}
	if isFile(path.Base(below)) {
		dirs[0] = path.Dir(below)
	}
	if days != nil {
		if below == "" || rotate.Home(below) != below || isFile(path.Base(below)) {
			return nil, fmt.Errorf("%s is not a category (want ADDRESS/CATEGORY; inkwell ls shows them)", arg)
		}
		dirs = nil
		for _, day := range days {
			dirs = append(dirs, path.Join(below, rotate.PartitionOf(day)))
		}
	}
	for _, dir := range dirs {
		if err == nil {
			err = l.list(ctx, dir, below)
		}
	}
	if err == nil {
		err = l.readManifests(ctx, warn)
	}
	if err != nil {
		return nil, fmt.Errorf("read the depot %s: %w", l.root, err)
	}
	return l.series(below), nil
}

// list lists the files in a directory, then the manifests: a file is there before its manifest.
func (l *depotListing) list(ctx context.Context, dir, below string) error {
	err := l.depot.List(ctx, dir, func(o depot.Object) error {
		if below == "" || o.Name == below || strings.HasPrefix(o.Name, below+"/") {
			l.add(o)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return l.depot.List(ctx, path.Join(depot.Manifests, dir), func(o depot.Object) error {
		l.manifests = append(l.manifests, o.Name)
		return nil
	})
}

// findDepot opens the depot of an argument: where manifests are, which is at the argument or above.
func findDepot(ctx context.Context, arg string) (l *depotListing, below string, err error) {
	at, err := depot.ParseAddress(arg)
	if err == nil && at.Scheme == "" {
		at.Path, err = filepath.Abs(at.Path)
	}
	if err != nil {
		return nil, "", err
	}
	for {
		if above, name := at.Parent(); isFile(name) {
			at, below = above, name
		}
		d, err := depot.Open(at.String(), depot.Options{})
		if err != nil {
			return nil, "", err
		}
		err = d.List(ctx, depot.Manifests, func(depot.Object) error { return errFound })
		if errors.Is(err, errFound) {
			context.AfterFunc(ctx, func() { _ = d.Close() }) // which was read only
			return &depotListing{depot: d, root: at, places: make(map[string]*place), files: make(map[string][]File)}, below, nil
		}
		if err = errors.Join(err, d.Close()); err != nil {
			return nil, "", err
		}
		above, name := at.Parent()
		if name == "" {
			return nil, "", fmt.Errorf("%s: neither there nor above are manifests of a collector (collect --publish ADDRESS brings files there)", arg)
		}
		at, below = above, path.Join(name, below)
	}
}

// isFile says whether a name is one of a file of output.
func isFile(name string) bool {
	_, ok := rotate.BaseOf(name)
	return ok
}

// categoryOf is the directory of the category of an object, without its partitions (dt=DAY, hr=HOUR).
func categoryOf(name string) string { return rotate.Home(path.Dir(name)) }

// pathOf is how a name in the depot is shown.
func (l *depotListing) pathOf(name string) string {
	root := l.root
	root.Query = nil
	return strings.TrimSuffix(root.String(), "/") + "/" + name
}

func (l *depotListing) at(category string) *place {
	p := l.places[category]
	if p == nil {
		p = &place{depot: l.depot, category: category}
		p.contents = &Contents{Kept: true, dir: l.pathOf(category), listed: make(map[string]books.File), local: make(map[string]string)}
		l.places[category] = p
	}
	return p
}

// add takes over an object, if it is a file of output or a done marker.
func (l *depotListing) add(o depot.Object) {
	base := path.Base(o.Name)
	if strings.HasPrefix(o.Name, path.Dir(depot.Manifests)+"/") {
		return
	}
	p := l.at(categoryOf(o.Name))
	if strings.HasPrefix(base, books.MarkerPrefix) {
		p.markers = append(p.markers, o.Name)
		return
	}
	if !isFile(base) || base[0] == '.' {
		return
	}
	codec := rotate.None
	for _, c := range []rotate.Codec{rotate.Gzip, rotate.Zstd} {
		if strings.HasSuffix(base, c.Suffix()) {
			codec = c
		}
	}
	l.files[p.category] = append(l.files[p.category], File{Path: l.pathOf(o.Name), Codec: codec, Size: o.Size, in: p, object: o.Name})
}

// readManifests reads what is in the files, several manifests at a time.
func (l *depotListing) readManifests(ctx context.Context, warn func(format string, args ...any)) error {
	read, err := depot.ReadManifests(ctx, l.depot, l.manifests)
	if err != nil {
		return err
	}
	for i, name := range l.manifests {
		about := depot.Described(name)
		c := l.at(categoryOf(about)).contents
		bad, err := faultfs.ParseLines(name, books.ManifestHeader, read[i], func(body []byte) error {
			f, err := books.ParseFile(body)
			if err != nil {
				return err
			}
			c.local[path.Base(about)] = f.Name
			f.Name = path.Base(about) // of which there is one, whichever collector wrote it
			nameSpans(c.dir, f.Spans)
			c.listed[f.Name] = f
			return nil
		})
		if err != nil {
			return err
		}
		if bad > 0 {
			warn("%s: damaged lines that are passed over: %d", l.pathOf(name), bad)
		}
	}
	return nil
}

// series are the categories that have files, in the order of their names; their files in that of their first entries.
func (l *depotListing) series(below string) (all []Series) {
	for category, files := range l.files {
		c := l.places[category].contents
		slices.SortFunc(files, func(a, b File) int {
			return cmp.Or(cmp.Compare(path.Dir(a.object), path.Dir(b.object)), c.Of(a).First.Compare(c.Of(b).First), cmp.Compare(a.object, b.object))
		})
		s := Series{Dir: c.dir, Base: path.Base(category), Files: files, in: l.places[category], named: below == category}
		s.alone = below != category && strings.HasPrefix(below, category+"/")
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Series) int { return cmp.Compare(a.Dir, b.Dir) })
	return all
}
