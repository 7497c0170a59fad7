package forwarder

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// mountsPath lists what is mounted where. Reading it accesses no other file system, so that it cannot hang.
const mountsPath = "/proc/self/mountinfo"

// mounts finds the file system of a path without a call that could hang if that file system does not answer.
type mounts struct {
	text    []byte
	systems map[string]mounted // by mount point
}

// mounted is a mounted file system.
type mounted struct {
	id     string // MAJOR:MINOR
	remote bool   // calls wait for another machine or for a process
}

// changed says whether the mounts have changed since the last call of read.
func (m *mounts) changed() bool {
	text, err := os.ReadFile(mountsPath)
	if err != nil || bytes.Equal(text, m.text) {
		return false
	}
	m.text, m.systems = text, nil
	return true
}

// read updates the list of mounts.
func (m *mounts) read() {
	if !m.changed() && m.systems != nil {
		return
	}
	m.systems = make(map[string]mounted)
	for line := range strings.Lines(string(m.text)) {
		// ID PARENT MAJOR:MINOR ROOT POINT OPTIONS … - TYPE …; a later mount covers an earlier one
		before, behind, _ := strings.Cut(line, " - ")
		if field := strings.Fields(before); len(field) > 4 {
			kind, _, _ := strings.Cut(behind, " ")
			m.systems[unescapeMount(field[4])] = mounted{field[2], isRemote(kind)}
		}
	}
}

// isRemote says whether calls to a file system of that type wait for another machine or for a process.
func isRemote(kind string) bool {
	for _, start := range []string{"nfs", "cifs", "smb", "fuse", "9p", "ceph", "gluster", "lustre", "afs", "autofs"} {
		if strings.HasPrefix(kind, start) {
			return true
		}
	}
	return false
}

// find returns the file system of an absolute path. Links on the way are not followed.
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

// unescapeMount undoes the kernel's octal escapes: \040 is a blank.
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
