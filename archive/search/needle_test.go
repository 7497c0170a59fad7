package search

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestNeedle compares the places that are found with those of bytes.Index, whichever byte is the rarest.
func TestNeedle(t *testing.T) {
	rng := rand.New(rand.NewPCG(14, 1))
	letters := []byte("aaaaaaaabbbbc \n")
	random := func(n int) []byte {
		text := make([]byte, n)
		for i := range text {
			text[i] = letters[rng.IntN(len(letters))]
		}
		return text
	}
	for range 5000 {
		literal, text := random(1+rng.IntN(6)), random(rng.IntN(300))
		for _, sample := range [][]byte{text, nil, random(100), []byte("xyz")} {
			n := newNeedle(literal, sample)
			if got, want := n.in(text), bytes.Index(text, literal); got != want {
				t.Fatalf("%q in %q by byte %d: %d, want %d", literal, text, n.rare, got, want)
			}
		}
	}
}
