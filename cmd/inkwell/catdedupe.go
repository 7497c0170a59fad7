package main

import (
	"context"
	"os"
	"path/filepath"

	"inkwell/archive"
)

// dedupe has each numbered entry of series printed once. It returns the series in the order in which they are printed:
// as they are if they are merged, or else as a single one, and how many entries may be printed twice nevertheless.
func (r *archiveReading) dedupe(ctx context.Context, args []string, merged bool) (list []archive.Series, doubt int64,
	err error) {
	for _, arg := range args {
		if err := r.readBooks(arg); err != nil {
			return nil, 0, err
		}
	}
	if list, err = r.series(ctx, args, merged); err != nil {
		return nil, 0, err
	}
	files, err := r.inOrder(list)
	if err != nil {
		return nil, 0, err
	}
	if doubt, err = r.Once(ctx, files); err != nil || merged {
		return list, doubt, err
	}
	var one archive.Series
	for _, f := range files {
		one.Files = append(one.Files, *f)
	}
	return []archive.Series{one}, doubt, nil
}

// readBooks reads what the books say of a directory before its files are listed, which can only become finished
// meanwhile.
func (r *archiveReading) readBooks(arg string) error {
	if st, err := os.Stat(arg); err != nil || !st.IsDir() || archive.InDepot(arg) {
		return nil // whoever lists it tells
	}
	abs, err := filepath.Abs(arg)
	if err == nil {
		_, err = r.Contents(abs)
	}
	return err
}

// inOrder lists the files of series as they are printed: single files as they are given, those of directories that
// follow each other by the times at which they begin.
func (r *archiveReading) inOrder(list []archive.Series) (all []*archive.File, err error) {
	var directories [][]*archive.File
	for i := range list {
		var files []*archive.File
		for k := range list[i].Files {
			files = append(files, &list[i].Files[k])
		}
		if !list[i].Alone() {
			directories = append(directories, files)
			continue
		}
		if all, err = r.byBeginning(all, directories); err != nil {
			return nil, err
		}
		all, directories = append(all, files...), nil
	}
	return r.byBeginning(all, directories)
}

// byBeginning appends the files of directories to all. Of the next file of each it takes the one that begins first.
func (r *archiveReading) byBeginning(all []*archive.File, directories [][]*archive.File) ([]*archive.File, error) {
	for {
		next := -1
		var first archive.Facts
		for i, files := range directories {
			if len(files) == 0 {
				continue
			}
			c, err := r.ContentsOf(*files[0])
			if err != nil {
				return nil, err
			}
			// A file of unknown time is taken at once, because the files behind it in its directory are later.
			if facts := c.Of(*files[0]); next < 0 || facts.First.Before(first.First) {
				next, first = i, facts
			}
		}
		if next < 0 {
			return all, nil
		}
		all, directories[next] = append(all, directories[next][0]), directories[next][1:]
	}
}
