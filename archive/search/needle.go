package search

import "bytes"

// needle finds a literal in a text by that byte of it which is rarest there: bytes.IndexByte compares 32 bytes at once,
// and bytes.Index about one.
type needle struct {
	literal []byte
	rare    int // the place of that byte in the literal; -1 = each of its bytes is frequent
}

// newNeedle chooses the byte by the beginning of the text.
func newNeedle(literal, text []byte) needle {
	const sample, frequent = 4096, 16 // more often than every so many bytes
	text = text[:min(len(text), sample)]
	var counts [256]int
	for _, c := range text {
		counts[c]++
	}
	n := needle{literal, 0}
	for i, c := range literal {
		if counts[c] < counts[literal[n.rare]] {
			n.rare = i
		}
	}
	if counts[literal[n.rare]] > len(text)/frequent {
		n.rare = -1
	}
	return n
}

// in is where the literal begins in a text, -1 if it is not there.
func (n *needle) in(text []byte) int {
	if n.rare < 0 {
		return bytes.Index(text, n.literal)
	}
	for at := n.rare; at < len(text); at++ {
		k := bytes.IndexByte(text[at:], n.literal[n.rare])
		if k < 0 {
			break
		}
		at += k
		if from := at - n.rare; bytes.HasPrefix(text[from:], n.literal) {
			return from
		}
	}
	return -1
}
