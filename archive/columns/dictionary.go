package columns

import (
	"encoding/binary"
	"hash/maphash"
	"unicode/utf8"
)

// A dictionary is given up when its values are more than these bytes, or when most of the values are different, which is
// looked at from so many different ones on.
const (
	dictionaryBytes = 1 << 20
	dictionaryTrial = 2048
)

// dictionary is the different values of a chunk, and which of them each value is.
type dictionary struct {
	plain   []byte   // the page: a text is its length, 4 bytes, and its bytes; a number has 8
	starts  []uint32 // of the values in it
	hashes  []uint32 // of the values
	indexes []int32

	last []byte // the text that was added last

	// slots finds a value by its hash: in each are the upper bits of the hash and, in the lower ones, the place of the value
	// plus one; 0 = free. Hashes are seeded: nobody who writes to a log can make them alike.
	slots []uint32
}

// placeBits is enough for the places in the largest dictionary, of texts without a byte.
const (
	placeBits = 19
	placeMask = 1<<placeBits - 1
)

var seed = maphash.MakeSeed()

// clear makes it empty.
func (d *dictionary) clear() {
	d.plain, d.starts, d.hashes, d.indexes = d.plain[:0], d.starts[:0], d.hashes[:0], d.indexes[:0]
	d.last = nil
	clear(d.slots)
}

// text is a value.
func (d *dictionary) text(k int32) []byte {
	at := d.starts[k]
	n := binary.LittleEndian.Uint32(d.plain[at:])
	return d.plain[at+4:][:n:n]
}

// number is a value.
func (d *dictionary) number(k int32) int64 {
	return int64(binary.LittleEndian.Uint64(d.plain[d.starts[k]:]))
}

// addText adds a value. It is false if that was a different one from all before, and the dictionary does not pay.
func (d *dictionary) addText(value []byte) (pays bool) {
	if n := len(d.indexes); n > 0 && string(d.last) == string(value) {
		d.indexes = append(d.indexes, d.indexes[n-1])
		return true
	}
	hash := uint32(maphash.Bytes(seed, value))
	slot := d.slot(hash)
	for ; d.slots[slot] != 0; slot = d.after(slot) {
		if k := d.place(slot, hash); k >= 0 {
			if text := d.text(k); string(text) == string(value) {
				d.indexes, d.last = append(d.indexes, k), text
				return true
			}
		}
	}
	if !utf8.Valid(value) {
		return d.addText(valid(value))
	}
	d.insert(slot, hash)
	d.plain = append(binary.LittleEndian.AppendUint32(d.plain, uint32(len(value))), value...)
	d.last = value
	return d.pays()
}

// addNumber adds a value, as addText does.
func (d *dictionary) addNumber(value int64) (pays bool) {
	if n := len(d.indexes); n > 0 && d.number(d.indexes[n-1]) == value {
		d.indexes = append(d.indexes, d.indexes[n-1])
		return true
	}
	hash := uint32(maphash.Comparable(seed, value))
	slot := d.slot(hash)
	for ; d.slots[slot] != 0; slot = d.after(slot) {
		if k := d.place(slot, hash); k >= 0 && d.number(k) == value {
			d.indexes = append(d.indexes, k)
			return true
		}
	}
	d.insert(slot, hash)
	d.plain = binary.LittleEndian.AppendUint64(d.plain, uint64(value))
	return d.pays()
}

// slot is where the search for a hash begins. There is room for another value.
func (d *dictionary) slot(hash uint32) int {
	if 2*len(d.starts) >= len(d.slots) {
		d.grow()
	}
	return int(hash) & (len(d.slots) - 1)
}

// after is the slot behind another.
func (d *dictionary) after(slot int) int { return (slot + 1) & (len(d.slots) - 1) }

// place is the place of the value in a slot; -1 = its hash is another one.
func (d *dictionary) place(slot int, hash uint32) int32 {
	if (d.slots[slot]^hash)&^placeMask != 0 {
		return -1
	}
	return int32(d.slots[slot]&placeMask) - 1
}

// grow makes twice as many slots.
func (d *dictionary) grow() {
	d.slots = make([]uint32, max(256, 2*len(d.slots)))
	for k, hash := range d.hashes {
		slot := int(hash) & (len(d.slots) - 1)
		for d.slots[slot] != 0 {
			slot = d.after(slot)
		}
		d.slots[slot] = hash&^placeMask | uint32(k+1)
	}
}

// insert puts the value that comes next into a slot that is free.
func (d *dictionary) insert(slot int, hash uint32) {
	k := len(d.starts)
	d.slots[slot] = hash&^placeMask | uint32(k+1)
	d.starts, d.hashes = append(d.starts, uint32(len(d.plain))), append(d.hashes, hash)
	d.indexes = append(d.indexes, int32(k))
}

// pays says that the dictionary is worth its space.
func (d *dictionary) pays() bool {
	return len(d.plain) < dictionaryBytes && (len(d.starts) < dictionaryTrial || 3*len(d.starts) < 2*len(d.indexes))
}
