package rotate

import (
	"hash/crc32"
	"testing"
)

func TestJoinCRC(t *testing.T) {
	data := noise(1, 200_000)
	for _, at := range []int{0, 1, 7, 8, 9, 255, 65_535, 65_536, 100_001, len(data)} {
		for _, end := range []int{at, min(at+1, len(data)), min(at+4096, len(data)), len(data)} {
			got := JoinCRC(crc32.ChecksumIEEE(data[:at]), crc32.ChecksumIEEE(data[at:end]), int64(end-at))
			if want := crc32.ChecksumIEEE(data[:end]); got != want {
				t.Errorf("%d bytes and %d more: %08x, want %08x", at, end-at, got, want)
			}
		}
	}
}
