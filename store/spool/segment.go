package spool

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
)

const (
	segmentSuffix = ".log"
	spareSuffix   = ".spare"
	tornSuffix    = ".torn"
	corruptSuffix = ".corrupt"
)

var segmentMagic = []byte("INKSPOOL")

// segment is one file of a log. It holds the logical offsets from base on: byte n of the file has the offset base+n.
type segment struct {
	base    uint64
	damaged bool // a reader found damage: the file is kept after it is acknowledged
}

func (s segment) name() string { return fmt.Sprintf("%016x%s", s.base, segmentSuffix) }

// parseSegmentName returns the base that is encoded in the file name of a segment.
func parseSegmentName(name string) (base uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	base, err := strconv.ParseUint(digits, 16, 64)
	return base, err == nil
}

// segmentsIn lists the segments in dir, ordered by base, and the names of the spare files.
func segmentsIn(dir *faultfs.Dir) (segments []segment, spares []string, err error) {
	list, err := dir.ReadDir()
	if err != nil {
		return nil, nil, err
	}
	for _, e := range list {
		if base, ok := parseSegmentName(e.Name()); ok {
			segments = append(segments, segment{base: base})
		} else if strings.HasSuffix(e.Name(), spareSuffix) {
			spares = append(spares, e.Name())
		}
	}
	slices.SortFunc(segments, func(a, b segment) int { return cmp.Compare(a.base, b.base) })
	return segments, spares, nil
}

// setAside renames a damaged segment.
func setAside(dir *faultfs.Dir, name string) error {
	aside, err := dir.FreeName(name, corruptSuffix)
	if err != nil {
		return err
	}
	return dir.Rename(name, aside)
}

// endOfAside returns the highest end of the segments that were set aside at or behind end: offsets below it may have
// been assigned.
func endOfAside(dir *faultfs.Dir, end uint64) (beyond uint64, err error) {
	names, err := asideIn(dir)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		first, _, _ := strings.Cut(name, segmentSuffix)
		base, ok := parseSegmentName(first + segmentSuffix)
		if !ok || base < end || !strings.HasSuffix(name, corruptSuffix) {
			continue
		}
		info, err := dir.Lstat(name)
		if err != nil {
			return 0, err
		}
		beyond = max(beyond, base+uint64(info.Size()))
	}
	return beyond, nil
}

// appendSegmentHeader appends the header of a segment with the given base, whose first entry has the number first.
func appendSegmentHeader(dst []byte, base, first uint64) []byte {
	start := len(dst)
	dst = append(dst, segmentMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, formatVersion)
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = binary.LittleEndian.AppendUint64(dst, base)
	dst = binary.LittleEndian.AppendUint64(dst, first)
	dst = append(dst, make([]byte, segmentHeader-4-(len(dst)-start))...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// errBadSegment says that a file does not begin with the segment header that belongs to its name.
var errBadSegment = errors.New("no segment of that name")

// VersionError says that a log has the format of another version.
type VersionError struct {
	Path    string
	Version uint32
}

// Error names the file and what to do.
func (e *VersionError) Error() string {
	return fmt.Sprintf("%s is of format version %d, this program reads version %d (use the program that wrote it, "+
		"or another directory)", e.Path, e.Version, formatVersion)
}

// readSegmentHeader checks the header of f, the segment at base, and returns the number of its first entry.
func readSegmentHeader(dir *faultfs.Dir, f io.ReaderAt, base uint64) (first uint64, err error) {
	var h [segmentHeader]byte
	if _, err := f.ReadAt(h[:], 0); err != nil {
		if errors.Is(err, io.EOF) {
			return 0, errBadSegment
		}
		return 0, err
	}
	if !bytes.Equal(h[:8], segmentMagic) {
		return 0, errBadSegment
	}
	if crc32.Checksum(h[:segmentHeader-4], castagnoli) != binary.LittleEndian.Uint32(h[segmentHeader-4:]) {
		return 0, errBadSegment
	}
	if v := binary.LittleEndian.Uint32(h[8:]); v != formatVersion {
		return 0, &VersionError{Path: filepath.Join(dir.Path(), segment{base: base}.name()), Version: v}
	}
	if binary.LittleEndian.Uint64(h[16:]) != base {
		return 0, errBadSegment
	}
	return binary.LittleEndian.Uint64(h[24:]), nil
}

// createSegment creates the segment at base and makes it and its name durable. It reuses a spare file if there is one:
// to overwrite existing blocks and cached pages costs a fraction of allocating new ones.
func createSegment(dir *faultfs.Dir, base, first uint64, spare string) (*faultfs.File, error) {
	tmp := spare
	if tmp == "" {
		tmp = segment{base: base}.name() + ".tmp"
	}
	f, err := dir.OpenFile(tmp, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	if _, err = f.WriteAt(appendSegmentHeader(nil, base, first), 0); err == nil {
		killpoint.Reach("spool.segment.written")
		err = f.Sync()
	}
	if err == nil {
		killpoint.Reach("spool.segment.synced")
		err = dir.Rename(tmp, segment{base: base}.name())
	}
	if err == nil {
		killpoint.Reach("spool.segment.renamed")
		err = dir.Sync()
	}
	killpoint.Reach("spool.segment.named")
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
