package rpc

import (
	"context"
	"strings"
	"syscall"
	"testing"

	"inkwell/proto"
)

// BenchmarkLog sends calls over loopback, client and server in this process, and reports the CPU time of both an entry.
func BenchmarkLog(b *testing.B) {
	for _, bench := range []struct {
		name    string
		entries int
	}{{"1x200", 1}, {"1000x200", 1000}, {"20000x200", 20_000}} {
		b.Run(bench.name, func(b *testing.B) {
			c := client(b, serve(b, ServerOptions{}, nothing{}, nil).addr, ClientOptions{})
			load := new(proto.Batch)
			for range bench.entries {
				load.Append([]byte("apache.access"), []byte(strings.Repeat("x", 199)+"\n"))
			}
			batches := []*proto.Batch{load}
			b.SetBytes(int64(load.Size()))
			b.ReportAllocs()
			began := cpu()
			for b.Loop() {
				if code, err := c.Log(context.Background(), batches); code != proto.OK || err != nil {
					b.Fatal(code, err)
				}
			}
			b.ReportMetric(float64(cpu()-began)/float64(b.N*bench.entries), "cpu-ns/entry")
		})
	}
}

// cpu is the CPU time of this process in nanoseconds.
func cpu() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
