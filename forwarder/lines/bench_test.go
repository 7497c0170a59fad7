package lines

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"inkwell/proto"
)

// BenchmarkTake takes lines of 100 bytes of text, in chunks as the follower reads them. MB/s are those of the file.
func BenchmarkTake(b *testing.B) {
	text := strings.Repeat("x", 99)
	trace := "x" + strings.Repeat("y", 98) + "\n" + strings.Repeat("\tat "+strings.Repeat("z", 95)+"\n", 9)
	repeat := func(s string) []byte { return bytes.Repeat([]byte(s), 1<<20/len(s)) }
	cri := fmt.Sprintf("2026-11-29T10:00:00.123456789Z stdout F %s\n", text)
	for _, c := range []struct {
		name   string
		data   []byte
		change func(*Options)
	}{
		{"plain", repeat(text + "\n"), nil},
		{"utf-16", append([]byte(marks[UTF16LE]), wide(UTF16LE, string(repeat(text+"\n")))...), nil},
		{"cri", repeat(cri), func(o *Options) { o.Format = CRI }},
		{"cri parts", repeat(strings.Replace(cri, " F ", " P ", 1) + cri), func(o *Options) { o.Format = CRI }},
		{"cri stamp", repeat(cri), func(o *Options) { o.Format = CRI; o.Stamp = true }},
		{"docker", repeat(fmt.Sprintf(`{"log":"%s\n","stream":"stdout","time":"2026-11-29T10:00:00.123456789Z"}`+"\n", text)), func(o *Options) { o.Format = Docker }},
		{"multiline", repeat(trace), func(o *Options) { o.Start = `^\S` }},
		{"cri multiline", repeat(cri + strings.Replace(cri, "F x", "F  ", 1)), func(o *Options) { o.Format = CRI; o.Start = `^\S` }},
	} {
		b.Run(c.name, func(b *testing.B) {
			d := NewDecoder(options(func(o *Options) {
				o.MaxLine = 16 << 20
				if c.change != nil {
					c.change(o)
				}
			}))
			var batch proto.Batch
			lines := 0
			b.SetBytes(int64(len(c.data)))
			b.ReportAllocs()
			for b.Loop() {
				for at := 0; at < len(c.data); {
					batch.Reset()
					chunk := Chunk{Category: []byte("bench"), Data: c.data[at:min(at+256<<10, len(c.data))], Offset: int64(at), Encoding: d.Encoding(c.data[:2])}
					if at+256<<10 >= len(c.data) {
						chunk.End = len(chunk.Data)
					}
					t := d.Take(&batch, chunk)
					at += t.Bytes
					lines += t.Entries
				}
			}
			b.ReportMetric(float64(lines)/b.Elapsed().Seconds()/1e6, "Mmsg/s")
		})
	}
}
