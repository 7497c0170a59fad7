package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"
)

// shipment is one run of the three programs, whose working directory is dir.
type shipment struct {
	inkwell, dir string
	sources      []source
}

// Files and directories below dir.
const (
	outDir  = "out"
	logFile = "collector.log"
)

// ship starts a collector, sends all sources to it and ends it.
func ship(ctx context.Context, s shipment) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	logPath := filepath.Join(s.dir, logFile)
	collector := s.command(ctx, "collect", "--dir", outDir, "--listen", "127.0.0.1:0", "--log-file", logFile)
	var said bytes.Buffer // a terminal has room for the live line of one program: the forwarder's
	collector.Stderr = &said
	if err := collector.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- collector.Wait() }()
	err := s.send(ctx, logPath)
	if err == nil {
		heading("The collector is asked to end: it finishes and publishes its files")
		err = collector.Process.Signal(syscall.SIGTERM)
	}
	if err != nil {
		cancel()
	}
	if e := <-ended; e != nil {
		log, _ := os.ReadFile(logPath) // only to help
		err = errors.Join(err, fmt.Errorf("collector: %w\n%s%s", e, said.Bytes(), log))
	}
	return err
}

// command is one of the program's subcommands, which is asked to end when ctx does.
func (s shipment) command(ctx context.Context, args ...string) *exec.Cmd {
	fmt.Println("  $ inkwell", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, s.inkwell, args...)
	cmd.Dir, cmd.Stderr = s.dir, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}

// send runs the forwarder and the pipe side by side, to their ends.
func (s shipment) send(ctx context.Context, collectorLog string) error {
	heading("Shipping")
	addr, err := listenAddress(ctx, collectorLog)
	if err != nil {
		return err
	}
	forward := []string{"forward", "--once", "--to", addr, "--state", "forward"}
	var piped source
	for _, src := range s.sources {
		if src.path == "" {
			piped = src
		} else {
			path := src.path
			if rel, err := filepath.Rel(s.dir, path); err == nil && filepath.IsLocal(rel) {
				path = rel
			}
			forward = append(forward, src.category+"="+escapeGlob(path))
		}
	}
	forwarder := s.command(ctx, forward...)
	pipe := s.command(ctx, "pipe", "--to", addr, "--spool", "spool", piped.category)
	if pipe.Stdin, err = piped.open(); err != nil {
		return err
	}
	var said bytes.Buffer
	pipe.Stderr = &said
	watching, done := context.WithCancel(ctx)
	defer done()
	if !term.IsTerminal(int(os.Stderr.Fd())) { // else the forwarder has a bar of its own
		go s.watch(watching)
	}
	began := time.Now()
	results := make(chan error, 2)
	for _, cmd := range []*exec.Cmd{forwarder, pipe} {
		go func() {
			err := cmd.Run()
			if err != nil {
				err = fmt.Errorf("%s: %w", cmd.Args[1], err)
			}
			results <- err
		}()
	}
	err = errors.Join(<-results, <-results)
	fmt.Print(said.String())
	if err != nil {
		return err
	}
	var sum int64
	for _, src := range s.sources {
		sum += src.size
	}
	took := time.Since(began)
	fmt.Printf("  %s taken over, in the collector's journal on disk, after %v (%s/s)\n", humanize.Bytes(uint64(sum)),
		took.Round(10*time.Millisecond), humanize.Bytes(uint64(float64(sum)/took.Seconds())))
	return nil
}

// watch says every other second how far the collector is.
func (s shipment) watch(ctx context.Context) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			fmt.Printf("  … %s in compressed files\n", humanize.Bytes(uint64(written(filepath.Join(s.dir, outDir)))))
		}
	}
}

// written is the size of all category files below out, finished or not.
func written(out string) (sum int64) {
	paths, _ := filepath.Glob(filepath.Join(out, "*", "*.gz*")) // the pattern is good
	hidden, _ := filepath.Glob(filepath.Join(out, "*", ".*.gz.open"))
	for _, path := range append(paths, hidden...) {
		if st, err := os.Stat(path); err == nil {
			sum += st.Size()
		}
	}
	return sum
}

// listenAddress waits for the collector to say where it listens.
func listenAddress(ctx context.Context, logPath string) (string, error) {
	find := regexp.MustCompile(`listen="?(127\.0\.0\.1:\d+)`)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline) &&
		ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		f, err := os.Open(logPath)
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return "", err
		}
		text, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return "", err
		}
		if m := find.FindSubmatch(text); m != nil {
			return string(m[1]), nil
		}
	}
	return "", errors.Join(ctx.Err(), errors.New("the collector does not say where it listens"))
}

// escapeGlob makes a pattern that only path itself matches.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
