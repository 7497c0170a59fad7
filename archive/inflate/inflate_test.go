package inflate

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	klauspost "github.com/klauspost/compress/flate"
)

// logs is text as a web server writes it.
func logs(n int) []byte {
	var b bytes.Buffer
	r := rand.New(rand.NewPCG(1, 2))
	for b.Len() < n {
		fmt.Fprintf(&b, "10.%d.%d.%d - - [29/Nov/2026:14:%02d:%02d +0000] \"GET /shop/item/%d?ref=%x HTTP/1.1\" %d %d \"-\" \"Mozilla/5.0 (X11; Linux x86_64) %d\"\n",
			r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(60), r.IntN(60), r.IntN(5000), r.Uint32(), []int{200, 200, 200, 304, 404, 500}[r.IntN(6)], r.IntN(50000), r.IntN(90))
	}
	return b.Bytes()[:n]
}

func noise(n int) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// deflated are inputs compressed in every way there is: levels, stored, fixed codes, flushes.
func deflated(t testing.TB, raw []byte) (all [][]byte) {
	t.Helper()
	for _, level := range []int{flate.HuffmanOnly, 0, 1, 2, 5, 6, 9} {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, level)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(raw[:len(raw)/2])
		w.Flush()
		w.Write(raw[len(raw)/2:])
		w.Close()
		all = append(all, b.Bytes())
		b = bytes.Buffer{}
		k, err := klauspost.NewWriter(&b, level)
		if err != nil {
			t.Fatal(err)
		}
		k.Write(raw)
		k.Close()
		all = append(all, b.Bytes())
	}
	return all
}

func TestDecode(t *testing.T) {
	var d Decoder
	for _, raw := range [][]byte{nil, []byte("a"), logs(300_000), noise(100_000), bytes.Repeat([]byte("a"), 100_000), []byte(strings.Repeat("abcabcd", 9000)), logs(70)} {
		for i, packed := range deflated(t, raw) {
			got, err := d.Decode([]byte("before"), packed, 6, len(raw))
			if err != nil || !got.Final || got.Used != len(packed) || !bytes.Equal(got.Out, append([]byte("before"), raw...)) {
				t.Fatalf("%d bytes, %d: %v, used %d of %d, %d bytes", len(raw), i, err, got.Used, len(packed), len(got.Out))
			}
			if len(raw) == 0 {
				continue
			}
			if _, err := d.Decode(nil, packed, 0, len(raw)-1); !errors.Is(err, ErrLarge) {
				t.Errorf("%d bytes, %d: bounded: %v", len(raw), i, err)
			}
			if _, err := d.Decode(nil, packed[:len(packed)-1], 0, len(raw)); err == nil {
				t.Errorf("%d bytes, %d: cut: %v", len(raw), i, err)
			}
		}
	}
}

// TestDecodeBetweenBlocks: input that ends behind a flush is whole, with a match into what was there before.
func TestDecodeBetweenBlocks(t *testing.T) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 5)
	if err != nil {
		t.Fatal(err)
	}
	raw := logs(50_000)
	w.Write(raw)
	w.Flush()
	half := b.Len()
	w.Write(raw)
	w.Flush()
	var d Decoder
	first, err := d.Decode(nil, b.Bytes()[:half], 0, 1<<20)
	if err != nil || first.Final || first.Used != half || !bytes.Equal(first.Out, raw) {
		t.Fatal(err, first.Used, half)
	}
	if _, err := d.Decode(nil, b.Bytes()[half:], 0, 1<<20); !errors.Is(err, ErrCorrupt) {
		t.Error("matches before the beginning:", err)
	}
	second, err := d.Decode(first.Out, b.Bytes()[half:], 0, 1<<20)
	if err != nil || !bytes.Equal(second.Out, append(raw[:len(raw):len(raw)], raw...)) {
		t.Error(err)
	}
}

// FuzzDecode: whatever the input is, the outcome is that of the standard library.
func FuzzDecode(f *testing.F) {
	for _, packed := range deflated(f, logs(3000)) {
		f.Add(packed)
	}
	f.Add([]byte{3, 0})
	f.Add([]byte{0x4b, 0x4c, 4, 2, 0})
	d := new(Decoder)
	f.Fuzz(func(t *testing.T, packed []byte) {
		const most = 1 << 20
		got, err := d.Decode(nil, packed, 0, most)
		r := bytes.NewReader(packed)
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(r), most+1))
		if len(want) > most {
			if !errors.Is(err, ErrLarge) && err == nil {
				t.Fatalf("larger than it may be, and %v", err)
			}
			return
		}
		if err == nil && !got.Final { // the standard library wants a last block
			err = io.ErrUnexpectedEOF
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%x: %v, want %v", packed, err, wantErr)
		}
		if err == nil && (!bytes.Equal(got.Out, want) || got.Used != len(packed)-r.Len()) {
			t.Fatalf("%x: %q and %d bytes used, want %q and %d", packed, got.Out, got.Used, want, len(packed)-r.Len())
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	raw := logs(1 << 20)
	var packed bytes.Buffer
	w, err := klauspost.NewWriter(&packed, 5)
	if err != nil {
		b.Fatal(err)
	}
	w.Write(raw)
	w.Close()
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(raw)))
		var d Decoder
		out := make([]byte, 0, len(raw)+1024)
		for b.Loop() {
			if _, err := d.Decode(out, packed.Bytes(), 0, len(raw)+1024); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("klauspost", func(b *testing.B) {
		b.SetBytes(int64(len(raw)))
		r := klauspost.NewReader(bytes.NewReader(packed.Bytes()))
		out := make([]byte, len(raw))
		for b.Loop() {
			if err := r.(klauspost.Resetter).Reset(bytes.NewReader(packed.Bytes()), nil); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(r, out); err != nil {
				b.Fatal(err)
			}
		}
	})
}
