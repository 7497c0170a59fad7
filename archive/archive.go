// Package archive reads what a collector has written: the files of a category in their order, all cores at once, from
// any place on.
//
//	File ─► split ─► units: blocks that stand behind each other ─► decoded beside each other ─► Reader.Next, in order ─► Lines ─► Ordered
//	          ▲ index, or else the flush markers (gzip), frame headers (zstd), bytes (none)
//
// The blocks of a file are found without a list: a gzip block of ours ends with the marker of a sync flush, a zstd
// frame begins with its header. Whether a place that looks like one is one is told by decoding: a unit counts when it
// decodes to its last byte. The index beside the file (store/index) lets a Reader pass over blocks, and is not believed
// either: lengths and sums are compared, and an index that is wrong is dropped.
//
// Damage costs its block: the Reader goes on with the next one, and tells what is lost. Files that others wrote, of
// many members or without blocks, are read as streams.
//
// Limitations: a stream is decoded on one core. A flipped bit in a gzip block without an index can pass unseen until
// the end of the file, where the checksum tells that there is one, and not where.
package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"inkwell/rotate"
)

// File is a file of output, whoever wrote it.
type File struct {
	Path  string // where it was found
	Codec rotate.Codec
	Open  bool  // it was being written when it was found
	Size  int64 // bytes, when it was found
}

// Final is the path that the file has when it is finished.
func (f File) Final() string {
	dir, name := filepath.Split(f.Path)
	if bare, ok := strings.CutSuffix(name, ".open"); ok && f.Open {
		name = strings.TrimPrefix(bare, ".")
	}
	return dir + name
}

// Name is the final name of the file in its directory.
func (f File) Name() string { return filepath.Base(f.Final()) }

// open opens f, which can have been finished since it was found; then it is not open any more.
func (f *File) open() (*os.File, error) {
	file, err := os.Open(f.Path)
	if errors.Is(err, fs.ErrNotExist) && f.Final() != f.Path {
		final := File{Path: f.Final(), Codec: f.Codec}
		if file, err = os.Open(final.Path); err == nil {
			*f = final
		}
	}
	return file, err
}

// Single is a file that somebody named, whose codec its first bytes tell.
func Single(path string) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return File{}, err
	}
	if !st.Mode().IsRegular() {
		return File{}, fmt.Errorf("%s is no file: name a file, or the directory of a category", path)
	}
	var magic [4]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return File{}, fmt.Errorf("read %s: %w", path, err)
	}
	return File{Path: path, Codec: codecOf(magic), Open: strings.HasSuffix(path, ".open") || strings.HasSuffix(path, ".orphan"), Size: st.Size()}, nil
}

// codecOf knows gzip members, zstd frames and zstd's skippable frames by how they begin.
func codecOf(magic [4]byte) rotate.Codec {
	switch {
	case magic[0] == 0x1f && magic[1] == 0x8b:
		return rotate.Gzip
	case magic == [4]byte{0x28, 0xb5, 0x2f, 0xfd}, magic[0]>>4 == 5 && [3]byte(magic[1:]) == [3]byte{0x2a, 0x4d, 0x18}:
		return rotate.Zstd
	}
	return rotate.None
}

// Chunk is decoded bytes of a file.
type Chunk struct {
	File  *File
	Data  []byte    // memory of its own
	Raw   int64     // offset of Data in the content of the file; -1: not known, behind damage
	First time.Time // when the first of its entries came in; zero = not known
	Last  time.Time // none of its entries came in later; zero = not known

	Offset, Length int64  // where it stands in the file, whole blocks; no Length: it is of a stream
	Sum            uint32 // CRC-32 of Data; gzip only
}

// Damage is a part of a file that cannot be read.
type Damage struct {
	Path    string
	Offset  int64 // where it begins in the file
	Length  int64 // bytes of the file; 0: it is not known where it is, or it goes to the end
	Entries int64 // that are lost; -1 = not known
	Err     error
}

func (d *Damage) Error() string {
	text := fmt.Sprintf("%s: %v at byte %d", d.Path, d.Err, d.Offset)
	if d.Length > 0 {
		text += fmt.Sprintf(", %d bytes", d.Length)
	}
	switch {
	case d.Entries == 1:
		return text + ": 1 entry is lost"
	case d.Entries >= 0:
		return text + fmt.Sprintf(": %d entries are lost", d.Entries)
	}
	return text + ": what stood there is lost"
}

// Unwrap returns the cause.
func (d *Damage) Unwrap() error { return d.Err }
