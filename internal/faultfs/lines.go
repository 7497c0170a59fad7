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
	"strings"

	"inkwell/internal/killpoint"
)

// linesSlack is how many bytes may be appended to Lines before they are due to be rewritten.
const linesSlack = 4 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Lines is a file of lines. Lines are appended, and the file is rewritten when it has grown too much:
//
//	HEADER\n
//	CRC BODY\n        CRC: CRC-32C of BODY, eight hexadecimal digits
//
// A body has no newline. Not safe for concurrent use.
type Lines struct {
	dir    *Dir
	name   string
	header string
	file   *File // nil = the file has to be rewritten before anything else
	size   int64
	fresh  int64 // size when it was last rewritten
	synced int64 // how much of it is durable
	buf    []byte

	damaged []byte // what OpenLines has read, if it has to be kept
	aside   string // the name under which it is kept
}

// Damage is what OpenLines found wrong with a file.
type Damage struct {
	Lines int    // that are skipped, the header included
	Aside string // where the damaged file is kept; "" = only its end is damaged, as after a crash
}

// OpenLines reads the file name in d as ReadLines does. Rewrite must be called before anything else is written. If the
// file is damaged elsewhere than at its end, Rewrite keeps a copy. What a process has left that was killed in Rewrite
// is removed.
func OpenLines(d *Dir, name, header string, take func(body []byte) error) (*Lines, Damage, error) {
	l := &Lines{dir: d, name: name, header: header}
	_ = d.Sweep(name) // if this fails, Rewrite reports it
	data, there, err := readIfThere(d, name)
	if err != nil || !there {
		return l, Damage{}, err
	}
	lines, ending, err := parseLines(l.path(), header, data, take)
	damage := Damage{Lines: lines}
	if err != nil {
		return nil, damage, err
	}
	if !ending {
		if damage.Aside, err = d.FreeName(name, ".corrupt"); err != nil {
			return nil, damage, err
		}
		l.damaged, l.aside = data, damage.Aside
	}
	return l, damage, nil
}

// ReadLines reads the file name in d, which need not exist, and passes each body to take. Lines that are damaged, or
// that take refuses, are skipped and counted: usually the last line after a crash.
//
// The header must have the form "WHAT VERSION", and is also skipped when it is damaged. A header of another version is
// an error, unless take accepts the lines below it: then it is damage that looks like a version. So a new version must
// change the form of its lines.
func ReadLines(d *Dir, name, header string, take func(body []byte) error) (damaged int, err error) {
	data, there, err := readIfThere(d, name)
	if err != nil || !there {
		return 0, err
	}
	damaged, _, err = parseLines(filepath.Join(d.Path(), name), header, data, take)
	return damaged, err
}

func readIfThere(d *Dir, name string) (data []byte, there bool, err error) {
	data, err = d.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("read %s: %w", filepath.Join(d.Path(), name), err)
	}
	return data, true, nil
}

// parseLines passes the bodies in data to take. ending says that there is no damage except what a crash leaves at the
// end of a file.
func parseLines(path, header string, data []byte, take func(body []byte) error) (damaged int, ending bool, err error) {
	rest, whole := bytes.CutPrefix(data, []byte(header+"\n"))
	if len(data) == 0 {
		damaged++
	}
	right := 0
	ending = whole || bytes.HasPrefix([]byte(header), data)
	for line := range bytes.Lines(rest) { // and the header, if it is damaged
		body, ok := checkLine(line)
		odd := ok && take(body) != nil
		if !ok || odd {
			damaged++
			if body = lineWithin(line); odd || body == nil || take(body) != nil {
				ending = ending && !odd
				continue
			}
		}
		right++
		ending = ending && damaged == 0
	}
	first, below, _ := bytes.Cut(data, []byte{'\n'})
	if !whole && right == 0 && len(below) > 0 && isVersion(first, header) {
		return damaged, false, fmt.Errorf("%s begins with %q, this program knows %q "+
			"(use the program that wrote it, or another state directory)", path, first, header)
	}
	return damaged, ending, nil
}

// isVersion says whether first is the header of another version.
func isVersion(first []byte, header string) bool {
	k := strings.LastIndexByte(header, ' ') + 1
	version, ok := bytes.CutPrefix(first, []byte(header[:k]))
	n, err := strconv.ParseUint(string(version), 10, 32)
	return ok && err == nil && n > 0
}

// crcDigits is the number of digits before a body.
const crcDigits = 8

// checkLine returns the body of a line, if its checksum is correct.
func checkLine(line []byte) (body []byte, ok bool) {
	line, whole := bytes.CutSuffix(line, []byte{'\n'})
	crc, body, two := bytes.Cut(line, []byte{' '})
	if !whole || !two || len(crc) != crcDigits {
		return nil, false
	}
	want, err := strconv.ParseUint(string(crc), 16, 32)
	return body, err == nil && uint32(want) == crc32.Checksum(body, castagnoli)
}

