package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// source is something that is shipped into a category of its own.
type source struct {
	category string
	path     string // "" = generated lines that go through the pipe
	size     int64  // bytes
}

// open returns the bytes that should come out: those of the source, the last line ended by a newline.
func (s source) open() (io.ReadCloser, error) {
	if s.path == "" {
		return io.NopCloser(newApacheLog(2, s.size)), nil
	}
	f, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], s.size-1); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if last[0] == '\n' {
		return f, nil
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(f, strings.NewReader("\n")), f}, nil
}

// prepare brings together what is shipped: a generated log, and file or the real logs of this machine.
func prepare(dir, file string) ([]source, error) {
	in := filepath.Join(dir, "in")
	if err := os.Mkdir(in, 0o755); err != nil {
		return nil, err
	}
	heading("The input")
	access := source{category: "apache.access", path: filepath.Join(in, "access.log"), size: accessBytes}
	if err := generate(access.path, access.size); err != nil {
		return nil, err
	}
	st, err := os.Stat(access.path)
	if err != nil {
		return nil, err
	}
	access.size = st.Size()
	sources := []source{access, {category: "apache.piped", size: pipedBytes}}
	if file != "" {
		st, err := os.Stat(file)
		switch {
		case err != nil:
			return nil, err
		case !st.Mode().IsRegular() || st.Size() == 0:
			return nil, fmt.Errorf("%s: FILE must be a file with something in it", file)
		}
		path, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		sources = append(sources, source{category: "file." + categoryName(filepath.Base(file)), path: path,
			size: st.Size()})
	} else {
		real, err := realLogs("/var/log", in)
		if err != nil {
			return nil, err
		}
		sources = append(sources, real...)
	}
	for _, s := range sources {
		how := "a file"
		if s.path == "" {
			how = "lines through a pipe"
		}
		fmt.Printf("  %-40s %10s  %s\n", s.category, humanize.Bytes(uint64(s.size)), how)
	}
	return sources, nil
}

func generate(path string, size int64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, newApacheLog(1, size))
	return err
}

// How much of a machine's logs is shipped at most.
const (
	realFiles   = 40
	realFileMax = 100e6
	realMax     = 300e6
)

// realLogs copies the text files below root that this user can read to dir: as they are still being written, a copy is
// what can be compared afterwards.
func realLogs(root, dir string) ([]source, error) {
	var sources []source
	var sum int64
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || len(sources) == realFiles {
			return nil // unreadable: none of ours
		}
		st, err := e.Info()
		if err != nil || st.Size() == 0 || st.Size() > realFileMax || sum+st.Size() > realMax || !isText(path) {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		s := source{category: fmt.Sprintf("varlog%02d.%s", len(sources), categoryName(rel)),
			path: filepath.Join(dir, fmt.Sprintf("real%02d", len(sources)))}
		if s.size, err = copyFile(path, s.path); err != nil || s.size == 0 {
			return err
		}
		sum += s.size
		sources = append(sources, s)
		return nil
	})
	return sources, err
}

func isText(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 4096)
	n, err := io.ReadFull(f, head)
	if n == 0 || err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false
	}
	// The cut at 4096 can go through a character.
	return bytes.IndexByte(head[:n], 0) < 0 &&
		utf8.Valid(bytes.TrimRightFunc(head[:n], func(r rune) bool { return r == utf8.RuneError }))
}

func copyFile(from, to string) (n int64, err error) {
	r, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		return 0, err
	}
	n, err = io.Copy(w, r)
	return n, errors.Join(err, w.Close())
}

// categoryName makes a category of a path.
func categoryName(path string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r == '/':
			return '.'
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '_'
	}, path)
	return name[:min(len(name), 100)]
}
