// Package archive reads what a collector has written: the files of a category in their order, on all cores, beginning
// at any block.
//
//	File ─► split ─► units of adjacent blocks ─► decoded in parallel ─► Reader.Next, in order ─► Lines ─► Ordered
//	          ▲ index, or else the flush markers (gzip), frame headers (zstd), bytes (none)
//
// The blocks of a file are found without an index: a gzip block of Inkwell ends with the marker of a sync flush, a zstd
// frame begins with its header. Whether something that looks like a marker is one shows when the unit is decoded: a
// unit is accepted only if it decodes up to its last byte. The index beside the file (store/index) lets a Reader skip
// blocks. It is not trusted: lengths and checksums are compared, and a wrong index is dropped.
//
// Damage costs the block that it is in: the Reader continues with the next one, and reports what is lost. Files from
// other programs, with many members or without blocks, are read as streams.
//
// Limitations: a stream is decoded on one core. A flipped bit in a gzip block without an index can remain undetected
// until the end of the file, where the checksum shows that there is one, but not where.
package archive

import (
	"context"
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

// File is an output file, whichever program wrote it.
type File struct {
	Path  string // where it was found
	Codec rotate.Codec
	Open  bool  // it was still being written when it was found
	Size  int64 // bytes, when it was found

	in     *place  // of a depot; nil = it is in the file system
	object string  // its name in the depot
	copies *copies // what is left out; nil = nothing (see Query.Once)
}

// Final is the path that the file has once it is finished.
func (f File) Final() string {
	dir, name := filepath.Split(f.Path)
	if bare, ok := strings.CutSuffix(name, ".open"); ok && f.Open {
		name = strings.TrimPrefix(bare, ".")
	}
	return dir + name
}

// Home is the directory of its series, of which it may be in a partition.
func (f File) Home() string { return rotate.Home(filepath.Dir(f.Path)) }

// key tells the file apart, whether it is finished or not.
func (f File) key() string {
	if f.in != nil {
		return f.Path
	}
	return filepath.Join(f.Home(), f.Name())
}

// finals are the paths that an open file can have once it is finished: beside the open one, or in its partition.
func (f File) finals() []string {
	final := f.Final()
	partition := rotate.Partition(f.Name())
	if !f.Open || partition == "" {
		return []string{final}
	}
	return []string{final, filepath.Join(filepath.Dir(final), partition, f.Name())}
}

// Name is the final name of the file in its directory.
func (f File) Name() string { return filepath.Base(f.Final()) }

// source is the bytes of a file.
type source interface {
	io.ReaderAt
	io.Closer
}

// open opens f, which can have been finished since it was found; then it is not open any more. The size is that of now.
func (f *File) open(ctx context.Context) (src source, size int64, err error) {
	if f.in != nil {
		return newRanges(ctx, f), f.Size, nil
	}
	file, err := f.openLocal()
	if err != nil {
		return nil, 0, err
	}
	st, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, st.Size(), nil
}

func (f *File) openLocal() (*os.File, error) {
	file, err := os.Open(f.Path)
	for _, path := range f.finals() {
		if !errors.Is(err, fs.ErrNotExist) || path == f.Path {
			break
		}
		if file, err = os.Open(path); err == nil {
			*f = File{Path: path, Codec: f.Codec}
		}
	}
	return file, err
}

// Single describes a file that the user has named. Its first bytes tell the codec, and its name if they are neither
// compressed nor text.
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
	head := make([]byte, 32)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return File{}, fmt.Errorf("read %s: %w", path, err)
	}
	for _, o := range others {
		if strings.HasPrefix(string(head[:n]), o.begins) {
			return File{}, fmt.Errorf("%s is %s, which is not read here (%s %s | grep …)", path, o.what, o.reader, path)
		}
	}
	codec := codecOf([4]byte(head))
	if codec == rotate.None && n > 0 && !isText(head[:n]) { // the name tells: its beginning is damaged
		codec = map[string]rotate.Codec{".gz": rotate.Gzip, ".zst": rotate.Zstd}[filepath.Ext(path)]
	}
	open := strings.HasSuffix(path, ".open") || strings.HasSuffix(path, ".orphan")
	return File{Path: path, Codec: codec, Open: open, Size: st.Size()}, nil
}

// others are the first bytes of files of other kinds, and the programs that read those.
var others = []struct{ begins, what, reader string }{
	{"BZh91AY&SY", "compressed by bzip2", "bzcat"}, {"\xfd7zXZ\x00", "compressed by xz", "xzcat"},
	{"\x04\x22\x4d\x18", "compressed by lz4", "lz4cat"}, {"PK\x03\x04", "a zip archive", "unzip -p"},
	{"Salted__", "encrypted by openssl", "openssl enc -d … -in"}, {"-----BEGIN PGP MESSAGE-----", "encrypted", "gpg -d"},
}

// codecOf recognizes gzip members, zstd frames and zstd's skippable frames by their first bytes.
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
	Data  []byte    // not shared with other chunks
	Raw   int64     // offset of Data in the content of the file; -1 = unknown, after damage
	First time.Time // when the first of its entries was received; zero = unknown
	Last  time.Time // no entry was received later; zero = unknown

	Offset, Length int64  // its blocks in the file; Length is 0 if it is from a stream
	Sum            uint32 // CRC-32 of Data; gzip only
}

// Damage is a part of a file that cannot be read.
type Damage struct {
	Path    string
	Offset  int64 // where it begins in the file
	Length  int64 // bytes of the file; 0 = unknown, or up to the end
	Entries int64 // that are lost; -1 = unknown
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
