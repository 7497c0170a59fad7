// Package packed reads the content of compressed files: gzip, zstd, bzip2, xz, and zip archives with one file in them.
//
// A File is read at offsets of its content that mostly rise, as the follower does: the bytes from the last offset on
// are kept, so that an incomplete line at the end of a chunk is not decompressed again. Reading at a lower offset
// begins again at the start of the file.
//
// Work is done in slices: a call that has decompressed for Slice without reaching what was asked for returns ErrLater,
// and the next call goes on there. So one goroutine can read large compressed files and others in turn.
//
// Memory is bounded: by the bytes asked for in one call, and by the window of the format, of which more than MaxWindow
// is refused.
package packed

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Slice is how long a call decompresses before it returns ErrLater.
const Slice = 10 * time.Millisecond

// MaxWindow is the largest window that is accepted, in bytes: that of xz -9 is 64 MiB, that of zstd -19 is 8 MiB, and
// that of zstd --long is 128 MiB.
const MaxWindow = 128 << 20

var (
	// ErrLater says that there is more to decompress before the bytes that were asked for.
	ErrLater = errors.New("the content has to be decompressed further")
	// ErrCut says that the file ends before its content does: the compression is still running, or was broken off.
	ErrCut = errors.New("the compressed file ends too early")
)

// Kind is the format of a compressed file.
type Kind byte

// Other is a compressed format that cannot be read: lz4, compress, archives.
const (
	None Kind = iota
	Gzip
	Zstd
	Bzip2
	Xz
	Zip
	Other
)

var magics = []struct {
	kind  Kind
	bytes string
}{
	{Gzip, "\x1f\x8b\x08"}, {Zstd, "\x28\xb5\x2f\xfd"}, {Bzip2, "BZh"}, {Xz, "\xfd7zXZ\x00"}, {Zip, "PK\x03\x04"},
	{Other, "\x04\x22\x4d\x18"}, {Other, "\x1f\x9d"}, {Other, "\x1f\x8b"},
}

// Detect tells the format by the first bytes of a file. None means that it is not compressed.
func Detect(head []byte) Kind {
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.bytes)) {
			return m.kind
		}
	}
	return None
}

// File is the content of a compressed file. Not safe for concurrent use.
type File struct {
	source  source
	kind    Kind
	decoder io.Reader
	buf     []byte // the content from offset low on …
	low     int64
	err     error // … which ends with this; io.EOF = the content ends there
}

// New returns the content of a file of that kind. The caller closes the file after the File.
func New(file io.ReaderAt, kind Kind, size int64) *File {
	return &File{source: source{file: file, size: size}, kind: kind}
}

// Close releases the memory of the decompressor.
func (f *File) Close() {
	if z, ok := f.decoder.(*zstd.Decoder); ok {
		z.Close()
	}
	f.decoder, f.buf = nil, nil
}

// ReadAt fills p with the content at offset off. Fewer bytes without an error mean that the content ends there. After
// ErrLater nothing was read, and the call is to be made again. Other errors say that the content cannot be read
// further: n is how many bytes there are before that.
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	if f.decoder == nil && f.err == nil || off < f.low {
		f.restart()
	}
	deadline := time.Now().Add(Slice)
	for f.err == nil && f.end() < off+int64(len(p)) {
		f.forget(off)
		f.decode(min(off+int64(len(p))-f.end(), step))
		if f.err == nil && f.end() < off+int64(len(p)) && time.Now().After(deadline) {
			return 0, ErrLater
		}
	}
	f.forget(off)
	if off >= f.low {
		n = copy(p, f.buf[min(off-f.low, int64(len(f.buf))):])
	}
	if n == len(p) || errors.Is(f.err, io.EOF) {
		return n, nil
	}
	return n, f.err
}

// step is how many bytes are decompressed between two looks at the clock.
const step = 64 << 10

// end is the offset up to which the content was decompressed.
func (f *File) end() int64 { return f.low + int64(len(f.buf)) }

// forget drops the content before off.
func (f *File) forget(off int64) {
	n := min(off-f.low, int64(len(f.buf)))
	if n <= 0 {
		return
	}
	f.buf = f.buf[:copy(f.buf, f.buf[n:])]
	f.low += n
}

// decode appends n bytes to the buffer, or fewer and sets f.err.
func (f *File) decode(n int64) {
	at := len(f.buf)
	if free := int64(cap(f.buf) - at); free < n {
		f.buf = append(make([]byte, 0, int64(at)+max(n, step)), f.buf...)
	}
	f.buf = f.buf[:int64(at)+n]
	for at < len(f.buf) && f.err == nil {
		got, err := f.decoder.Read(f.buf[at:])
		at += got
		f.err = f.judge(err)
	}
	f.buf = f.buf[:at]
}

// judge makes an error of the decompressor one of ours.
func (f *File) judge(err error) error {
	switch {
	case err == nil, err == io.EOF:
		return err
	case f.source.err != nil:
		return f.source.err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ErrCut
	}
	return fmt.Errorf("decompress: %w", err)
}

// restart begins at the start of the file.
func (f *File) restart() {
	f.source.at, f.source.err = 0, nil
	f.low, f.buf, f.err = 0, f.buf[:0], nil
	decoder, err := f.open()
	if err == io.EOF { // not even the header is there
		err = io.ErrUnexpectedEOF
	}
	f.err = f.judge(err)
	if err == nil {
		f.decoder = decoder
	}
}

// open begins to decompress the file.
func (f *File) open() (io.Reader, error) {
	if f.source.size == 0 {
		return nil, io.EOF
	}
	in := bufio.NewReaderSize(&f.source, 32<<10)
	switch f.kind {
	case Gzip:
		if z, ok := f.decoder.(*gzip.Reader); ok {
			return z, z.Reset(in)
		}
		return gzip.NewReader(in)
	case Zstd:
		if z, ok := f.decoder.(*zstd.Decoder); ok {
			return z, z.Reset(in)
		}
		return zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(MaxWindow))
	case Bzip2:
		return bzip2.NewReader(in), nil
	case Xz:
		if err := checkXz(f.source.file); err != nil {
			return nil, err
		}
		return xz.NewReader(in)
	case Zip:
		return f.openZip()
	}
	return nil, errors.New("this format cannot be read")
}

// openZip opens the only file of an archive.
func (f *File) openZip() (io.Reader, error) {
	archive, err := zip.NewReader(f.source.file, f.source.size)
	if errors.Is(err, zip.ErrFormat) { // the directory of an archive is at its end, and is written last
		return nil, io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	if len(archive.File) != 1 {
		return nil, fmt.Errorf("the archive has %d files, and not one", len(archive.File))
	}
	return archive.File[0].Open()
}

// source reads a file from its start, and remembers why it could not be read.
type source struct {
	file io.ReaderAt
	size int64
	at   int64
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.file.ReadAt(p, s.at)
	s.at += int64(n)
	switch {
	case n > 0:
		return n, nil
	case err != nil && err != io.EOF:
		s.err = err
	}
	return 0, err
}
