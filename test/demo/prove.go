package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
)

// published returns the finished files of a category in order.
func published(out, category string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(out, category, category+"-*_*.gz"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("category %s has no files", category)
	}
	sort.Strings(paths)
	return paths, nil
}

// prove compares the files of a source's category with the source and returns how many lines and bytes both have.
func prove(out string, s source) (lines, size int64, err error) {
	paths, err := published(out, s.category)
	if err != nil {
		return 0, 0, err
	}
	want, err := s.open()
	if err != nil {
		return 0, 0, err
	}
	defer want.Close()
	got := &unpacked{paths: paths}
	defer got.close()
	lines, size, err = compare(got, want)
	if err != nil {
		err = fmt.Errorf("category %s: %w", s.category, err)
		if st, e := os.Stat(s.path); e == nil && st.Size() != s.size {
			err = fmt.Errorf("%w (%s changed while it was shipped: the comparison means nothing)", err, s.path)
		}
	}
	return lines, size, err
}

// compare reads both to the end; where they differ the error names the line.
func compare(got, want io.Reader) (lines, size int64, err error) {
	g, w := make([]byte, 256<<10), make([]byte, 256<<10)
	for {
		n, gerr := io.ReadFull(got, g)
		m, werr := io.ReadFull(want, w)
		if !bytes.Equal(g[:n], w[:m]) {
			same := 0
			for same < min(n, m) && g[same] == w[same] {
				same++
			}
			line, at := lines+int64(bytes.Count(w[:same], []byte{'\n'}))+1, size+int64(same)
			switch {
			case same == n && n < m:
				return 0, 0, fmt.Errorf("line %d (byte %d) and what follows is missing", line, at)
			case same == m && m < n:
				return 0, 0, fmt.Errorf("there is more behind line %d (byte %d) than was sent", line-1, at)
			}
			return 0, 0, fmt.Errorf("line %d (byte %d) is not what was sent", line, at)
		}
		lines, size = lines+int64(bytes.Count(w[:m], []byte{'\n'})), size+int64(m)
		for _, err := range []error{gerr, werr} {
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return 0, 0, err
			}
		}
		if gerr != nil { // the same length: both have ended
			return lines, size, nil
		}
	}
}

// unpacked is the bytes of gzip files, one behind the other. Every file must be one whole gzip member and nothing else,
// as the readers that stop behind the first member need it.
type unpacked struct {
	paths []string
	file  *os.File
	zip   *gzip.Reader
}

func (u *unpacked) Read(p []byte) (int, error) {
	for {
		if u.zip != nil {
			n, err := u.zip.Read(p)
			if n > 0 || err != nil && !errors.Is(err, io.EOF) {
				return n, cleanEnd(err)
			}
			if err != nil {
				u.zip = nil
			}
			continue
		}
		u.close()
		if len(u.paths) == 0 {
			return 0, io.EOF
		}
		var err error
		if u.file, err = os.Open(u.paths[0]); err != nil {
			return 0, err
		}
		if u.zip, err = gzip.NewReader(u.file); err != nil {
			return 0, fmt.Errorf("%s: %w", u.paths[0], err)
		}
		u.zip.Multistream(false)
		u.paths = u.paths[1:]
	}
}

// cleanEnd keeps the end of one file from being taken for the end of all.
func cleanEnd(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("a file ends too early")
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}

func (u *unpacked) close() {
	if u.file != nil {
		_ = u.file.Close() // only read from
		u.file = nil
	}
}
