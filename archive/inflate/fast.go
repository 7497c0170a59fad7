package inflate

import "encoding/binary"

// fast decodes while at least 32 bytes of input and Room bytes of room are left. end says that the block has ended.
//
// A refill gives at least 56 bits. That is enough for two literals of the first table (22) and a length with its extra
// bits (20); another refill is enough for a distance with its extra bits (28).
func (d *Decoder) fast() (end bool, err error) {
	src, pos, bits, left := d.src, d.pos, d.bits, uint(d.left)
	out, at := d.out[:cap(d.out)], len(d.out)
	stop := min(cap(d.out), d.most) - Room
	for pos+32 <= len(src) && at <= stop {
		pos, bits, left = refilled(src, pos, bits, left)
		e := d.litlen[bits&(1<<litlenBits-1)]
		if e&isLiteral != 0 {
			bits, left = bits>>(e&31), left-uint(e&31)
			out[at] = byte(e >> 16)
			at++
			e = d.litlen[bits&(1<<litlenBits-1)]
			if e&isLiteral != 0 {
				bits, left = bits>>(e&31), left-uint(e&31)
				out[at] = byte(e >> 16)
				at++
				e = d.litlen[bits&(1<<litlenBits-1)]
			}
		}
		if e&isSub != 0 {
			bits, left = bits>>litlenBits, left-litlenBits
			e = d.litlen[uint(e>>16&0xfff)+uint(bits&(1<<(e>>8&15)-1))]
		}
		bits, left = bits>>(e&31), left-uint(e&31)
		if e&isLiteral != 0 {
			out[at] = byte(e >> 16)
			at++
			continue
		}
		if e&(isEnd|isBad) != 0 {
			if end = e&isEnd != 0; !end {
				err = ErrCorrupt
			}
			break
		}
		extra := uint(e >> 8 & 15)
		length := int(e>>16&0x1ff) + int(bits&(1<<extra-1))
		bits, left = bits>>extra, left-extra

		pos, bits, left = refilled(src, pos, bits, left)
		e = d.dist[bits&(1<<distBits-1)]
		if e&isSub != 0 {
			bits, left = bits>>distBits, left-distBits
			e = d.dist[uint(e>>16&0xfff)+uint(bits&(1<<(e>>8&15)-1))]
		}
		bits, left = bits>>(e&31), left-uint(e&31)
		extra = uint(e >> 8 & 15)
		far := int(e>>16) + int(bits&(1<<extra-1))
		bits, left = bits>>extra, left-extra
		if e&isBad != 0 || far > at-d.history {
			err = ErrCorrupt
			break
		}
		copyMatch(out, at, far, length)
		at += length
	}
	d.pos, d.left, d.bits = pos, int(left), bits&(1<<(left&63)-1)
	d.out = d.out[:at]
	return end, err
}

// refilled collects bits; there are at least 56 afterwards.
func refilled(src []byte, pos int, bits uint64, left uint) (int, uint64, uint) {
	bits |= binary.LittleEndian.Uint64(src[pos:]) << (left & 63)
	return pos + int((63-left)>>3), bits, left | 56
}

// copyMatch copies length bytes from far bytes before. It may overwrite up to 15 bytes after them, for which out has
// room.
func copyMatch(out []byte, at, far, length int) {
	from := at - far
	switch {
	case far >= 8:
		binary.LittleEndian.PutUint64(out[at:], binary.LittleEndian.Uint64(out[from:]))
		binary.LittleEndian.PutUint64(out[at+8:], binary.LittleEndian.Uint64(out[from+8:]))
		for k := 16; k < length; k += 8 {
			binary.LittleEndian.PutUint64(out[at+k:], binary.LittleEndian.Uint64(out[from+k:]))
		}
	case far == 1:
		word := uint64(out[from]) * 0x0101010101010101
		for k := 0; k < length; k += 8 {
			binary.LittleEndian.PutUint64(out[at+k:], word)
		}
	default:
		for k := range length {
			out[at+k] = out[from+k]
		}
	}
}
