package depot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"inkwell/internal/faultfs"
)

const (
	noteSuffix = ".note"
	noteHeader = "inkwell depot 1"
)

// note says that a file is to be uploaded. It is stored in the state directory before the local manifest lists the
// file, and removed when the depot has it.
type note struct {
	Dir  string `json:"dir"`            // local directory of the file
	File string `json:"file"`           // name in Dir
	Name string `json:"name"`           // name in the depot
	Size int64  `json:"size"`           // bytes of the file
	Line []byte `json:"line,omitempty"` // the content of the file, as a line of a manifest
	// For a done marker: its content, and the files that must be uploaded before it.
	Marker []byte   `json:"marker,omitempty"`
	After  []string `json:"after,omitempty"`
	At     int64    `json:"at"` // Unix seconds; lower ones are uploaded first
}

// path returns the local path of the file.
func (n *note) path() string { return filepath.Join(n.Dir, n.File) }

// id returns the name of the file in which the note is stored.
func (n *note) id() string {
	sum := sha256.Sum256([]byte(n.path()))
	return hex.EncodeToString(sum[:16]) + noteSuffix
}

// save makes the note durable.
func (n *note) save(dir *faultfs.Dir) error {
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if err := faultfs.AppendLines(dir, n.id(), noteHeader, body); err != nil {
		return fmt.Errorf("note that %s is to go to the depot: %w", n.path(), err)
	}
	return nil
}

// forget removes the note. If the removal is not durable, a repeated upload finds the file in the depot.
func (n *note) forget(dir *faultfs.Dir) error {
	if err := dir.Remove(n.id()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget that %s was to go to the depot: %w", n.path(), err)
	}
	return nil
}

// readNotes reads the notes that an earlier run left. A note that was cut off by a crash is ignored, because it will be
// written again. It cannot be distinguished from a damaged one, so both are returned in damaged and kept.
func readNotes(dir *faultfs.Dir) (list []*note, damaged []string, err error) {
	entries, err := dir.ReadDir()
	if err != nil {
		return nil, nil, fmt.Errorf("list %s: %w", dir.Path(), err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), noteSuffix) {
			continue
		}
		var last *note
		_, err := faultfs.ReadLines(dir, e.Name(), noteHeader, func(body []byte) error {
			n := new(note)
			if err := json.Unmarshal(body, n); err != nil {
				return err
			}
			if n.id() != e.Name() || n.Name == "" {
				return errors.New("a note about something else")
			}
			last = n
			return nil
		})
		if err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", filepath.Join(dir.Path(), e.Name()), err)
		}
		if last != nil {
			list = append(list, last)
		} else {
			damaged = append(damaged, e.Name())
		}
	}
	return list, damaged, nil
}

// item is a note that is being processed. The mutex of its lane guards it.
type item struct {
	*note
	lane  *lane
	fails int       // consecutive failures
	until time.Time // no attempt before this time
	told  bool      // the status mentions its failure
}
