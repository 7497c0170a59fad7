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
	systems map[string]mounted // by mount point
}

// mounted is a file system.
type mounted struct {
	id     string // MAJOR:MINOR
	remote bool   // somebody else answers for it: another machine, or a process
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
	m.systems = make(map[string]mounted)
	for line := range strings.Lines(string(m.text)) {
		// ID PARENT MAJOR:MINOR ROOT POINT OPTIONS … - TYPE …; a later line covers an earlier one
		before, behind, _ := strings.Cut(line, " - ")
		if field := strings.Fields(before); len(field) > 4 {
			kind, _, _ := strings.Cut(behind, " ")
			m.systems[unescapeMount(field[4])] = mounted{field[2], isRemote(kind)}
		}
	}
}

// isRemote says whether calls of a file system of that type wait for another machine or a process.
func isRemote(kind string) bool {
	for _, start := range []string{"nfs", "cifs", "smb", "fuse", "9p", "ceph", "gluster", "lustre", "afs", "autofs"} {
		if strings.HasPrefix(kind, start) {
			return true
		}
	}
	return false
}

// find returns the file system of a path, which is absolute. Links on the way are not followed.
func (m *mounts) find(path string) mounted {
	for p := path; ; p = filepath.Dir(p) {
		if on, is := m.systems[p]; is {
			return on
		}
		if p == filepath.Dir(p) {
			return mounted{}
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
