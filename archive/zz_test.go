package archive

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inkwell/archive/columns"
)

func tcpu() time.Duration {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}

func TestZZ(t *testing.T) {
	f, err := os.Open("/tmp/convert/access.log")
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 22<<20)
	f.ReadAt(data, 300e6)
	data = data[bytes.IndexByte(data, '\n')+1:]
	data = data[:bytes.LastIndexByte(data, '\n')+1]
	b := &batch{}
	for len(data) > 0 {
		n := min(1<<20, len(data))
		n = bytes.LastIndexByte(data[:n], '\n') + 1
		b.parts = append(b.parts, batchPart{text: data[:n], at: time.Now(), raw: int64(b.bytes)})
		b.bytes += n
		b.rows += countLines(data[:n])
		data = data[n:]
	}
	o := Conversion{Format: "combined"}
	fields, _ := o.fields()
	runtime.LockOSThread()
	best := [3]time.Duration{time.Hour, time.Hour, time.Hour}
	w := columns.New(io.Discard, "x", fields, nil)
	v := newConverter(w, &Origins{}, o, fields)
	for range 60 {
		a := tcpu()
		p := v.parsers.Get().(*parser)
		p.sort(b)
		v.parsers.Put(p)
		c := tcpu()
		m := v.group(b)
		d := tcpu()
		if m.err != nil {
			t.Fatal(m.err)
		}
		v.w.Commit(m.group)
		best[0], best[1], best[2] = min(best[0], c-a), min(best[1], d-c), min(best[2], tcpu()-d)
	}
	fmt.Printf("rows %d: sort %.1f ns, group (with sort) %.1f, commit %.1f\n", b.rows, float64(best[0])/float64(b.rows), float64(best[1])/float64(b.rows), float64(best[2])/float64(b.rows))
}
