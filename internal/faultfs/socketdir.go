package faultfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// MakeSocketDir makes the directory of a unix socket if it is missing, because /run is empty after a reboot. Whatever
// the umask is, everybody may search the directory, so that the socket can be reached. made says whether it was made.
func MakeSocketDir(socket string) (made bool, err error) {
	dir := filepath.Dir(socket)
	if _, err := os.Stat(dir); err == nil {
		return false, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, fmt.Errorf("make the directory of a socket: %w", err)
	}
	return true, os.Chmod(dir, 0o755)
}
