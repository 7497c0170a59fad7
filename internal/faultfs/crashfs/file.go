package crashfs

// sector is the unit that a disk writes whole or torn, without touching others.
const sector = 512

// file is the bytes of a file, and which of them are durable. Sectors are kept whole: after the end of the file they
// are zeros.
type file struct {
	live   []byte             // to the end of the last sector
	size   int64              // of live
	synced []byte             // the same at the last fsync
	sizes  []int64            // since then, the one then first
	newer  map[int64][][]byte // sector → what it held since then, oldest first
	doomed map[int64]bool     // an fsync failed on the sector, and it was not written again
}

func newFile(data []byte) *file {
	f := &file{
		size: int64(len(data)), sizes: []int64{int64(len(data))},
		newer: make(map[int64][][]byte), doomed: make(map[int64]bool),
	}
	f.live = append(make([]byte, 0, roundUp(f.size)), data...)[:roundUp(f.size)]
	f.synced = append([]byte(nil), f.live...)
	return f
}

func roundUp(n int64) int64 { return (n + sector - 1) / sector * sector }

func (f *file) write(p []byte, off int64) {
	if len(p) == 0 {
		return
	}
	end := off + int64(len(p))
	if need := roundUp(end); need > int64(len(f.live)) {
		f.live = append(f.live, make([]byte, need-int64(len(f.live)))...)
	}
	copy(f.live[off:], p)
	f.touch(off, end)
	if end > f.size {
		f.size = end
		f.sizes = append(f.sizes, end)
	}
}

func (f *file) truncate(size int64) {
	if size == f.size {
		return
	}
	old := f.size
	f.size = size
	f.sizes = append(f.sizes, size)
	if size > old {
		if need := roundUp(size); need > int64(len(f.live)) {
			f.live = append(f.live, make([]byte, need-int64(len(f.live)))...)
		}
		return
	}
	clear(f.live[size:])
	f.touch(size, int64(len(f.live)))
	f.live = f.live[:roundUp(size)]
}

// touch records what the sectors from off to end hold now.
func (f *file) touch(off, end int64) {
	for i := off / sector; i*sector < end; i++ {
		f.newer[i] = append(f.newer[i], append([]byte(nil), f.live[i*sector:(i+1)*sector]...))
		delete(f.doomed, i)
	}
}

// sync records an fsync. What a failed one should have written stays undecided until it is written again.
func (f *file) sync(ok bool) {
	if !ok {
		for i := range f.newer {
			f.doomed[i] = true
		}
		return
	}
	if n := len(f.live) - len(f.synced); n > 0 {
		f.synced = append(f.synced, make([]byte, n)...)
	}
	f.synced = f.synced[:len(f.live)]
	for i := range f.newer {
		if f.doomed[i] {
			continue
		}
		if (i+1)*sector <= int64(len(f.live)) {
			copy(f.synced[i*sector:], f.live[i*sector:(i+1)*sector])
		}
		delete(f.newer, i)
	}
	f.sizes = append(f.sizes[:0], f.size)
}

// Names says which of the changes of names that were not durable are kept.
type Names int

// The ways.
const (
	NoNames  Names = iota // none
	AllNames              // all
	Ordered               // those up to one moment
	Subset                // each or not
)

// Bytes says which of the sectors that were not durable are kept.
type Bytes int

// The ways.
const (
	NoBytes   Bytes = iota // none: sectors and sizes are as at the last fsync
	AllBytes               // all, as the page cache has them
	SomeBytes              // each as it may be
)

// image returns what the disk may have of f. choose(n) returns a number below n.
func (f *file) image(how Bytes, choose func(n int) int) []byte {
	switch how {
	case NoBytes:
		return f.synced[:min(f.sizes[0], int64(len(f.synced)))]
	case AllBytes:
		return f.live[:f.size]
	}
	size := f.chooseSize(choose)
	data := make([]byte, roundUp(size))
	copy(data, f.synced)
	for i := int64(0); i*sector < size; i++ {
		versions := f.newer[i]
		if len(versions) == 0 {
			continue
		}
		at := data[i*sector : (i+1)*sector]
		switch n := choose(len(versions) + 3); {
		case n < len(versions): // as after one of the writes
			copy(at, versions[n])
		case n == len(versions): // as at the last fsync
		case n == len(versions)+1: // torn
			k := choose(len(versions))
			if k > 0 {
				copy(at, versions[k-1])
			}
			copy(at[:choose(sector)], versions[k])
		case (i+1)*sector > int64(len(f.synced)): // taken for the file, never filled
			clear(at)
		default:
			copy(at, versions[len(versions)-1])
		}
	}
	return data[:size]
}

// chooseSize returns a size that the file may have.
func (f *file) chooseSize(choose func(n int) int) int64 {
	smallest, largest := f.sizes[0], f.sizes[0]
	for _, s := range f.sizes {
		smallest, largest = min(smallest, s), max(largest, s)
	}
	from := roundUp(smallest) / sector
	n := choose(len(f.sizes) + int(max(0, largest/sector-from+1)))
	if n < len(f.sizes) {
		return f.sizes[n]
	}
	return (from + int64(n-len(f.sizes))) * sector
}