// lineWithin returns the body of an intact line at the end of a damaged one, which happens when the newline between
// them is damaged; nil if there is none.
func lineWithin(line []byte) []byte {
	for i := 1; i+crcDigits < len(line); i++ {
		if line[i+crcDigits] != ' ' || bytes.IndexByte(line[i:i+crcDigits], ' ') >= 0 {
			continue
		}
		if body, ok := checkLine(line[i:]); ok {
			return body
		}
	}
	return nil
}

func appendLine(dst, body []byte) []byte {
	dst = fmt.Appendf(dst, "%08x ", crc32.Checksum(body, castagnoli))
	return append(append(dst, body...), '\n')
}

// FormatLines returns the content of a file of Lines with these bodies.
func FormatLines(header string, bodies ...[]byte) []byte {
	data := append([]byte(header), '\n')
	for _, body := range bodies {
		data = appendLine(data, body)
	}
	return data
}

// ParseLines is ReadLines for data from elsewhere; name is for messages.
func ParseLines(name, header string, data []byte, take func(body []byte) error) (damaged int, err error) {
	damaged, _, err = parseLines(name, header, data, take)
	return damaged, err
}

// AppendLines appends lines to the file name in d, which is made if it is missing, and syncs it. It is for files of
// Lines that nobody has open.
func AppendLines(d *Dir, name, header string, bodies ...[]byte) error {
	f, begun, err := AddLines(d, name, header, bodies...)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil || begun {
		return err
	}
	return d.Sync()
}

// AppendHints is AppendLines for lines that may be lost: nothing is synced.
func AppendHints(d *Dir, name, header string, bodies ...[]byte) error {
	f, _, err := AddLines(d, name, header, bodies...)
	if err != nil {
		return err
	}
	return f.Close()
}

// AddLines is AppendLines for lines that are synced together with those of other files. The caller syncs and closes the
// file, and syncs d too if the file was not begun.
func AddLines(d *Dir, name, header string, bodies ...[]byte) (_ *File, begun bool, err error) {
	f, err := d.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, false, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	size := info.Size()
	// end is the end of the file: all of it, if its header is incomplete.
	end := make([]byte, min(size, int64(len(header))))
	if _, err := f.ReadAt(end, size-int64(len(end))); err != nil {
		return nil, false, err
	}
	var data []byte
	begun = size > int64(len(header)) || string(end) != header[:size]
	switch {
	case !begun:
		data = append(append(data, header[size:]...), '\n')
	case end[len(end)-1] != '\n': // the last line is incomplete
		data = append(data, '\n')
	}
	for _, body := range bodies {
		data = appendLine(data, body)
	}
	if _, err := f.Write(data); err != nil {
		// Half a line would be reported as damage from now on.
		return nil, false, errors.Join(err, f.Truncate(size))
	}
	return f, begun, nil
}

// Keep writes the copy that Damage.Aside announces. Rewrite does so, too.
func (l *Lines) Keep() error {
	if l.aside == "" {
		return nil
	}
	if err := l.dir.WriteFile(l.aside, l.damaged); err != nil {
		return fmt.Errorf("keep %s as it is, because it is damaged: %w", l.path(), err)
	}
	l.damaged, l.aside = nil, ""
	return nil
}

// Rewrite replaces the file by one with these bodies, atomically and durably.
func (l *Lines) Rewrite(bodies func(yield func(body []byte) bool)) error {
	if err := l.Keep(); err != nil {
		return err
	}
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
	l.file, l.size = f, int64(len(l.buf))
	l.fresh, l.synced = l.size, l.size
	return nil
}

// Due says whether the file has to be rewritten before anything is appended: it has grown too much, or a write or sync
// has failed.
func (l *Lines) Due() bool { return l.file == nil || l.size > linesSlack+8*l.fresh }

// Append appends lines with one write; they are durable after Sync. After an error the file is Due and has only what
// was durable: whoever reads it again and appends the same lines has them once.
func (l *Lines) Append(bodies ...[]byte) error {
	if l.file == nil {
		return fmt.Errorf("append to %s: it has to be written anew after an error", l.path())
	}
	l.buf = l.buf[:0]
	for _, body := range bodies {
		l.buf = appendLine(l.buf, body)
	}
	n, err := l.file.Write(l.buf)
	l.size += int64(n)
	killpoint.Reach("lines.written")
	if err != nil {
		return errors.Join(fmt.Errorf("append to %s: %w", l.path(), err), l.takeBack())
	}
	return nil
}

// Sync makes everything that was appended survive a power cut. After an error the same holds as for Append, because a
// second sync would prove nothing.
func (l *Lines) Sync() error {
	if l.file == nil || l.synced == l.size {
		return nil
	}
	if err := l.file.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync %s: %w", l.path(), err), l.takeBack())
	}
	l.synced = l.size
	killpoint.Reach("lines.synced")
	return nil
}

// takeBack truncates the file to what is durable, and closes it.
func (l *Lines) takeBack() error { return errors.Join(l.file.Truncate(l.synced), l.close()) }

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
