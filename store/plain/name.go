package plain

import (
	"fmt"
	"strconv"
	"strings"
)

// FileName returns the name that the original gives to the file with a number.
func FileName(stem string, number int) string { return fmt.Sprintf("%s_%05d", stem, number) }

// Number parses the number in a file name like the original, which uses a C++ stream: it accepts white space, a sign
// and digits behind the last underscore, and ignores what follows. Without digits, as in the name of the link
// CATEGORY_current, the number is 0.
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
