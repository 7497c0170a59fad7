package proto

import (
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Source says where the entries of a stream come from. The sender chooses the text, so it may be anything that Clean
// lets through.
type Source struct {
	Host string `json:"host,omitempty"`
	// Path is the path of a file. For other inputs it is KIND:WHAT, as in journal:nginx.service,
	// syslog:udp://0.0.0.0:514, pipe:apache2 or client:web1.
	Path string `json:"path,omitempty"`
}

// Naming assigns a source to a stream.
type Naming struct {
	Stream [16]byte
	Source
}

// The longest text of a Source, in bytes; a longer one is cut.
const (
	MaxHost = 255
	MaxPath = 1024
)

// maxNamings bounds the sources of one call, in bytes. Those that do not fit are sent with the next call that has
// entries of their streams.
const maxNamings = 1 << 20

// String returns HOST:PATH.
func (s Source) String() string {
	if s.Host == "" {
		return s.Path
	}
	return s.Host + ":" + s.Path
}

// Clean returns s in a form that may be shown and stored: valid UTF-8 of printable characters, and not too long.
func (s Source) Clean() Source {
	return Source{Host: CleanText(s.Host, MaxHost), Path: CleanText(s.Path, MaxPath)}
}

// CleanText replaces characters that cannot be printed, and cuts text that is longer than so many bytes.
func CleanText(text string, most int) string {
	odd := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	if strings.ContainsFunc(text, odd) {
		text = strings.Map(func(r rune) rune {
			if odd(r) {
				return '?'
			}
			return r
		}, text)
	}
	for len(text) > most {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return text
}

// Namings calls yield with the sources that came with the batch. They are as the sender wrote them: whoever stores one
// must clean it first.
func (b *Batch) Namings(yield func(Naming) bool) {
	d := decoder{b.namings}
	for len(d.data) > 0 {
		n, err := d.naming()
		if err != nil || !yield(n) { // they were read once before
			return
		}
	}
}

// HasNamings reports whether there are any.
func (b *Batch) HasNamings() bool { return len(b.namings) > 0 }

// ShareNamings gives b the sources that came with o, which it aliases.
func (b *Batch) ShareNamings(o *Batch) { b.namings = o.namings }

// SetNamings gives b sources in the encoding of AppendNaming. The bytes are checked and aliased.
func (b *Batch) SetNamings(elements []byte) error {
	for d := (decoder{elements}); len(d.data) > 0; {
		if _, err := d.naming(); err != nil {
			return err
		}
	}
	b.namings = elements
	return nil
}

// AppendNaming appends the encoding of n to dst, as an element of field 3 of the arguments of a Log call, unless dst is
// full.
func AppendNaming(dst []byte, n Naming) (_ []byte, ok bool) {
	n.Source = n.Clean()
	if len(dst)+len(n.Host)+len(n.Path)+64 > maxNamings {
		return dst, false
	}
	dst = append(dst, typeString, 0, 1, 0, 0, 0, 16)
	dst = append(dst, n.Stream[:]...)
	for id, text := range []string{n.Host, n.Path} {
		dst = append(dst, typeString, 0, byte(2+id))
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(text)))
		dst = append(dst, text...)
	}
	return append(dst, typeStop), true
}

// appendNamings appends field 3 of the arguments of a Log call, whose elements are encoded already.
func appendNamings(dst []byte, count int, elements []byte) []byte {
	dst = append(dst, typeList, 0, 3, typeStruct)
	dst = binary.BigEndian.AppendUint32(dst, uint32(count))
	return append(dst, elements...)
}

// namings reads the list of sources, replacing those that b has. The bytes are aliased.
func (d *decoder) namings(b *Batch) error {
	n, err := d.list(typeStruct)
	if err != nil {
		return err
	}
	list := d.data
	for range n {
		if _, err := d.naming(); err != nil {
			return err
		}
	}
	b.namings = list[: len(list)-len(d.data) : len(list)-len(d.data)]
	return nil
}

// naming reads one element of the list. Text that is too long is cut.
func (d *decoder) naming() (n Naming, err error) {
	var id, host, path []byte
	for {
		typ, field, err := d.field()
		switch {
		case err != nil:
		case typ == typeStop && len(id) != len(n.Stream):
			err = malformed("the source of a stream with a name of %d bytes", len(id))
		case typ == typeStop:
			copy(n.Stream[:], id)
			n.Host, n.Path = string(host[:min(len(host), MaxHost)]), string(path[:min(len(path), MaxPath)])
			return n, nil
		case typ == typeString && field == 1:
			id, err = d.bytes()
		case typ == typeString && field == 2:
			host, err = d.bytes()
		case typ == typeString && field == 3:
			path, err = d.bytes()
		default:
			err = d.skip(typ, maxDepth)
		}
		if err != nil {
			return Naming{}, err
		}
	}
}
