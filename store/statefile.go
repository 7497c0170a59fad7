package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"path/filepath"

	"inkwell/internal/faultfs"
)

const (
	copySuffix    = ".copy"
	damagedSuffix = ".corrupt"
	sumPrefix     = "crc32c "
)

// StateFile is a small file that must not be lost. It holds JSON with a checksum, is replaced atomically and durably,
// and is stored twice, so that damage to one copy does no harm (docs/format.md).
type StateFile struct {
	Dir  *faultfs.Dir
	Name string
	Log  *slog.Logger
}

// Save replaces both copies. After an error each copy holds either the old or the new content.
func (s StateFile) Save(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	data = fmt.Appendf(data, "\n%s%08x\n", sumPrefix, crc32.Checksum(data, castagnoli))
	if err := s.Dir.WriteFile(s.Name, data); err != nil {
		return err
	}
	return s.Dir.WriteFile(s.Name+copySuffix, data)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Load reads the first intact copy into v; found is false if there is none. Damaged copies are set aside. Load also
// syncs the directory: a process that was killed may have left a name that is not durable yet, and nothing that is
// derived from the content may outlive it.
func (s StateFile) Load(v any) (found bool, err error) {
	var damaged []string
	for _, name := range []string{s.Name, s.Name + copySuffix} {
		data, err := s.Dir.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err
		}
		body, ok := whole(data)
		if !ok {
			damaged = append(damaged, name)
			continue
		}
		if err := json.Unmarshal(body, v); err != nil {
			return false, fmt.Errorf("read %s: %w", filepath.Join(s.Dir.Path(), name), err)
		}
		found = true
		break
	}
	for _, name := range damaged {
		if err := s.setAside(name, found); err != nil {
			return false, err
		}
	}
	return found, s.Dir.Sync()
}

// Remove removes both copies, durably. A missing one is no error.
func (s StateFile) Remove() error {
	for _, name := range []string{s.Name, s.Name + copySuffix} {
		if err := s.Dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.Dir.Sync()
}

// whole returns the JSON in data and whether its checksum is right. Files of older versions have no checksum.
func whole(data []byte) (body []byte, ok bool) {
	body, sum, _ := bytes.Cut(data, []byte{'\n'})
	if !json.Valid(body) {
		return nil, false
	}
	return body, len(sum) == 0 || string(sum) == fmt.Sprintf("%s%08x\n", sumPrefix, crc32.Checksum(body, castagnoli))
}

// setAside renames a damaged file to a name that is free, so that earlier damaged files are kept.
func (s StateFile) setAside(name string, healed bool) error {
	aside, err := s.Dir.FreeName(name, damagedSuffix)
	if err != nil {
		return err
	}
	if healed {
		s.Log.Error("state is damaged, its copy is used", "file", filepath.Join(s.Dir.Path(), name), "set aside", aside)
	} else {
		s.Log.Error("state and its copy are damaged: what they held is lost",
			"file", filepath.Join(s.Dir.Path(), name), "set aside", aside)
	}
	return errors.Join(s.Dir.Rename(name, aside), s.Dir.Sync())
}
