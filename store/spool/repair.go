package spool

import (
	"slices"

	"inkwell/internal/faultfs"
)

// Repair does to the log in dir what opening and closing it would do: the torn end of the last segment, and a last
// segment that is none, are set aside. A segment further ahead that is damaged stays: what is intact in it waits to be
// delivered. It returns the names of what it set aside. The error is faultfs.ErrLocked when another process has the
// log, and a *VersionError when it is of another version; nothing was changed then.
func Repair(dir *faultfs.Dir) (aside []string, err error) {
	before, err := asideIn(dir)
	if err != nil {
		return nil, err
	}
	l, err := Open(dir, Options{})
	if err != nil {
		return nil, err
	}
	if err := l.Close(); err != nil {
		return nil, err
	}
	after, err := asideIn(dir)
	return slices.DeleteFunc(after, func(name string) bool { return slices.Contains(before, name) }), err
}
