package forwarder

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// mountsPath says what is mounted where. Reading it touches no file system.
const mountsPath = "/proc/self/mountinfo"

// mounts tells on which file system a path lies, without a call that could hang where that does not answer.
type mounts struct {
	text    []byte
	systems map[string]string // mount point → MAJOR:MINOR of the file system
}

// changed says whether something else is mounted than when read was called last.
func (m *mounts) changed() bool {
	text, err := os.ReadFile(mountsPath)
	if err != nil || bytes.Equal(text, m.text) {
		return false
	}
	m.text, m.systems = text, nil
	return true
}

// read takes note of what is mounted.
func (m *mounts) read() {
	if !m.changed() && m.systems != nil {
		return
	}
	m.systems = make(map[string]string)
	for line := range strings.Lines(string(m.text)) {
		// ID PARENT MAJOR:MINOR ROOT POINT OPTIONS …; a later line covers an earlier one
		if field := strings.Fields(line); len(field) > 4 {
			m.systems[unescapeMount(field[4])] = field[2]
		}
	}
}

// of is the file system of a path, which is absolute. Links on the way are not followed.
func (m *mounts) of(path string) string {
	for p := path; ; p = filepath.Dir(p) {
		if id, is := m.systems[p]; is {
			return id
		}
		if p == filepath.Dir(p) {
			return ""
		}
	}
}

// unescapeMount undoes what the kernel does to blanks: \040.
func unescapeMount(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
