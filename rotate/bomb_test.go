package rotate

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io"
	"runtime"
	"testing"
)

// Files of others can claim what they do not hold, or hold what becomes a thousand times as much: memory stays bounded.
func TestReadersOfForeignFilesAreBounded(t *testing.T) {
	allocated := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.TotalAlloc
	}
	for name, data := range map[string]string{
		"a window of 256 MiB":     "\x28\xb5\x2f\xfd\x00\x90" + "\x01\x00\x00",
		"a content of a terabyte": "\x28\xb5\x2f\xfd\xe0\x00\x00\x00\x00\x00\x01\x00\x00" + "\x01\x00\x00",
	} {
		for _, open := range []bool{false, true} {
			before := allocated()
			r, err := NewReader(bytes.NewBufferString(data), Zstd, open)
			if err == nil {
				_, err = io.ReadAll(r)
				must(t, r.Close())
			}
			if took := allocated() - before; err == nil || took > 16<<20 {
				t.Errorf("%s, open %v: %v, %d bytes", name, open, err, took)
			}
		}
	}

	const size = 3 * maxHeld
	bomb := bytes.NewBuffer(bombOf(t, size))
	for _, open := range []bool{false, true} {
		before := allocated()
		r, err := NewReader(bytes.NewReader(bomb.Bytes()), Gzip, open)
		must(t, err)
		n, err := io.Copy(io.Discard, onlyReader{r})
		must(t, err)
		if took := allocated() - before; n != size || took > 6*maxHeld {
			t.Errorf("open %v: %d of %d bytes, %d allocated", open, n, size, took)
		}
		must(t, r.Close())
	}
}

// bombOf returns a gzip file of zeros. One MiB of them is compressed once, because under the race detector that takes
// long.
func bombOf(t *testing.T, size int) []byte {
	t.Helper()
	zeros := make([]byte, 1<<20)
	var block bytes.Buffer
	z, err := flate.NewWriter(&block, flate.BestSpeed)
	must(t, err)
	_, err = z.Write(zeros)
	must(t, err)
	must(t, z.Flush())
	bomb := append([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"), bytes.Repeat(block.Bytes(), size/len(zeros))...)
	bomb = append(bomb, 1, 0, 0, 0xff, 0xff) // an empty block, the last one
	sum := crc32.NewIEEE()
	for range size / len(zeros) {
		_, err = sum.Write(zeros)
		must(t, err)
	}
	bomb = binary.LittleEndian.AppendUint32(bomb, sum.Sum32())
	return binary.LittleEndian.AppendUint32(bomb, uint32(size))
}

type onlyReader struct{ io.Reader }
