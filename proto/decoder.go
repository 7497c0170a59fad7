package proto

import "encoding/binary"

// The types of a field that the decoder has to know by name.
const (
	typeStop   = 0
	typeI32    = 8
	typeI64    = 10
	typeString = 11
	typeStruct = 12
	typeMap    = 13
	typeSet    = 14
	typeList   = 15
)

// fixedSizes holds the sizes in bytes of the types of fixed size.
var fixedSizes = [17]int{2: 1 /* bool */, 3: 1 /* byte */, 4: 8 /* double */, 6: 2 /* i16 */, 8: 4, /* i32 */
	10: 8 /* i64 */, 16: 16 /* uuid */}

// maxDepth is the greatest depth of nesting in an unknown field, which is the Thrift library's limit.
const maxDepth = 64

// decoder reads Thrift binary values from the front of data; it never reads beyond the end.
type decoder struct{ data []byte }

// take returns the next n bytes.
func (d *decoder) take(n int) ([]byte, error) {
	if n > len(d.data) {
		return nil, malformed("%d bytes wanted, %d left", n, len(d.data))
	}
	b := d.data[:n:n]
	d.data = d.data[n:]
	return b, nil
}

func (d *decoder) byte() (byte, error) {
	b, err := d.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (d *decoder) i32() (int32, error) {
	b, err := d.take(4)
	if err != nil {
		return 0, err
	}
	return int32(binary.BigEndian.Uint32(b)), nil
}

func (d *decoder) i64() (int64, error) {
	b, err := d.take(8)
	if err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(b)), nil
}

// size reads a length or a count. It must not be negative or greater than the number of bytes left.
func (d *decoder) size() (int, error) {
	n, err := d.i32()
	if err != nil {
		return 0, err
	}
	if n < 0 || int(n) > len(d.data) {
		return 0, malformed("a size of %d, %d bytes left", n, len(d.data))
	}
	return int(n), nil
}

// bytes reads a string or binary.
func (d *decoder) bytes() ([]byte, error) {
	n, err := d.size()
	if err != nil {
		return nil, err
	}
	return d.take(n)
}

// field reads the header of a field; at the end of the struct the type is typeStop.
func (d *decoder) field() (typ byte, id int16, err error) {
	if typ, err = d.byte(); err != nil || typ == typeStop {
		return typ, 0, err
	}
	b, err := d.take(2)
	if err != nil {
		return 0, 0, err
	}
	return typ, int16(binary.BigEndian.Uint16(b)), nil
}

// list reads the header of a list or set whose elements have type want. An empty one may state any type, as some
// encoders do.
func (d *decoder) list(want byte) (int, error) {
	typ, err := d.byte()
	if err != nil {
		return 0, err
	}
	n, err := d.size()
	if err == nil && n > 0 && typ != want {
		return 0, malformed("a list of type %d instead of %d", typ, want)
	}
	return n, err
}

// skip passes over a value of type typ, in which at most depth levels may be nested.
func (d *decoder) skip(typ byte, depth int) error {
	if depth <= 0 {
		return malformed("nested deeper than %d", maxDepth)
	}
	switch typ {
	case typeString:
		_, err := d.bytes()
		return err
	case typeStruct:
		return d.skipStruct(depth)
	case typeMap:
		key, err := d.byte()
		if err != nil {
			return err
		}
		return d.skipElements(depth, key)
	case typeSet, typeList:
		return d.skipElements(depth)
	}
	if int(typ) >= len(fixedSizes) || fixedSizes[typ] == 0 {
		return malformed("unknown type %d", typ)
	}
	_, err := d.take(fixedSizes[typ])
	return err
}

func (d *decoder) skipStruct(depth int) error {
	for {
		typ, _, err := d.field()
		if err != nil || typ == typeStop {
			return err
		}
		if err := d.skip(typ, depth-1); err != nil {
			return err
		}
	}
}

// skipElements passes over the rest of a list, set or map: the type of the (last) element, a count and the elements;
// keys is the key type of a map.
func (d *decoder) skipElements(depth int, keys ...byte) error {
	typ, err := d.byte()
	if err != nil {
		return err
	}
	n, err := d.size()
	if err != nil {
		return err
	}
	for range n {
		for _, key := range keys {
			if err := d.skip(key, depth-1); err != nil {
				return err
			}
		}
		if err := d.skip(typ, depth-1); err != nil {
			return err
		}
	}
	return nil
}
