package rotate

import (
	"bytes"
	"compress/gzip"
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
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range size / len(zeros) {
		_, err := z.Write(zeros)
		must(t, err)
	}
	must(t, z.Close())
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

type onlyReader struct{ io.Reader }
