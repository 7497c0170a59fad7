package forwarder

import "hash/crc64"

// checkpoint is an offset up to which a file was acknowledged, with fingerprints by which the file can be recognized.
type checkpoint struct {
	offset int64
	head   fingerprint // of the file's first bytes
	tail   fingerprint // of the bytes before offset
}

func (p *position) checkpoint() checkpoint {
	return checkpoint{offset: p.offset, head: p.head, tail: p.tail}
}

// isIn says whether the file holds what was read of it up to the checkpoint.
func (p checkpoint) isIn(fd int, l stat) (bool, error) {
	if l.size < p.offset {
		return false, nil
	}
	head, err := p.head.isAt(fd, 0)
	if err != nil || !head {
		return false, err
	}
	return p.tail.isAt(fd, p.offset-int64(p.tail.n))
}

// nearby is the number of bytes below which a checkpoint is not worth keeping: little would be read again, and files
// that begin alike are not taken for the same.
const nearby = 16 << 10

// history is the older checkpoints of a file, oldest first. Reading goes on at one of them when a power cut took the
// end of the file.
//
// The further back, the fewer are kept. The distance between two neighbours is at most the distance from the newer one
// to the current position, or nearby if that is more, unless a single batch was larger. Example: at position 1 MiB,
// checkpoints near 512 KiB, 768 KiB, 896 KiB and so on are enough. So at most as many bytes are read again as were
// lost, or nearby plus one batch, while the number of checkpoints grows only with the logarithm of the file's size.
type history []checkpoint

// add appends before, the checkpoint so far, now that the position is at offset.
func (p history) add(before checkpoint, offset int64) history {
	switch {
	case before.offset >= nearby && before.offset < offset:
		p = append(p, before)
	case before.offset > offset: // the file is read again from there
		for len(p) > 0 && p[len(p)-1].offset >= offset {
			p = p[:len(p)-1]
		}
	}
	return p.thin(offset)
}

// thin drops the checkpoints that are not needed when the position is at offset.
func (p history) thin(offset int64) history {
	newer, kept := offset, len(p)
	for i := len(p) - 1; i >= 0; i-- {
		older := int64(0) // the start of a file is always a checkpoint
		if i > 0 {
			older = p[i-1].offset
		}
		if newer-older <= max(offset-newer, nearby) {
			continue
		}
		kept--
		p[kept], newer = p[i], p[i].offset
	}
	n := copy(p, p[kept:])
	return p[:n]
}

// find returns the newest checkpoint that matches the file. The zero checkpoint, the start of the file, means that none
// does.
func (p history) find(fd int, l stat) (found checkpoint, err error) {
	for i := len(p) - 1; i >= 0; i-- {
		if ok, err := p[i].isIn(fd, l); ok || err != nil {
			return p[i], err
		}
	}
	return checkpoint{}, nil
}

// printMax is the most bytes that a fingerprint covers.
const printMax = 1024

var printTable = crc64.MakeTable(crc64.ECMA)

// fingerprint is the length and the hash of up to printMax bytes at a known offset of a file.
type fingerprint struct {
	n   int
	sum uint64
}

func printOf(b []byte) fingerprint { return fingerprint{len(b), crc64.Checksum(b, printTable)} }

// grow extends the fingerprint by the bytes that follow those already covered, up to printMax.
func (p fingerprint) grow(b []byte) fingerprint {
	b = b[:min(len(b), printMax-p.n)]
	return fingerprint{p.n + len(b), crc64.Update(p.sum, printTable, b)}
}

// isAt says whether the file has the bytes of p at offset off.
func (p fingerprint) isAt(fd int, off int64) (bool, error) {
	if p.n == 0 {
		return true, nil
	}
	if off < 0 {
		return false, nil
	}
	buf := make([]byte, p.n)
	n, err := readAt(fd, buf, off)
	return err == nil && n == p.n && printOf(buf) == p, err
}
