// Command demo lets a collector, a forwarder and a pipe ship real input over loopback and proves what came out of it:
// make run.
//
//	access.log (200 MB, generated) ┐
//	real logs, or FILE             ┴─ inkwell forward --once ─┐
//	                                                          ├─► inkwell collect ─► CATEGORY/*.gz ─► gunzip, compare with what was sent
//	generated lines ───────────────── inkwell pipe ───────────┘
//
// Each source has a category of its own, so that its files can be compared with it byte by byte: same lines, same
// order, none missing, none twice. The files are read with Go's own gzip reader. Everything stands below one temporary
// directory, which is removed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
)

const (
	accessBytes = 200e6 // of the log that is generated for the forwarder
	pipedBytes  = 50e6  // of the lines that go through the pipe
)

func main() {
	inkwell := flag.String("inkwell", "bin/inkwell", "the program")
	file := flag.String("file", "",
		"a file to ship instead of the real logs under /var/log; nothing may be writing to it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *inkwell, *file)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, inkwell, file string) (err error) {
	if inkwell, err = filepath.Abs(inkwell); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "inkwell-demo-")
	if err != nil {
		return err
	}
	defer func() {
		if e := os.RemoveAll(dir); err == nil {
			err = e
		}
	}()
	fmt.Println("Everything below happens in", dir)
	began := time.Now()
	sources, err := prepare(dir, file)
	if err != nil {
		return err
	}
	if err := ship(ctx, shipment{inkwell: inkwell, dir: dir, sources: sources}); err != nil {
		return err
	}
	out := filepath.Join(dir, outDir)
	heading("The files")
	if err := list(out, sources); err != nil {
		return err
	}
	heading("The proof: each category's files, unpacked, against what was sent")
	var lines, bytes int64
	for _, s := range sources {
		n, size, err := prove(out, s)
		if err != nil {
			return err
		}
		fmt.Printf("  %-40s %12s lines  %10s  same lines, same order\n", s.category, humanize.Comma(n),
			humanize.Bytes(uint64(size)))
		lines, bytes = lines+n, bytes+size
	}
	fmt.Printf("\n%s lines, %s, %d sources: nothing is missing, nothing is there twice. %v in all.\n",
		humanize.Comma(lines), humanize.Bytes(uint64(bytes)), len(sources), time.Since(began).Round(time.Second))
	return nil
}

func heading(s string) { fmt.Printf("\n== %s\n", s) }

// list prints the files of every category, their sizes and how much smaller they are than what was sent.
func list(out string, sources []source) error {
	var raw, packed int64
	for _, s := range sources {
		paths, err := published(out, s.category)
		if err != nil {
			return err
		}
		var sum int64
		for _, path := range paths {
			st, err := os.Stat(path)
			if err != nil {
				return err
			}
			fmt.Printf("  %12s  %s\n", humanize.Comma(st.Size()), filepath.Join(s.category, filepath.Base(path)))
			sum += st.Size()
		}
		raw, packed = raw+s.size, packed+sum
	}
	fmt.Printf("  %s became %s: ratio %.1f\n", humanize.Bytes(uint64(raw)), humanize.Bytes(uint64(packed)),
		float64(raw)/float64(max(packed, 1)))
	return nil
}
