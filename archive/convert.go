package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"inkwell/archive/columns"
	"inkwell/archive/format"
	"inkwell/internal/faultfs"
	"inkwell/rotate"
)

// Conversion says how files are converted to Parquet.
type Conversion struct {
	Out    string   // directory: OUT/CATEGORY/dt=DAY/NAME.parquet, or OUT/CATEGORY/dt=DAY/hr=HOUR/NAME.parquet
	Format string   // "" = only the lines
	Fields []string // of the format; none = all of them
}

// errNotWhole says that a file is not converted because it is incomplete.
var errNotWhole = errors.New("it is not converted")

// Convert converts a finished file to a Parquet file, unless that exists already, and returns the number of rows; -1 =
// it exists. The Parquet file gets its name when it is complete; what a killed process has left is overwritten.
func (q *Query) Convert(ctx context.Context, s *Series, f File, o Conversion) (rows int64, path string, err error) {
	c, err := q.contentsIn(s)
	if err != nil {
		return 0, "", err
	}
	facts := c.Of(f)
	if f.in != nil && !facts.Known {
		return 0, "", fmt.Errorf("convert %s: %w: its manifest is not there yet", f.Path, errNotWhole)
	}
	if s.alone && f.Codec == rotate.None && c.Writes(f) {
		return 0, "", fmt.Errorf("convert %s: %w: its collector is still writing it", f.Path, errNotWhole)
	}
	name := f.Name() + ".parquet"
	places := partitionsFor(f, facts)
	for _, partition := range places {
		path = filepath.Join(o.Out, s.category(), partition, name)
		if _, err := os.Lstat(path); err == nil {
			q.Progress(f.Size)
			return -1, path, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return 0, path, err
		}
	}
	target := filepath.Join(o.Out, s.category(), places[0])
	path = filepath.Join(target, name)
	dir, err := faultfs.OpenBeneath(o.Out, target, nil)
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	hidden := "." + name + ".tmp"
	w, err := dir.OpenFile(hidden, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return 0, path, err
	}
	rows, err = q.convert(ctx, f, o, w)
	if err == nil {
		err = w.Sync()
	}
	err = errors.Join(err, w.Close())
	if err == nil {
		err = dir.Rename(hidden, name)
	}
	if err == nil {
		err = dir.Sync()
	}
	if err != nil {
		return rows, path, fmt.Errorf("convert %s: %w", f.Path, errors.Join(err, dir.Remove(hidden)))
	}
	return rows, path, nil
}

// partitionsFor is where the Parquet file of a file belongs: in the partition in which the file is, or in that of its day.
// Behind it is the other place, where it can be from before the layout was changed.
func partitionsFor(f File, facts Facts) []string {
	day := "dt=unknown"
	if !facts.First.IsZero() {
		day = rotate.PartitionOf(facts.First.Local().Format("2006-01-02"))
	}
	places := []string{day, rotate.Partition(f.Name())}
	if dir := filepath.Dir(f.Path); f.in == nil && dir != f.Home() {
		places[0], places[1] = places[1], places[0]
	}
	return slices.DeleteFunc(places, func(p string) bool { return p == "" })
}

// convert writes the rows of a file. It fails if the file is not what its manifest says.
func (q *Query) convert(ctx context.Context, f File, o Conversion, out io.Writer) (rows int64, err error) {
	contents, err := q.ContentsOf(f)
	if err != nil {
		return 0, err
	}
	facts := contents.Of(f)
	fields, err := o.fields()
	if err != nil {
		return 0, err
	}
	w := columns.New(out, f.Name(), fields, map[string]string{
		"inkwell.file": f.Name(), "inkwell.raw": strconv.FormatInt(facts.Raw, 10),
	})
	origins, err := q.Origins(f)
	if err != nil {
		return 0, err
	}
	var lost error
	r, err := Open(ctx, f, Options{Blocks: Blocks(f), Apart: true, Progress: q.Progress,
		Lost: func(d *Damage) { lost = d }})
	if err != nil {
		return 0, err
	}
	v := newConverter(w, origins, o, fields)
	err = v.read(ctx, r)
	if err = errors.Join(err, r.Close()); err == nil {
		err = w.Close()
	}
	switch {
	case err != nil:
	case lost != nil:
		err = fmt.Errorf("%w: %w", errNotWhole, lost)
	case facts.Known && (v.raw < facts.Raw || f.Codec != rotate.None && v.raw > facts.Raw):
		err = fmt.Errorf("%w: it holds %d bytes, its manifest says %d", errNotWhole, v.raw, facts.Raw)
	}
	return w.Rows, err
}

// fields are those of the format that become columns.
func (o *Conversion) fields() (fields []string, err error) {
	if o.Format == "" {
		return nil, nil
	}
	if fields = o.Fields; len(fields) == 0 {
		if fields, err = format.Fields(o.Format); err != nil {
			return nil, err
		}
	}
	_, err = format.New(o.Format, fields)
	return fields, err
}
