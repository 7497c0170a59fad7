package rotate

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"time"

	"inkwell/internal/faultfs"
)

// file is the file of a series that is being written. Its Mark says how far it is good.
type file struct {
	Mark
	codec   Codec
	f       *faultfs.File
	until   time.Time // when the clock ends it; zero: never
	seek    bool      // zstd: it ends with a seek table
	visible bool      // it has its final name already
	dirty   bool      // since the last fsync
	ragged  bool      // there may be bytes behind the good ones
	end     int64     // of what was written last
	summed  int64     // Bytes for which Tail is right; 0: for none
	cached  int64     // Bytes when the page cache was dropped
}

// create makes a new file under its hidden name.
func create(dir *faultfs.Dir, m Mark, c Codec) (*file, error) {
	f, err := dir.OpenFile(Hidden(m.File), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return nil, err
	}
	return &file{Mark: m, codec: c, f: f}, nil
}

// sizeWith is how long the file would be if it were sealed with b.
func (w *file) sizeWith(b Block) int64 {
	size := w.Bytes + int64(len(b.data))
	if w.codec == Zstd && !w.seek {
		return size
	}
	return size + tailSize(w.codec, w.Blocks+b.count)
}

// append writes a block. On error the file is cut back.
func (w *file) append(b Block) error {
	if err := w.trim(); err != nil {
		return err
	}
	var head []byte
	if w.Bytes == 0 && w.codec == Gzip {
		head = gzipHeader[:]
	}
	if err := w.write(head, b.data); err != nil {
		return err
	}
	w.Bytes += int64(len(head) + len(b.data))
	w.sumTail(head, b.data)
	w.Raw += b.raw
	w.Blocks += b.count
	if w.codec == Gzip {
		w.CRC = JoinCRC(w.CRC, b.crc, b.raw)
	}
	return nil
}

// sumTail computes Tail of what was just written, unless it would have to read the file for that.
func (w *file) sumTail(head, data []byte) {
	switch {
	case len(data) >= tailBytes:
		w.Tail = crc32.Checksum(data[len(data)-tailBytes:], castagnoli)
	case w.Bytes <= tailBytes && w.Bytes == int64(len(head)+len(data)):
		w.Tail = crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, data)
	default:
		return
	}
	w.summed = w.Bytes
}

// finish writes the end of the format. On error, but for a *tableError, the file is cut back to what it was. The end
// does not count as good: the Mark stays as it is.
func (w *file) finish() error {
	if err := w.trim(); err != nil {
		return err
	}
	var (
		tail     []byte
		tableErr error
	)
	switch w.codec {
	case Gzip:
		if w.Bytes == 0 { // as when nothing of a damaged file can be read
			tail = gzipHeader[:]
		}
		tail = appendGzipTail(slices.Clip(tail), w.CRC, w.Raw)
	case Zstd:
		if !w.seek {
			return nil
		}
		if tail, tableErr = seekTable(w.f, w.Mark); tableErr != nil {
			tableErr = &tableError{tableErr}
		}
	}
	if err := w.write(tail); err != nil {
		return err
	}
	return tableErr
}

// write writes parts behind the good bytes, with one system call; on error it cuts off what was written.
func (w *file) write(parts ...[]byte) error {
	parts = slices.DeleteFunc(parts, func(p []byte) bool { return len(p) == 0 })
	if len(parts) == 0 {
		return nil
	}
	w.dirty, w.ragged = true, true
	n, err := w.f.Writev(parts, w.Bytes)
	if err != nil {
		return errors.Join(err, w.trim())
	}
	w.ragged, w.end = false, w.Bytes+n
	return nil
}

// trim cuts the file back to its good bytes.
func (w *file) trim() error {
	if !w.ragged {
		return nil
	}
	if err := w.f.Truncate(w.Bytes); err != nil {
		return fmt.Errorf("cut back to %d bytes: %w", w.Bytes, err)
	}
	w.ragged = false
	return nil
}

// dropBytes is how much a file grows before what is durable of it leaves the page cache.
const dropBytes = 1 << 20

// sync makes the good bytes durable, or leaves that to later.
func (w *file) sync(later *faultfs.Later) (err error) {
	if err := later.Sync(w.f); err != nil {
		return err
	}
	w.dirty = false
	if w.summed != w.Bytes {
		if w.Tail, err = TailSum(w.f, w.Bytes); err != nil {
			return err
		}
		w.summed = w.Bytes
	}
	if w.Bytes-w.cached >= dropBytes {
		w.f.DropCache() // of what is synced; the rest follows
		w.cached = w.Bytes
	}
	return nil
}
