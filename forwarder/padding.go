package forwarder

import (
	"bytes"
	"errors"

	"golang.org/x/sys/unix"

	"inkwell/forwarder/lines"
	"inkwell/forwarder/packed"
)

// Padding is a run of NULs that nobody wrote as part of a line. A file that was preallocated or mapped into memory ends
// with padding until its lines are written. A hole reads as NULs, too: a writer without O_APPEND leaves one when it
// goes on at its old offset after a truncation. Padding at the end of a file is no content yet. Padding that is
// followed by content is skipped, and ends the line before it.
//
// Padding is told from NULs within a line by its shape: it is long and reaches the end of a file system block, or the
// end of the file. Only those ends are checked, so that files without NULs cost nothing.
const (
	blockSize  = 4096
	paddingMin = 16 // bytes; UTF-16 and UTF-32 have fewer in a row
)

// content returns how many bytes of data, which begins at offset off of a file, precede padding. The bytes before index
// from were read earlier. atEnd says that data ends where the file does.
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

// paddingBefore returns where the NULs begin that end at index end, but not before from, and whether they are padding.
func paddingBefore(data []byte, from, end int) (at int, is bool) {
	if end <= from || data[end-1] != 0 {
		return end, false
	}
	at = from + len(bytes.TrimRight(data[from:end], "\x00"))
	return at, end-at >= paddingMin
}

// behindPadding returns the offset of the content that follows the padding at off, -1 if there is none. buf is used for
// reading.
func (g *generation) behindPadding(off int64, buf []byte) (int64, error) {
	for {
		data, err := unix.Seek(g.fd, off, unix.SEEK_DATA)
		switch {
		case g.content != nil: // it has no holes
		case errors.Is(err, unix.ENXIO):
			return -1, nil
		case err == nil:
			off = data
		} // other errors: the file system does not support SEEK_DATA, so everything is read
		n, err := g.readAt(buf, off)
		if errors.Is(err, packed.ErrLater) {
			continue
		}
		if err != nil || n == 0 {
			return -1, err
		}
		if at := n - len(bytes.TrimLeft(buf[:n], "\x00")); at < n {
			return off + int64(at), nil
		}
		off += int64(n)
	}
}

// passPadding skips the padding that follows data, and takes the messages that it ends. data begins with the bytes that
// the tail covers. more says whether content follows.
func (v *volume) passPadding(g *generation, code lines.Encoding, data []byte) (more bool, err error) {
	rest := len(data) - g.tail.n
	g.scanned = int64(rest)
	start := g.end()
	data = bytes.Clone(data) // behindPadding overwrites the buffer
	next, err := g.behindPadding(start, v.buf)
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
	if _, err := g.readAt(tail, next-int64(len(tail))); err != nil {
		return false, err
	}
	v.count.holes.Add(next - start)
	g.offset, g.tail, g.scanned, g.held, g.ahead, g.broken = next, printOf(tail), 0, 0, 0, false
	v.note(g)
	return true, nil
}

// isPadded says whether there still is nothing but padding after the content of g.
func (v *volume) isPadded(g *generation) bool {
	var b [blockSize]byte
	n, err := g.readAt(b[:], g.end())
	return err == nil && len(bytes.TrimLeft(b[:n], "\x00")) == 0
}
