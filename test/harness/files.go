package harness

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// Published lists the finished files of a category by date, then by number.
func Published(tb testing.TB, dir, category string) []string {
	tb.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, category))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		tb.Fatal(err)
	}
	legal := regexp.MustCompile(`^` + regexp.QuoteMeta(category) + `(-\d{4}-\d\d-\d\d(T\d\d)?)?_\d{5,}(\.gz|\.zst)?$`)
	var paths []string
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			if !legal.MatchString(e.Name()) {
				tb.Errorf("%s/%s: no name of a category file", category, e.Name())
			}
			paths = append(paths, filepath.Join(dir, category, e.Name()))
		}
	}
	sort.Slice(paths, func(i, j int) bool { return less(paths[i], paths[j]) })
	return paths
}

// IsMetadata reports whether a file is one in which a collector describes the files of a category.
func IsMetadata(name string) bool {
	return name == ".manifest" || name == ".counts" || strings.HasPrefix(name, "_SUCCESS") || strings.HasPrefix(name,
		".") && strings.HasSuffix(name, ".idx")
}

// less orders files of a category by date and then by number, which can have more than five digits.
func less(a, b string) bool {
	as, an := splitName(a)
	bs, bn := splitName(b)
	return as < bs || as == bs && an < bn
}

func splitName(path string) (series string, number int) {
	name := strings.TrimSuffix(strings.TrimSuffix(path, ".gz"), ".zst")
	at := strings.LastIndexByte(name, '_')
	number, _ = strconv.Atoi(name[at+1:])
	return name[:at], number
}

// Unfinished lists the files of a directory tree that are still being written.
func Unfinished(tb testing.TB, dir string) []string {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*", ".*.open"))
	if err != nil {
		tb.Fatal(err)
	}
	return paths
}

// Read returns the decompressed bytes of a finished file. A gzip file must consist of exactly one member, because many
// readers see only the first.
func Read(path string) ([]byte, error) {
	switch filepath.Ext(path) {
	case ".gz":
		return readGzip(path)
	case ".zst":
		return exec.Command("zstd", "-dcq", path).Output()
	}
	return os.ReadFile(path)
}

func readGzip(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	in := bytes.NewReader(data)
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	z.Multistream(false)
	var out bytes.Buffer
	if _, err := io.Copy(&out, z); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if in.Len() > 0 {
		return nil, fmt.Errorf("%s: %d bytes behind the first gzip member", path, in.Len())
	}
	if out.Len() == 0 {
		return nil, fmt.Errorf("%s: is empty", path)
	}
	return out.Bytes(), nil
}

// Contents returns the bytes of all finished files of a category, in order.
func Contents(tb testing.TB, dir, category string) []byte {
	tb.Helper()
	var all []byte
	for _, path := range Published(tb, dir, category) {
		data, err := Read(path)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, data...)
	}
	return all
}

// Audit reads the finished files of a category into a new ledger.
func Audit(tb testing.TB, dir, category string) *Ledger {
	tb.Helper()
	l := NewLedger()
	for _, path := range Published(tb, dir, category) {
		data, err := Read(path)
		if err != nil {
			tb.Fatal(err)
		}
		l.Bytes(data)
	}
	return l
}

// gunzip decompresses every file with Python's gzip module.
const gunzip = `
import gzip, sys
for path in sys.argv[1:]:
    with gzip.open(path) as f:
        while f.read(1 << 20): pass
`

// Valid tests finished files with the tools that people use to read them.
func Valid(tb testing.TB, paths []string) {
	tb.Helper()
	var gz, zst []string
	for _, path := range paths {
		switch filepath.Ext(path) {
		case ".gz":
			gz = append(gz, path)
		case ".zst":
			zst = append(zst, path)
		}
	}
	if len(gz) > 0 {
		Tool(tb, "gzip", append([]string{"-t"}, gz...)...)
		Tool(tb, "/usr/bin/python3", append([]string{"-c", gunzip}, gz...)...)
	}
	if len(zst) > 0 {
		Tool(tb, "zstd", append([]string{"-q", "-t"}, zst...)...)
	}
}

// Clean fails the test unless a stopped collector left only finished files, all of them valid.
func Clean(tb testing.TB, dir string) {
	tb.Helper()
	for _, path := range Unfinished(tb, dir) {
		tb.Errorf("%s is left open", path)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*", "[^.]*"))
	if err != nil {
		tb.Fatal(err)
	}
	Valid(tb, paths)
}
