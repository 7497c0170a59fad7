package packed_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"inkwell/forwarder/packed"
)

// tools are the programs that make the files, with the data on their standard input.
var tools = map[packed.Kind][]string{
	packed.Gzip:  {"gzip", "-c"},
	packed.Zstd:  {"zstd", "-qc"},
	packed.Bzip2: {"bzip2", "-c"},
	packed.Xz:    {"xz", "-c"},
}

func compress(t *testing.T, kind packed.Kind, data []byte) []byte {
	t.Helper()
	args := tools[kind]
	if kind == packed.Zip {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a.log"), data, 0o644); err != nil {
			t.Fatal(err)
		}
		args = []string{"sh", "-c", "cd " + dir + " && zip -q - a.log"}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(data), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return out
}

// text returns lines of log that compress as lines of logs do.
func text(n int) []byte {
	var b bytes.Buffer
	rng := rand.New(rand.NewPCG(1, 2))
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "2026-11-29T10:%02d:%02d request %d of %x took %d ms\n", i/60%60, i%60, i, rng.Uint32(), rng.IntN(1000))
	}
	return b.Bytes()[:n]
}

// read reads at an offset, however many calls that takes.
func read(f *packed.File, p []byte, off int64) (int, error) {
	for {
		if n, err := f.ReadAt(p, off); !errors.Is(err, packed.ErrLater) {
			return n, err
		}
	}
}

var kinds = []packed.Kind{packed.Gzip, packed.Zstd, packed.Bzip2, packed.Xz, packed.Zip}

// TestFile reads at rising offsets, at equal ones, and at lower ones.
func TestFile(t *testing.T) {
	data := text(1 << 20)
	for _, kind := range kinds {
		file := compress(t, kind, data)
		if got := packed.Detect(file); got != kind {
			t.Errorf("format %d is taken for %d", kind, got)
		}
		f := packed.New(bytes.NewReader(file), kind, int64(len(file)))
		rng := rand.New(rand.NewPCG(3, uint64(kind)))
		off := int64(0)
		for range 60 {
			p := make([]byte, rng.IntN(100<<10))
			n, err := read(f, p, off)
			want := data[min(off, int64(len(data))):min(off+int64(len(p)), int64(len(data)))]
			if err != nil || !bytes.Equal(p[:n], want) {
				t.Fatalf("format %d: %d bytes at %d are not those: %d, %v", kind, len(p), off, n, err)
			}
			switch rng.IntN(20) {
			case 0:
				off = rng.Int64N(off + 1)
			case 1:
				off = rng.Int64N(5 << 18) // may be beyond the end
			default:
				off += rng.Int64N(int64(n) + 1)
			}
		}
		f.Close()
	}
}

// TestMembersInARow reads a file that was made of several ones: cat a.gz b.gz > c.gz.
func TestMembersInARow(t *testing.T) {
	data := text(200 << 10)
	for kind := range tools {
		file := append(compress(t, kind, data[:70<<10]), compress(t, kind, data[70<<10:])...)
		f := packed.New(bytes.NewReader(file), kind, int64(len(file)))
		got := make([]byte, len(data)+1)
		if n, err := read(f, got, 0); err != nil || !bytes.Equal(got[:n], data) {
			t.Errorf("format %d: %d bytes, %v", kind, n, err)
		}
		f.Close()
	}
}

// TestCutAndDamaged tells a file that is still being written from one that is damaged, and reads what is before that.
func TestCutAndDamaged(t *testing.T) {
	data := text(300 << 10)
	for _, kind := range kinds {
		file := compress(t, kind, data)
		for _, size := range []int{0, 3, 11, 100, len(file) / 2, len(file) - 1} {
			f := packed.New(bytes.NewReader(file[:size]), kind, int64(size))
			got := make([]byte, len(data)+1)
			n, err := read(f, got, 0)
			if !errors.Is(err, packed.ErrCut) || !bytes.Equal(got[:n], data[:n]) {
				t.Errorf("format %d, %d bytes of %d: %d bytes, %v", kind, size, len(file), n, err)
			}
			f.Close()
		}
		for range 8 {
			bad := bytes.Clone(file)
			at := len(bad)/3 + rand.IntN(len(bad)/3)
			bad[at] ^= 0x55
			f := packed.New(bytes.NewReader(bad), kind, int64(len(bad)))
			n, err := read(f, make([]byte, 4*len(data)), 0)
			if err == nil {
				t.Errorf("format %d: damage at %d is not noticed, %d bytes", kind, at, n)
			}
			f.Close()
		}
	}
}

// TestSlices: a call does not go on for ever.
func TestSlices(t *testing.T) {
	file := compress(t, packed.Gzip, bytes.Repeat([]byte("0123456789abcde\n"), 8<<20))
	f := packed.New(bytes.NewReader(file), packed.Gzip, int64(len(file)))
	defer f.Close()
	var p [16]byte
	later := 0
	for {
		n, err := f.ReadAt(p[:], 128<<20-16)
		if errors.Is(err, packed.ErrLater) {
			later++
			continue
		}
		if n != 16 || err != nil {
			t.Fatal(n, err)
		}
		break
	}
	if later == 0 {
		t.Error("128 MiB were decompressed in one call")
	}
}

// FuzzFile: whatever the bytes are, reading ends.
func FuzzFile(f *testing.F) {
	f.Add(byte(1), []byte("\x1f\x8b\x08"))
	f.Add(byte(4), []byte("\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x28"))
	f.Fuzz(func(t *testing.T, kind byte, data []byte) {
		file := packed.New(bytes.NewReader(data), packed.Kind(kind%8), int64(len(data)))
		defer file.Close()
		p := make([]byte, 4096)
		for off := int64(0); off < 1<<20; off += int64(len(p)) {
			n, err := read(file, p, off)
			if n < len(p) || err != nil {
				return
			}
		}
	})
}
