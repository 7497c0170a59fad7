package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"inkwell/forwarder"
	"inkwell/forwarder/journald"
	"inkwell/internal/faultfs"
	"inkwell/store/audit"
	"inkwell/store/stream"
)

// add adds what the state of a forwarder, the spool of a pipe, or a directory of spools records.
func (s sender) add(sum *audit.Audit) error {
	if s.spools {
		_, err := addSpools(sum, s.path, 2)
		return err
	}
	path := s.path
	if _, err := os.Stat(path); err != nil {
		return err
	}
	if isCollector(path) {
		return usagef("--state %s: this is of a collector (give its files as DIR, and for --state the state of a "+
			"forwarder or the spool of a pipe)", path)
	}
	positions := false
	for _, in := range []string{path, filepath.Join(path,
		"forward")} { // an older one with a configuration had a directory of its own in it
		if !isDir(in) {
			continue
		}
		there, err := addPositions(sum, in)
		if err != nil {
			return err
		}
		positions = positions || there
	}
	spools, err := addSpools(sum, path, 3)
	if err != nil {
		return err
	}
	if !positions && spools == 0 {
		return usagef("--state %s: there are no positions and no spool (give the --state of a forwarder, or the "+
			"--spool of a pipe)", path)
	}
	return nil
}

// addPositions adds the positions of a forwarder, if there are any.
func addPositions(sum *audit.Audit, path string) (there bool, err error) {
	list, bad, err := forwarder.ReadPositions(path)
	if there = err == nil; err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if bad > 0 {
		sum.Notef("%s: positions that were not written to their end and are passed over: %d", path, bad)
	}
	journals, damaged, err := journald.ReadPositions(path)
	if err != nil {
		return false, err
	}
	if damaged > 0 {
		sum.Notef("%s: lines of the state of journals that were not written to their end and are passed over: %d", path,
			damaged)
	}
	for _, p := range journals {
		sum.Acknowledged(p.Stream, p.Category, p.Journal, p.Number)
	}
	without := 0
	for _, p := range list {
		if p.Stream == [16]byte{} {
			without++
			continue
		}
		sum.Acknowledged(stream.ID(p.Stream), p.Category, p.Path, p.Number)
	}
	if without > 0 {
		sum.Notef("%s: positions of a version that gave entries no numbers, so that what became of those entries is "+
			"not known: %d", path, without)
	}
	return there || len(journals) > 0, nil
}

// addSpools adds the spools in a directory, down to a depth below it, and returns their number. The journals of
// collectors are left out.
func addSpools(sum *audit.Audit, path string, depth int) (spools int, err error) {
	add := sum.Waiting
	if filepath.Base(path) == "refused" {
		add = sum.Aside
	}
	there, err := addSpool(path, add)
	if err != nil {
		return 0, err
	}
	if there {
		spools++
	}
	list, err := os.ReadDir(path)
	if err != nil || depth == 0 {
		return spools, err
	}
	for _, e := range list {
		if !e.IsDir() || e.Name() == "journal" {
			continue
		}
		below := filepath.Join(path, e.Name())
		if e.Name() != "refused" && isCollector(below) {
			continue
		}
		n, err := addSpools(sum, below, depth-1)
		if err != nil {
			return spools, err
		}
		spools += n
	}
	return spools, nil
}

// isCollector reports whether a directory belongs to a collector: its state, its journal or its files.
func isCollector(path string) bool {
	names := []string{"checkpoint", "contents", "books", "journal", audit.StateName}
	if filepath.Base(path) == "journal" {
		names = append(names, "../checkpoint")
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(path, name)); err == nil {
			return true
		}
	}
	return false
}

// addSpool passes the spool at path to add, if there is one.
func addSpool(path string, add func(*faultfs.Dir) error) (there bool, err error) {
	if _, err := os.Stat(filepath.Join(path, "ack")); errors.Is(err, fs.ErrNotExist) { // which every spool has
		return false, nil
	} else if err != nil {
		return false, err
	}
	dir, err := faultfs.Look(path)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	return true, add(dir)
}
