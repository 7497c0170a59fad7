// Package index keeps, beside an output file, where its blocks stand and when they came: .NAME.idx for NAME.
//
//	inkwell index 1
//	CRC OFFSET LENGTH RAW ENTRIES FIRST LAST SUM STREAMS        a line a block, in the order of the file
//
// It lets a reader begin in the middle: behind a time, so many lines before the end, at the blocks of one source. The
// writer appends to it at every checkpoint, without an fsync: it is a help for readers and nothing that anybody depends
// on. What is lost of it can be made again from the file itself, but for the times.
//
// A line takes the place of those that begin at its OFFSET or behind: after a crash a file is cut back to its mark, and
// goes on from there with other blocks. So the writer never has to read or to cut an index.
//
// Limitations: lines of a crash can be missing or, after a power cut, be those of blocks that are there no more.
// Whoever uses a block checks its length and its sum, and that it begins where the one before it ends.
package index

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"inkwell/internal/faultfs"
)

const (
	// Header is the first line of an index.
	Header = "inkwell index 1"
	suffix = ".idx"

	// maxStreams is how many a line names; with more it says Many.
	maxStreams = 16
)

// Name returns the name of the index of a file, whose final name is given.
func Name(file string) string { return "." + file + suffix }

// FileOf returns the final name of the file whose index has this name; ok says whether it is the name of an index.
func FileOf(name string) (file string, ok bool) {
	if len(name) > len(suffix)+1 && name[0] == '.' && name[len(name)-len(suffix):] == suffix {
		return name[1 : len(name)-len(suffix)], true
	}
	return "", false
}

// Block is a stretch of a file that can be decoded by itself.
type Block struct {
	Offset  int64 // where it begins in the file
	Length  int64 // its bytes in the file
	Raw     int64 // decoded bytes
	Entries int64
	First   time.Time // when the first of its entries came in, to the millisecond; zero = not known
	Last    time.Time // none of its entries came in later; zero = not known
	Sum     uint32    // CRC-32 of the decoded bytes; gzip only, else 0
	Streams []Stream  // of its entries
	Many    bool      // there are more streams than are named
}

// Stream is the beginning of a stream's name; zero stands for entries without numbers. Two streams may begin alike.
type Stream [4]byte

// End is where the block ends in the file.
func (b *Block) End() int64 { return b.Offset + b.Length }

// Saw notes that the block has entries of a stream.
func (b *Block) Saw(stream [16]byte) {
	s := Stream(stream[:4])
	if b.Many || slices.Contains(b.Streams, s) {
		return
	}
	if b.Many = len(b.Streams) == maxStreams; b.Many {
		b.Streams = nil
		return
	}
	b.Streams = append(b.Streams, s)
}

// AppendBody appends the body of b's line: decimal numbers, times in milliseconds since 1970, 0 for one that is not
// known, the sum and streams in hexadecimal.
//
//	10 148211 1048523 9731 1764403200120 1764403201007 5a1f00c3 9f02aa10,00000000
func (b *Block) AppendBody(dst []byte) []byte {
	for _, n := range [...]int64{b.Offset, b.Length, b.Raw, b.Entries, millis(b.First), millis(b.Last)} {
		dst = append(strconv.AppendInt(dst, n, 10), ' ')
	}
	dst = hex.AppendEncode(dst, []byte{byte(b.Sum >> 24), byte(b.Sum >> 16), byte(b.Sum >> 8), byte(b.Sum)})
	dst = append(dst, ' ')
	switch {
	case b.Many:
		dst = append(dst, '*')
	case len(b.Streams) == 0:
		dst = append(dst, '-')
	}
	for i, s := range b.Streams {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = hex.AppendEncode(dst, s[:])
	}
	return dst
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Append adds blocks to the index of a file, which is made if it is missing. They are not durable.
func Append(dir *faultfs.Dir, file string, blocks []Block) error {
	bodies := make([][]byte, len(blocks))
	for i := range blocks {
		bodies[i] = blocks[i].AppendBody(nil)
	}
	if err := faultfs.AppendHints(dir, Name(file), Header, bodies...); err != nil {
		return fmt.Errorf("append to the index of %s: %w", file, err)
	}
	return nil
}

// Write replaces the index of a file, durably.
func Write(dir *faultfs.Dir, file string, blocks []Block) error {
	lines, _, err := faultfs.OpenLines(dir, Name(file), Header, func([]byte) error { return nil })
	if err == nil {
		err = lines.Rewrite(func(yield func([]byte) bool) {
			var body []byte
			for i := range blocks {
				if body = blocks[i].AppendBody(body[:0]); !yield(body) {
					return
				}
			}
		})
	}
	if err == nil {
		err = lines.Close()
	}
	if err != nil {
		return fmt.Errorf("write the index of %s: %w", file, err)
	}
	return nil
}

// Read reads the index of a file, of which nothing need be there. bad counts damaged lines.
func Read(dir *faultfs.Dir, file string) (blocks []Block, bad int, err error) {
	bad, err = faultfs.ReadLines(dir, Name(file), Header, func(body []byte) error {
		b, err := ParseBody(body)
		if err != nil {
			return err
		}
		for k := len(blocks); k > 0 && blocks[k-1].Offset >= b.Offset; k-- {
			blocks = blocks[:k-1]
		}
		blocks = append(blocks, b)
		return nil
	})
	return blocks, bad, err
}

// ParseBody reads the body of a line.
func ParseBody(body []byte) (b Block, err error) {
	var first, last int64
	for _, field := range [...]*int64{&b.Offset, &b.Length, &b.Raw, &b.Entries, &first, &last} {
		if *field, body, err = number(body); err != nil {
			return Block{}, err
		}
	}
	if len(body) < 10 || body[8] != ' ' {
		return Block{}, errLine
	}
	var sum [4]byte
	if _, err := hex.Decode(sum[:], body[:8]); err != nil {
		return Block{}, errLine
	}
	b.Sum = uint32(sum[0])<<24 | uint32(sum[1])<<16 | uint32(sum[2])<<8 | uint32(sum[3])
	b.First, b.Last = moment(first), moment(last)
	return b, b.parseStreams(body[9:])
}

// parseStreams reads the last field.
func (b *Block) parseStreams(text []byte) error {
	switch string(text) {
	case "*":
		b.Many = true
		return nil
	case "-":
		return nil
	}
	if len(text)%9 != 8 || len(text) > 9*maxStreams {
		return errLine
	}
	b.Streams = make([]Stream, 0, len(text)/9+1)
	for i := 0; i < len(text); i += 9 {
		var s Stream
		if _, err := hex.Decode(s[:], text[i:i+8]); err != nil || i+8 < len(text) && text[i+8] != ',' {
			return errLine
		}
		b.Streams = append(b.Streams, s)
	}
	return nil
}

// errLine says that a line is none of an index.
var errLine = errors.New("no line of an index")

func moment(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis)
}

// number reads a decimal number and the space behind it.
func number(text []byte) (n int64, rest []byte, err error) {
	for i, c := range text {
		switch {
		case c == ' ' && i > 0:
			return n, text[i+1:], nil
		case c < '0' || c > '9' || i >= 18:
			return 0, nil, errLine
		}
		n = n*10 + int64(c-'0')
	}
	return 0, nil, errLine
}
