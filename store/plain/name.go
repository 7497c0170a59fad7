package plain

import (
	"fmt"
	"strconv"
	"strings"
)

// FileName is the name that the original gives a file: of what its names begin with, and a number.
func FileName(stem string, number int) string { return fmt.Sprintf("%s_%05d", stem, number) }

// Number reads the number of a file of a stem as the original does, with a C++ stream: blanks, a sign and digits behind
// the last underscore, whatever follows. A text without digits, as that of the link, is 0.
func Number(stem, name string) (n int, ok bool) {
	rest, ok := strings.CutPrefix(name, stem+"_")
	if !ok || strings.ContainsRune(rest, '_') {
		return 0, false
	}
	rest = strings.TrimLeft(rest, " \t\n\v\f\r")
	if rest == "" {
		return 0, false
	}
	sign := 0
	if rest[0] == '+' || rest[0] == '-' {
		sign = 1
	}
	digits := sign
	for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
		digits++
	}
	if digits == sign {
		return 0, true
	}
	n, err := strconv.Atoi(rest[:digits])
	return n, err == nil && n >= 0
}
