package faultfs

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"inkwell/internal/killpoint"
)

// linesSlack is how many bytes may be appended to Lines before they are due to be written anew.
const linesSlack = 4 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Lines is a file of lines that is appended to, and written anew when it has grown:
//
//	HEADER\n
//	CRC BODY\n        CRC: of BODY, CRC-32C, eight hexadecimal digits
//
// A body has no newline. Not safe for concurrent use.
type Lines struct {
	dir    *Dir
	name   string
	header string
	file   *File // nil = to be written anew before anything else
	size   int64
	fresh  int64 // its size when it was last written anew
	dirty  bool  // there is something that was not synced
	buf    []byte
}

// OpenLines reads the file name in d, which need not be there, and gives each body to take. Lines that are damaged, or that take does
// not understand, are passed over and counted in bad: the last one after a crash, as a rule. The header must be of the form "WHAT VERSION";
// another version is an error. Nothing is written before Rewrite, which has to come first.
func OpenLines(d *Dir, name, header string, take func(body []byte) error) (l *Lines, bad int, err error) {
	l = &Lines{dir: d, name: name, header: header}
	data, err := d.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("read %s: %w", l.path(), err)
	}
	first, rest, whole := bytes.Cut(data, []byte{'\n'})
	if string(first) != header {
		if whole || !bytes.HasPrefix([]byte(header), first) {
			return nil, 0, fmt.Errorf("%s begins with %q, this program knows %q (use the program that wrote it, or another state directory)", l.path(), first[:min(len(first), 40)], header)
		}
		return l, 0, nil // none, or what a damaged file system left of one
	}
	for line := range bytes.Lines(rest) {
		body, ok := checkLine(line)
		if !ok || take(body) != nil {
			bad++
		}
	}
	return l, bad, nil
}

// checkLine returns the body of a line whose checksum is right.
func checkLine(line []byte) (body []byte, ok bool) {
	line, whole := bytes.CutSuffix(line, []byte{'\n'})
	crc, body, two := bytes.Cut(line, []byte{' '})
	if !whole || !two || len(crc) != 8 {
		return nil, false
	}
	want, err := strconv.ParseUint(string(crc), 16, 32)
	return body, err == nil && uint32(want) == crc32.Checksum(body, castagnoli)
}

func appendLine(dst, body []byte) []byte {
	dst = fmt.Appendf(dst, "%08x ", crc32.Checksum(body, castagnoli))
	return append(append(dst, body...), '\n')
}

// AppendLines adds lines to the file name in d, which is made if it is missing, durably. It is for files of Lines that nobody has open.
func AppendLines(d *Dir, name, header string, bodies ...[]byte) (err error) {
	f, err := d.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var data []byte
	last := make([]byte, 1)
	switch size := info.Size(); {
	case size == 0:
		data = append(append(data, header...), '\n')
	default:
		if _, err := f.ReadAt(last, size-1); err != nil {
			return err
		}
		if last[0] != '\n' { // the end of a line that was not written to its end
			data = append(data, '\n')
		}
	}
	for _, body := range bodies {
		data = appendLine(data, body)
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	killpoint.Reach("manifest.written")
	if err := f.Sync(); err != nil || info.Size() > 0 {
		return err
	}
	return d.Sync()
}

// Rewrite replaces the file by one with these bodies, atomically and durably.
func (l *Lines) Rewrite(bodies func(yield func(body []byte) bool)) error {
	if err := l.close(); err != nil {
		return fmt.Errorf("write %s anew: %w", l.path(), err)
	}
	l.buf = append(append(l.buf[:0], l.header...), '\n')
	for body := range bodies {
		l.buf = appendLine(l.buf, body)
	}
	if err := l.dir.WriteFile(l.name, l.buf); err != nil {
		return fmt.Errorf("write %s: %w", l.path(), err)
	}
	f, err := l.dir.OpenFile(l.name, os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("open %s: %w", l.path(), err)
	}
	l.file, l.size, l.fresh, l.dirty = f, int64(len(l.buf)), int64(len(l.buf)), false
	return nil
}

// Due says whether the file has to be written anew before anything is appended: it has grown, or an earlier write or sync failed.
func (l *Lines) Due() bool { return l.file == nil || l.size > linesSlack+8*l.fresh }

// Append adds lines with one write; they are durable after Sync. After an error the file is Due.
func (l *Lines) Append(bodies ...[]byte) error {
	if l.file == nil {
		return fmt.Errorf("append to %s: it has to be written anew after an error", l.path())
	}
	l.buf = l.buf[:0]
	for _, body := range bodies {
		l.buf = appendLine(l.buf, body)
	}
	n, err := l.file.Write(l.buf)
	l.size, l.dirty = l.size+int64(n), true
	killpoint.Reach("lines.written")
	if err != nil {
		return errors.Join(fmt.Errorf("append to %s: %w", l.path(), err), l.close())
	}
	return nil
}

// Sync makes everything that was appended survive a power failure. After an error the file is Due: a second sync of it would prove
// nothing.
func (l *Lines) Sync() error {
	if l.file == nil || !l.dirty {
		return nil
	}
	if err := l.file.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync %s: %w", l.path(), err), l.close())
	}
	l.dirty = false
	killpoint.Reach("lines.synced")
	return nil
}

// Close syncs and releases the file.
func (l *Lines) Close() error { return errors.Join(l.Sync(), l.close()) }

func (l *Lines) close() error {
	f := l.file
	l.file = nil
	if f == nil {
		return nil
	}
	return f.Close()
}

func (l *Lines) path() string { return filepath.Join(l.dir.Path(), l.name) }
