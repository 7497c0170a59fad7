package forwarder

// checkpoint is how far a file was taken over, and what it held there.
type checkpoint struct {
	offset int64
	head   fingerprint // of the file's first bytes
	tail   fingerprint // of the bytes before offset
}

func (p *position) checkpoint() checkpoint {
	return checkpoint{offset: p.offset, head: p.head, tail: p.tail}
}

// isIn says whether the file holds what was taken over of it.
func (p checkpoint) isIn(fd int, l look) (bool, error) {
	if l.size < p.offset {
		return false, nil
	}
	head, err := p.head.isAt(fd, 0)
	if err != nil || !head {
		return false, err
	}
	return p.tail.isAt(fd, p.offset-int64(p.tail.n))
}

// nearby is how many bytes are not worth a place: what is read again then is little, and two files that begin alike are
// not taken for the same.
const nearby = 16 << 10

// past is the older places of a file, oldest first: where reading can go on when a power cut took the end of the file.
// Only so many are kept that the distance between two is no more than that from the newer one to the newest place of
// all, or nearby, unless a single batch lay between them. So no more bytes are read again than were lost, or nearby and
// a batch; and the places are few: two places back the distance from the newest has doubled.
type past []checkpoint

// add puts before, the place until now, among those that are older than offset.
func (p past) add(before checkpoint, offset int64) past {
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

// thin leaves out what is not needed now that the newest place is at offset.
func (p past) thin(offset int64) past {
	newer, kept := offset, len(p)
	for i := len(p) - 1; i >= 0; i-- {
		older := int64(0) // the beginning is a place that every file has
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

// find returns the newest place that the file holds; none = the beginning.
func (p past) find(fd int, l look) (found checkpoint, err error) {
	for i := len(p) - 1; i >= 0; i-- {
		if ok, err := p[i].isIn(fd, l); ok || err != nil {
			return p[i], err
		}
	}
	return checkpoint{}, nil
}
