package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"inkwell/forwarder"
	"inkwell/internal/faultfs"
	"inkwell/proto"
	"inkwell/store/spool"
)

// Older versions kept the positions and the spool of a forwarder in different places, depending on whether it was
// started with flags or with the configuration file that check --print writes for the same flags:
//
//	            positions     spool
//	flags       STATE         STATE/spool
//	file        STATE/forward STATE/spool/forward.spool
//
// Likewise a pipe had its spool in SPOOL or in SPOOL/CATEGORY.spool, and a collector its journal in STATE or in
// STATE/collect-PORT. Now both kinds of start use the places of the flags. The state of an older version is still found
// in the other place and used there: a journal if the right place has none, positions if the right place has none and
// they are those of followed files, and a spool if entries wait in it and none wait in the right one. Nothing is moved,
// so that the older version would find it again.

// followed is what a forwarder or pipe sends. By it the program recognizes state in the other place as its own.
type followed struct {
	inputs     []forwarder.Input
	categories []string // nil = all
}

// positionsOf returns here or, if an earlier run had its positions there, there. If both have positions of the same
// files and those in the other place are newer, that is an error: only the operator can know which are right.
func (f followed) positionsOf(here, there stateDir, log *slog.Logger) (stateDir, error) {
	at, other := f.positionsIn(here.dir), f.positionsIn(there.dir)
	switch {
	case !other.known && !other.empty || inUse(here.dir):
		return here, nil
	case at.time == 0:
		log.Info("positions of an earlier run are used", "state", there.dir, "in place of", here.dir)
		return there, nil
	case at.known && other.known && other.time > at.time && !inUse(there.dir):
		return here, fmt.Errorf("both %s and %s have positions of the files to be followed, and the latter were "+
			"written later: write state=%[2]s (or --state %[2]s) to go on from there, or remove %[3]s",
			here.dir, there.dir, filepath.Join(there.dir, "positions"))
	}
	return here, nil
}

// positionsFound describes the positions in a directory.
type positionsFound struct {
	known bool  // some are of files that are followed
	empty bool  // no file has been read yet
	time  int64 // time of the last write, in nanoseconds; 0 = there are no positions
}

func (f followed) positionsIn(dir string) (found positionsFound) {
	info, err := os.Stat(filepath.Join(dir, "positions"))
	if err != nil {
		return found
	}
	found.time = info.ModTime().UnixNano()
	list, _, err := forwarder.ReadPositions(dir)
	found.empty = err == nil && len(list) == 0
	found.known = err == nil && slices.ContainsFunc(list, func(p forwarder.Position) bool {
		return slices.ContainsFunc(f.inputs, func(in forwarder.Input) bool {
			return in.Has(p.Path, p.Category)
		})
	})
	return found
}

// spoolOf returns here or, if no entries wait here but entries of an earlier run wait there, there.
func (f followed) spoolOf(here, there stateDir, log *slog.Logger) stateDir {
	if !f.waitsIn(there.dir) || inUse(there.dir) {
		return here
	}
	if f.waitsIn(here.dir) {
		log.Warn("entries of an earlier run wait in another spool, too: a start that finds none in this one delivers "+
			"them", "spool", there.dir, "this one", here.dir)
		return here
	}
	log.Info("entries of an earlier run wait in another spool: it is used", "spool", there.dir, "in place of", here.dir)
	return there
}

// waitsIn reports whether entries of the categories wait in the spool of a directory.
func (f followed) waitsIn(path string) bool {
	if _, err := os.Stat(filepath.Join(path, "ack")); err != nil { // which every spool has
		return false
	}
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		return false // who opens it says why
	}
	defer dir.Close()
	var batch proto.Batch
	for record, err := range spool.Records(dir) {
		if err != nil || batch.SetRecord(record.Data) != nil {
			continue
		}
		for entries := batch.Cursor(); entries.Next(); {
			if f.categories == nil || slices.ContainsFunc(f.categories,
				func(name string) bool { return bytes.Equal(entries.Category(), []byte(name)) }) {
				return true
			}
		}
	}
	return false
}

// journalOf returns here or, if an earlier run had its journal there and none is here, there. If both have a journal,
// here is used, and an error is logged if entries wait there. A journal that another process uses is left alone.
func journalOf(here, there stateDir, log *slog.Logger) stateDir {
	journal := filepath.Join(there.dir, "journal")
	if _, err := os.Stat(filepath.Join(journal, "ack")); there.dir == "" || err != nil || inUse(there.dir) {
		return here
	}
	if _, err := os.Stat(filepath.Join(here.dir, "journal", "ack")); err != nil {
		log.Info("the journal of an earlier run is used", "state", there.dir, "in place of", here.dir)
		return there
	}
	if (followed{}).waitsIn(journal) {
		log.Error("entries of an earlier run wait in another journal, too: start once with state="+there.dir+
			" to have them written", "state", here.dir)
	}
	return here
}

// inUse reports whether a process uses the positions or the spool in a directory.
func inUse(path string) bool {
	if _, err := os.Stat(filepath.Join(path, "lock")); err != nil {
		return false
	}
	dir, err := faultfs.OpenDir(path, nil)
	if err != nil {
		return false
	}
	defer dir.Close()
	lock, err := dir.Lock("lock")
	if err != nil {
		return errors.Is(err, faultfs.ErrLocked)
	}
	return lock.Close() != nil
}
