package conf

import (
	"math"
	"strconv"
	"strings"
)

// The numbers of a configuration file are parsed as C does, because existing files rely on it: white space before the
// number, a sign, 0x for hexadecimal, a leading 0 for octal. What follows the number is ignored, and a text without a
// number is 0. Besides the number, clean says whether the text is nothing but a number that fits, so that a caller can
// warn otherwise.

// Unsigned parses a number as strtoul with base 0 does: -1 is the largest number.
func Unsigned(text string) (n uint64, clean bool) { return cut(text, 0).unsigned() }

// Decimal parses a number as strtoull with base 10 does: 010 is ten and 0x10 is 0.
func Decimal(text string) (n uint64, clean bool) { return cut(text, 10).unsigned() }

// Float parses the decimal fraction at the beginning of text, as strtod does; 0 if there is none.
func Float(text string) (f float64, clean bool) {
	text = strings.TrimLeft(text, space)
	end := 0
	for i := range len(text) {
		if !strings.ContainsRune("+-.0123456789eE", rune(text[i])) {
			break
		}
		if got, err := strconv.ParseFloat(text[:i+1], 64); err == nil {
			f, end = got, i+1
		}
	}
	return f, end > 0 && end == len(text)
}

// space is the white space of C's isspace.
const space = " \t\n\v\f\r"

// digits is the result of cut.
type digits struct {
	n        uint64 // without the sign; the largest number if it does not fit
	negative bool
	clean    bool
}

func (d digits) unsigned() (uint64, bool) {
	if d.negative && d.n < math.MaxUint64 {
		return -d.n, d.clean && d.n == 0
	}
	return d.n, d.clean
}

// cut parses the number at the beginning of text; with base 0 the number's prefix decides.
func cut(text string, base uint64) digits {
	rest := strings.TrimLeft(text, space)
	d := digits{}
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		d.negative = rest[0] == '-'
		rest = rest[1:]
	}
	if base == 0 {
		base = 10
		switch {
		case len(rest) > 2 && rest[0] == '0' && rest[1]|0x20 == 'x' && digit(rest[2]) < 16:
			base, rest = 16, rest[2:]
		case rest != "" && rest[0] == '0':
			base = 8
		}
	}
	i, fits := 0, true
	for ; i < len(rest) && digit(rest[i]) < base; i++ {
		v := digit(rest[i])
		if d.n > (math.MaxUint64-v)/base {
			d.n, fits = math.MaxUint64, false
			continue
		}
		if fits {
			d.n = d.n*base + v
		}
	}
	d.clean = i > 0 && i == len(rest) && fits
	return d
}

// digit is the value of a digit, 99 for other characters.
func digit(c byte) uint64 {
	switch {
	case c >= '0' && c <= '9':
		return uint64(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'z':
		return uint64(c|0x20-'a') + 10
	}
	return 99
}
