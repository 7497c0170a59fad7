package inflate

import "math/bits"

// entry is the meaning of a code in a table.
//
//	literal    isLiteral  the byte << 16                     bits of the code
//	length               base << 16     extra bits << 8      bits of the code
//	distance             base << 16     extra bits << 8      bits of the code
//	end        isEnd                                         bits of the code
//	longer     isSub     second table << 16   its bits << 8  of codes longer than the first table's bits
//	none       isBad     no code, or one that may not be used
//
// In a second table, the bits of the code do not include those that the first table has consumed.
type entry uint32

const (
	isLiteral entry = 1 << 31
	isEnd     entry = 1 << 5
	isBad     entry = 1 << 6
	isSub     entry = 1 << 7

	litlenBits = 11
	distBits   = 8
	preBits    = 7

	maxCode   = 15
	maxLitlen = 288
	maxDist   = 32

	// The largest sizes of tables for codes of up to 15 bits, computed by zlib's examples/enough.c.
	litlenEnough = 2342
	distEnough   = 402
)

// litlenBase are the entries of the 288 symbols of literals and lengths without their codes' bits; distBase those of
// the 32 of distances; preBase those of the 19 of code lengths.
var litlenBase, distBase, preBase = func() (l [maxLitlen]entry, d [maxDist]entry, p [19]entry) {
	for i := range 256 {
		l[i] = isLiteral | entry(i)<<16
	}
	l[256] = isEnd
	base := 3
	for i := 257; i < 285; i++ {
		extra := max(0, (i-257)/4-1)
		l[i] = entry(base)<<16 | entry(extra)<<8
		base += 1 << extra
	}
	l[285] = 258 << 16
	l[286], l[287] = isBad, isBad
	base = 1
	for i := range 30 {
		extra := max(0, i/2-1)
		d[i] = entry(base)<<16 | entry(extra)<<8
		base += 1 << extra
	}
	d[30], d[31] = isBad, isBad
	for i := range p {
		p[i] = entry(i) << 16
	}
	return l, d, p
}()

// alphabet is what a table is built for.
type alphabet struct {
	base  []entry // of each symbol
	first int     // bits of the first table
}

// build fills a table for codes of these lengths, 0 = not used. It fails if they do not form a complete code; a single
// code of one bit, or no code at all, is accepted.
func (d *Decoder) build(table []entry, a alphabet, lens []uint8) bool {
	var count [maxCode + 1]int
	for _, n := range lens {
		count[n]++
	}
	used := len(lens) - count[0]
	count[0] = 0
	space := 0 // of 1<<maxCode
	var offset [maxCode + 2]int
	for n := 1; n <= maxCode; n++ {
		space += count[n] << (maxCode - n)
		offset[n+1] = offset[n] + count[n]
	}
	if space != 1<<maxCode {
		if used > 1 || used == 1 && count[1] != 1 {
			return false
		}
		for i := range table[:1<<a.first] {
			table[i] = isBad | 1
		}
	}
	for s, n := range lens {
		if n > 0 {
			d.sorted[offset[n]] = uint16(s)
			offset[n]++
		}
	}
	d.fill(table, a, count)
	return true
}

// fill enters the symbols in d.sorted; count has the number of symbols of each length.
func (d *Decoder) fill(table []entry, a alphabet, count [maxCode + 1]int) {
	code, next := 0, 0
	for n := 1; n <= a.first; n++ {
		for range count[n] {
			e := a.base[d.sorted[next]] | entry(n)
			for k := reversed(code, n); k < 1<<a.first; k += 1 << n {
				table[k] = e
			}
			next++
			code++
		}
		code <<= 1
	}
	end, prefix, start, width := 1<<a.first, -1, 0, 0
	for n := a.first + 1; n <= maxCode; n++ {
		for k := range count[n] {
			r := reversed(code, n)
			if low := r & (1<<a.first - 1); low != prefix {
				prefix, start, width = low, end, n-a.first
				for space := count[n] - k; space < 1<<width && a.first+width < maxCode; {
					width++
					space = space<<1 + count[a.first+width]
				}
				end += 1 << width
				table[prefix] = isSub | entry(start)<<16 | entry(width)<<8
			}
			e := a.base[d.sorted[next]] | entry(n-a.first)
			for k := r >> a.first; k < 1<<width; k += 1 << (n - a.first) {
				table[start+k] = e
			}
			next++
			code++
		}
		code <<= 1
	}
}

func reversed(code, n int) int { return int(bits.Reverse16(uint16(code)) >> (16 - n)) }

// fixedTables builds the tables of the fixed codes.
func (d *Decoder) fixedTables() {
	for i := range maxLitlen {
		switch {
		case i < 144:
			d.lens[i] = 8
		case i < 256:
			d.lens[i] = 9
		case i < 280:
			d.lens[i] = 7
		default:
			d.lens[i] = 8
		}
	}
	for i := range maxDist {
		d.lens[maxLitlen+i] = 5
	}
	d.fixed = d.build(d.litlen[:], alphabet{litlenBase[:], litlenBits}, d.lens[:maxLitlen]) &&
		d.build(d.dist[:], alphabet{distBase[:], distBits}, d.lens[maxLitlen:])
}

// preOrder is the order of the lengths of the code length codes in a block (RFC 1951, 3.2.7).
var preOrder = [19]int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamicTables reads the tables of a block.
func (d *Decoder) dynamicTables() error {
	head, err := d.take(14)
	if err != nil {
		return err
	}
	literals, distances, codes := head&31+257, head>>5&31+1, head>>10+4
	if literals > 286 || distances > 30 {
		return ErrCorrupt
	}
	var pre [19]uint8
	for i := range codes {
		n, err := d.take(3)
		if err != nil {
			return err
		}
		pre[preOrder[i]] = uint8(n)
	}
	if !d.build(d.pre[:], alphabet{preBase[:], preBits}, pre[:]) {
		return ErrCorrupt
	}
	if pre == [19]uint8{} {
		return ErrCorrupt
	}
	if err := d.lengths(literals + distances); err != nil {
		return err
	}
	if !d.build(d.litlen[:], alphabet{litlenBase[:], litlenBits}, d.lens[:literals]) ||
		!d.build(d.dist[:], alphabet{distBase[:], distBits}, d.lens[literals:literals+distances]) {
		return ErrCorrupt
	}
	return nil
}

// lengths reads the lengths of that many codes.
func (d *Decoder) lengths(n int) error {
	for i := 0; i < n; {
		d.refill()
		e := d.lookup(d.pre[:], preBits)
		if d.left < 0 {
			return ErrShort
		}
		if e&isBad != 0 {
			return ErrCorrupt
		}
		symbol := int(e >> 16)
		if symbol < 16 {
			d.lens[i] = uint8(symbol)
			i++
			continue
		}
		var value uint8
		if symbol == 16 {
			if i == 0 {
				return ErrCorrupt
			}
			value = d.lens[i-1]
		}
		more, err := d.take([...]int{2, 3, 7}[symbol-16])
		if err != nil {
			return err
		}
		for range more + [...]int{3, 3, 11}[symbol-16] {
			if i == n {
				return ErrCorrupt
			}
			d.lens[i] = value
			i++
		}
	}
	return nil
}
