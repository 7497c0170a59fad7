package rotate

import "fmt"

// Codec says how files are compressed.
type Codec int

// The codecs.
const (
	Gzip Codec = iota
	Zstd
	None
)

var codecs = [...]struct{ name, suffix string }{{"gzip", ".gz"}, {"zstd", ".zst"}, {"none", ""}}

// ParseCodec reads gzip, zstd or none.
func ParseCodec(s string) (Codec, error) {
	for i, c := range codecs {
		if c.name == s {
			return Codec(i), nil
		}
	}
	return 0, fmt.Errorf("%q is no way to compress (use gzip, zstd or none)", s)
}

// String is the name that ParseCodec reads.
func (c Codec) String() string { return codecs[c].name }

// Suffix is what names of such files end in: ".gz", ".zst" or nothing.
func (c Codec) Suffix() string { return codecs[c].suffix }
