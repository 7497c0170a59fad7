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

// note says what is to be brought to the depot. It is a file in the state directory from before the local manifest
// lists the file until the depot has it.
type note struct {
	Dir  string `json:"dir"`            // local
	File string `json:"file"`           // in it
	Name string `json:"name"`           // in the depot
	Size int64  `json:"size"`           // bytes of the file
	Line []byte `json:"line,omitempty"` // what is in it, as a line of a manifest
	// Of a done marker: its content, and the files that have to be there before.
	Marker []byte   `json:"marker,omitempty"`
	After  []string `json:"after,omitempty"`
	At     int64    `json:"at"` // Unix seconds; older ones go first
}

// path is where the file is.
func (n *note) path() string { return filepath.Join(n.Dir, n.File) }

// id is the name of the note's own file.
func (n *note) id() string {
	sum := sha256.Sum256([]byte(n.path()))
	return hex.EncodeToString(sum[:16]) + noteSuffix
}

// save makes a note durable.
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

// forget removes a note. If that is not durable, the depot is found to have the file.
func (n *note) forget(dir *faultfs.Dir) error {
	if err := dir.Remove(n.id()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget that %s was to go to the depot: %w", n.path(), err)
	}
	return nil
}

// readNotes reads what a run before left. A note that was cut by a crash is not one yet: it will be written again. One
// without a good line that is older than that is damaged, and kept.
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

// item is a note on its way. Its lane's mutex guards it.
type item struct {
	*note
	lane  *lane
	fails int       // attempts in a row
	until time.Time // not before
	told  bool      // in the status
}
