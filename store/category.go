package store

import (
	"strconv"
	"unicode/utf8"
)

// Categories of our own making. They are no legal names for a sender, so that what is found in them was put there by Inkwell.
const (
	UnsafeCategory   = "_unsafe"   // messages whose category is no safe file name
	OverflowCategory = "_overflow" // messages of categories beyond the limit
)

// MaxCategory is the longest category in bytes that becomes a file name.
const MaxCategory = 200

// SafeCategory says whether a category can be the name of a directory and of files in it, everywhere and for every reader: 1 to
// MaxCategory bytes of printable UTF-8 without slashes, no leading dot (hidden) and none of the names that Inkwell keeps for itself.
func SafeCategory(name []byte) bool {
	if len(name) == 0 || len(name) > MaxCategory || name[0] == '.' || !utf8.Valid(name) {
		return false
	}
	for _, c := range name {
		if c < 0x20 || c == 0x7f || c == '/' {
			return false
		}
	}
	return string(name) != UnsafeCategory && string(name) != OverflowCategory
}

// appendPrefix appends what tells the category of a message that is kept under another: the name as a quoted string and a blank.
func appendPrefix(dst, category []byte) []byte {
	return append(strconv.AppendQuote(dst, string(category)), ' ')
}
