package spool

import (
	"slices"

	"inkwell/internal/faultfs"
)

// Repair does to the log in dir what opening and closing it would do: it sets aside the torn end of the last segment,
// or the last segment if its header is bad. A damaged segment further ahead stays in place, because its intact groups
// are still to be delivered. Repair returns the names of the files it set aside. The error is faultfs.ErrLocked when
// another process has the log open, and a *VersionError when the log has another version; nothing was changed then.
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
