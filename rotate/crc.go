package rotate

// The CRC-32 of two pieces of data, one behind the other, is made of those of the pieces, so that blocks can be
// compressed in any order and written in theirs. A CRC is a remainder of polynomials over GF(2), with the coefficients
// from the highest bit down: bytes that come behind shift it, which multiplies it by a power of x. Source:
// crc32_combine of zlib.

const crcPoly = 0xedb88320

// xPowers are x to the power of 2, 4, 8 … modulo the polynomial.
var xPowers = func() (list [32]uint32) {
	p := uint32(1 << 30) // x
	for i := range list {
		p = multiply(p, p)
		list[i] = p
	}
	return list
}()

// multiply is a times b modulo the polynomial.
func multiply(a, b uint32) (product uint32) {
	for bit := uint32(1 << 31); bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ crcPoly
		} else {
			b >>= 1
		}
	}
	return product
}

// JoinCRC is the CRC-32 of what has the CRC head with size bytes behind it that have the CRC tail.
func JoinCRC(head, tail uint32, size int64) uint32 {
	shift := uint32(1 << 31) // 1
	for i := 2; size != 0; i, size = i+1, size>>1 {
		if size&1 != 0 {
			shift = multiply(xPowers[i%32], shift) // x to the power of 8 times 2^(i-2)
		}
	}
	return multiply(shift, head) ^ tail
}
