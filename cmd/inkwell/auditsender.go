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

// addSender adds what the state of a forwarder, or the spool of a pipe, knows.
func addSender(sum *audit.Audit, path string) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	if isCollector(path) {
		return usagef("--state %s: this is of a collector (give its files as DIR, and for --state the state of a forwarder or the spool of a pipe)", path)
	}
	list, bad, err := forwarder.ReadPositions(path)
	positions := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if bad > 0 {
		sum.Notef("%s: positions that were not written to their end and are passed over: %d", path, bad)
	}
	journals, damaged, err := journald.ReadPositions(path)
	if err != nil {
		return err
	}
	if damaged > 0 {
		sum.Notef("%s: lines of the state of journals that were not written to their end and are passed over: %d", path, damaged)
	}
	for _, p := range journals {
		sum.Acknowledged(p.Stream, p.Category, p.Journal, p.Number)
	}
	positions = positions || len(journals) > 0
	without := 0
	for _, p := range list {
		if p.Stream == [16]byte{} {
			without++
			continue
		}
		sum.Acknowledged(stream.ID(p.Stream), p.Category, p.Path, p.Number)
	}
	if without > 0 {
		sum.Notef("%s: positions of a version that gave entries no numbers, so that what became of those entries is not known: %d", path, without)
	}
	spools := 0
	for _, below := range []string{".", "spool"} {
		there, err := addSpool(filepath.Join(path, below), sum.Waiting)
		if err != nil {
			return err
		}
		if there {
			spools++
		}
		if _, err := addSpool(filepath.Join(path, below, "refused"), sum.Aside); err != nil {
			return err
		}
	}
	if !positions && spools == 0 {
		return usagef("--state %s: there are no positions and no spool (give the --state of a forwarder, or the --spool of a pipe)", path)
	}
	return nil
}

// isCollector says whether a directory is one of a collector: its state, its journal or its files.
func isCollector(path string) bool {
	names := []string{"checkpoint", "contents", "journal", audit.StateName}
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

// addSpool gives the spool at path to add, if there is one.
func addSpool(path string, add func(*faultfs.Dir) error) (there bool, err error) {
	if _, err := os.Stat(filepath.Join(path, "ack")); errors.Is(err, fs.ErrNotExist) { // which every spool has
		return false, nil
	} else if err != nil {
		return false, err
	}
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	return true, add(dir)
}
