package forwarder

import (
	"bytes"
	"errors"

	"golang.org/x/sys/unix"

	"inkwell/forwarder/lines"
)

// Padding is NULs that nobody wrote as part of a line: a file that was preallocated or mapped into memory ends with
// them until its lines are there, and a hole reads as NULs (a writer that does not append goes on at its old offset
// after a truncation). Padding at the end of a file is no content yet. Padding with content behind it is passed over,
// and ends the line before it.
//
// It is told from NULs within a line by its shape: it reaches the end of a block of the file system, or of the file,
// and is long. Only those ends are looked at, so that files without NULs cost nothing.
const (
	blockSize  = 4096
	paddingMin = 16 // bytes; UTF-16 and UTF-32 have fewer in a row
)

// content returns how many bytes of data, which begins at offset off of a file, stand before padding. Bytes before from
// were read before. atEnd says that data ends where the file does.
func content(data []byte, off int64, from int, atEnd bool) int {
	for end := int(blockSize - off%blockSize); end <= len(data); end += blockSize {
		if at, is := paddingBefore(data, from, end); is {
			return at
		}
	}
	if at, is := paddingBefore(data, from, len(data)); atEnd && (is || at == from) {
		return at
	}
	return len(data)
}

// paddingBefore returns where the NULs begin that end at end, not before from, and whether they are padding.
func paddingBefore(data []byte, from, end int) (at int, is bool) {
	if end <= from || data[end-1] != 0 {
		return end, false
	}
	at = from + len(bytes.TrimRight(data[from:end], "\x00"))
	return at, end-at >= paddingMin
}

// behindPadding returns where the content begins that follows the padding at off; none = -1. buf is used to read.
func behindPadding(fd int, off int64, buf []byte) (int64, error) {
	for {
		data, err := unix.Seek(fd, off, unix.SEEK_DATA)
		switch {
		case errors.Is(err, unix.ENXIO):
			return -1, nil
		case err == nil:
			off = data
		} // other errors: the file system does not tell, and all is read
		n, err := readAt(fd, buf, off)
		if err != nil || n == 0 {
			return -1, err
		}
		if at := n - len(bytes.TrimLeft(buf[:n], "\x00")); at < n {
			return off + int64(at), nil
		}
		off += int64(n)
	}
}

// passPadding goes on behind the padding that follows data, which begins with the bytes that the tail covers, and takes
// the messages that it ends. It says whether there is content.
func (v *volume) passPadding(g *generation, code lines.Encoding, data []byte) (more bool, err error) {
	rest := len(data) - g.tail.n
	g.scanned = int64(rest)
	start := g.end()
	data = bytes.Clone(data) // the buffer is used for what follows
	next, err := behindPadding(g.fd, start, v.buf)
	if err != nil {
		return false, err
	}
	if g.padded = next < 0; g.padded || v.isFull() {
		return next >= 0, nil
	}
	if rest > 0 {
		v.take(g, code, lines.Chunk{Data: data[g.tail.n:], End: rest}, data)
		if g.offset < start { // the shipment is full
			return true, nil
		}
	}
	tail := make([]byte, min(next, printMax))
	if _, err := readAt(g.fd, tail, next-int64(len(tail))); err != nil {
		return false, err
	}
	v.count.holes.Add(next - start)
	g.offset, g.tail, g.scanned, g.held, g.ahead, g.broken = next, printOf(tail), 0, 0, 0, false
	v.note(g)
	return true, nil
}

// isPadded says whether there still is nothing but padding where the content of g ends.
func (v *volume) isPadded(g *generation) bool {
	var b [blockSize]byte
	n, err := readAt(g.fd, b[:], g.end())
	return err == nil && len(bytes.TrimLeft(b[:n], "\x00")) == 0
}
