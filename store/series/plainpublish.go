package series

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
)

// show gives the files that were begun before a saved state their final names, unless they have them. The names become
// durable at once, or by later if it is not nil.
func (f *Plain) show(st state, later *faultfs.Later) error {
	last := ""
	for _, name := range st.Begun {
		waiting, err := f.length(hidden(name))
		if err != nil {
			return err
		}
		there, err := f.length(name)
		switch {
		case err != nil:
			return err
		case waiting < 0 && there < 0:
			continue // somebody has removed it
		case waiting >= 0 && there >= 0:
			return fmt.Errorf("publish %s: there is a file of that name that was not written here (move it away; "+
				"what was to be published waits in %s)",
				filepath.Join(f.dir.Path(), name), hidden(name))
		case waiting >= 0:
			if err := f.dir.Rename(hidden(name), name); err != nil {
				return fmt.Errorf("publish %s: %w", filepath.Join(f.dir.Path(), name), err)
			}
			killpoint.Reach("plain.shown")
			f.o.Stats.Overall("files published").Add(1)
		}
		last = name
	}
	if last == "" {
		return nil
	}
	f.link(last)
	killpoint.Reach("plain.linked")
	return f.syncDir(later)
}

// statsName is the file with a line for each rotation. All series of a directory share it.
const statsName = "scribe_stats"

// readStats returns the content of scribe_stats.
func (f *Plain) readStats() ([]byte, error) {
	there, err := f.dir.ReadFile(statsName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s in %s: %w", statsName, f.dir.Path(), err)
	}
	return there, nil
}

// writeStats appends lines to scribe_stats. there is its content after a crash, nil otherwise: lines in it are not
// written again, and a line of which it ends with the beginning is completed.
func (f *Plain) writeStats(lines []string, there []byte) (err error) {
	torn := there[bytes.LastIndexByte(there, '\n')+1:]
	var add strings.Builder
	for _, line := range lines {
		if bytes.Contains(there, []byte(line+"\n")) {
			continue
		}
		if rest, ok := strings.CutPrefix(line, string(torn)); ok {
			line = rest
		}
		torn = nil
		add.WriteString(line + "\n")
	}
	if add.Len() == 0 {
		return nil
	}
	file, err := f.dir.OpenFile(statsName, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("open %s in %s: %w", statsName, f.dir.Path(), err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.Write([]byte(add.String())); err != nil {
		return fmt.Errorf("write %s in %s: %w", statsName, f.dir.Path(), err)
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("sync %s in %s: %w", statsName, f.dir.Path(), err)
	}
	killpoint.Reach("plain.told")
	return nil
}
