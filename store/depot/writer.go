package depot

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"inkwell/internal/faultfs"
)

const writerName = "who"

// writer returns the name by which a collector is known in a depot: the name of the host and four random digits, chosen
// when the state directory was new. A collector that lost its state is therefore another writer; its file numbers begin
// again.
func writer(state *faultfs.Dir) (string, error) {
	data, err := state.ReadFile(writerName)
	if who := strings.TrimSpace(string(data)); err == nil && ValidWriter(who) == nil {
		return who, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read %s: %w", filepath.Join(state.Path(), writerName), err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "collector"
	}
	host, _, _ = strings.Cut(host, ".")
	host = strings.Map(func(r rune) rune {
		if ValidWriter(string(r)) != nil {
			return '-'
		}
		return r
	}, host)
	digits := make([]byte, 2)
	_, _ = rand.Read(digits) // never fails
	who := host[:min(len(host), 40)] + "-" + hex.EncodeToString(digits)
	if err := state.WriteFile(writerName, []byte(who+"\n")); err != nil {
		return "", fmt.Errorf("write %s: %w", filepath.Join(state.Path(), writerName), err)
	}
	return who, nil
}

// ValidWriter returns why a text cannot be the name of a writer, nil if it can.
func ValidWriter(who string) error {
	if who == "" || len(who) > 64 || strings.Trim(who,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") != "" {
		return fmt.Errorf("%q: want up to 64 letters, digits, dots and hyphens", who)
	}
	return nil
}
