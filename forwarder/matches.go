package forwarder

import "golang.org/x/sys/unix"

// tellMatched updates how many files each input has.
func (d *directory) tellMatched(now map[*source]int) {
	for s, n := range now {
		s.files.Add(int64(n - d.matched[s]))
		delete(d.matched, s)
	}
	for s, n := range d.matched {
		s.files.Add(int64(-n))
	}
	d.matched = now
}

// tellOdd logs that a path which an input wants is not a file.
func (v *volume) tellOdd(d *directory, odd map[string]string, path string) {
	kind := kindOf(path)
	odd[path] = kind
	if d.odd[path] != kind {
		v.log.Warn("what a pattern names is not a file, and is not followed", "path", path, "kind", kind)
	}
}

// kindOf names the type of a path that is not a file.
func kindOf(path string) string {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err.Error()
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return "directory (for the files in it add /*)"
	case unix.S_IFIFO:
		return "FIFO (read it with inkwell pipe)"
	case unix.S_IFSOCK:
		return "socket"
	}
	return "device"
}

// tellOther logs that two inputs want the same file for different categories.
func (v *volume) tellOther(path string, first, other *source) {
	if v.said[path] {
		return
	}
	a, _ := first.pattern.Match(path)
	if b, _ := other.pattern.Match(path); a != b {
		v.sayOnce(path, "file is wanted by two inputs; the first has it", "category", a, "not", b)
	}
}
