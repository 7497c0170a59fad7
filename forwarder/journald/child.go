package journald

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	pauseMin = 100 * time.Millisecond // before journalctl is started again
	pauseMax = 30 * time.Second

	pauseLook = 2 * time.Second // the longest one before the last entry is looked for again
)

// errMoved says that the entry at which a child was to begin is gone.
var errMoved = errors.New("the last entry that was read is not in the journal any more")

// errJump says that journalctl may have left out entries.
var errJump = errors.New("journalctl shows the journal with a gap")

// follow reads the journal until ctx ends, or with Options.Once to its end. When a child ends it is started again.
func (in *Input) follow(ctx context.Context) error {
	if hint := in.hint(ctx); hint != "" {
		in.log.Warn("journalctl printed", "text", hint)
	}
	for pause := pauseMin; ctx.Err() == nil; pause = min(2*pause, pauseMax) {
		n, err := in.read(ctx)
		if ctx.Err() != nil || err == nil {
			return nil
		}
		jump := errors.Is(err, errJump)
		if in.o.Once && n == 0 && !jump && !errors.Is(err, errMoved) {
			return fmt.Errorf("read %s: %w", in.o.Name(), err)
		}
		if !jump {
			in.health.Set(in.o.Name(), err)
		}
		if n > 0 || jump {
			pause = pauseMin
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

// hint returns what journalctl printed about missing permissions. It shows only what it may read, and exits with 0.
func (in *Input) hint(ctx context.Context) string {
	c, err := in.start(ctx, "--lines=0")
	if err != nil {
		return ""
	}
	_, _ = io.Copy(io.Discard, c.out)
	_ = c.wait() // read reports what is wrong
	return c.said()
}

// read reads the output of one child, and returns how many entries that were. The error is nil only when Options.Once
// has come to the end.
func (in *Input) read(ctx context.Context) (n int, err error) {
	args, skip, err := in.beginning(ctx)
	if err != nil {
		return 0, err
	}
	if !in.o.Once {
		args = append(args, "--follow", "--no-tail")
	}
	c, err := in.start(ctx, append(args, "--quiet")...)
	if err != nil {
		return 0, err
	}
	defer c.stop()
	for x := newExportReader(c.out); ; n++ {
		e, err := x.next()
		if errors.Is(err, io.EOF) {
			if err := c.wait(); err != nil || !in.o.Once {
				return n, c.ended(err)
			}
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if n == 0 {
			in.health.Set(in.o.Name(), nil)
		}
		if e.cursor == in.last.cursor {
			continue
		}
		if n == 0 && skip {
			return n, errMoved
		}
		if in.jumps(e) {
			return n, errJump
		}
		if !in.take(ctx, e) {
			return n, ctx.Err()
		}
	}
}

// beginning returns the arguments with which a child begins at the last entry that was read, which is then skipped, or
// if that entry is gone, at its time. journalctl --after-cursor is not used, because it skips one entry too many in
// that case.
//
// journalctl does not show a file that journald renames at this moment, because it begins a new one: an entry is gone
// only if it stays away for two seconds.
func (in *Input) beginning(ctx context.Context) (args []string, skip bool, err error) {
	if in.last.cursor == "" {
		return nil, false, nil
	}
	at := "--cursor=" + in.last.cursor
	for pause := pauseMin; ; pause *= 4 {
		e, err := in.first(ctx, at)
		if err != nil {
			return nil, false, err
		}
		if e != nil && e.cursor == in.last.cursor {
			return []string{at}, true, nil
		}
		if pause > pauseLook {
			break
		}
		select {
		case <-ctx.Done():
			return nil, false, ctx.Err()
		case <-time.After(pause):
		}
	}
	switch {
	case in.last.micros > time.Now().UnixMicro():
		in.log.Warn("the last entry that was read is gone, and its time is in the future: "+
			"the journal is read from its start",
			"journal", in.o.Name(), "time", time.UnixMicro(in.last.micros))
		return nil, false, nil
	}
	in.log.Warn("the last entry that was read is no longer in the journal: continuing by its time; "+
		"what was thrown away before it was read is lost",
		"journal", in.o.Name(), "time", time.UnixMicro(in.last.micros))
	return []string{fmt.Sprintf("--since=@%d.%06d", in.last.micros/1e6, in.last.micros%1e6)}, false, nil
}

// first returns the first entry that journalctl shows with args, nil if there is none.
func (in *Input) first(ctx context.Context, args ...string) (*entry, error) {
	c, err := in.start(ctx, append(args, "--quiet")...)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	e, err := newExportReader(c.out).next()
	if errors.Is(err, io.EOF) {
		if err := c.wait(); err != nil {
			return nil, c.ended(err)
		}
		return nil, nil
	}
	return e, err
}

// end returns the last entry of the journal.
func (in *Input) end() (checkpoint, error) {
	e, err := in.first(context.Background(), "--lines=1")
	if e == nil {
		return checkpoint{}, err
	}
	return e.checkpoint(), err
}

// child is a running journalctl.
type child struct {
	cmd    *exec.Cmd
	out    io.ReadCloser
	errors limited
	done   bool
}

func (in *Input) start(ctx context.Context, args ...string) (*child, error) {
	args = append([]string{"--no-pager", "--output=export", "--output-fields=" + fields}, args...)
	if in.o.Directory != "" {
		args = append(args, "--directory="+in.o.Directory)
	}
	if in.o.Namespace != "" {
		args = append(args, "--namespace="+in.o.Namespace)
	}
	c := &child{cmd: exec.CommandContext(ctx, in.program, args...)}
	c.cmd.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_COLORS=0")
	c.cmd.Stderr = &c.errors
	// A forwarder that is killed leaves no child behind.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	var err error
	if c.out, err = c.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start journalctl: %w", err)
	}
	return c, nil
}

func (c *child) wait() error {
	c.done = true
	return c.cmd.Wait()
}

// stop kills a child that is not needed any more.
func (c *child) stop() {
	if c.done {
		return
	}
	_ = c.cmd.Process.Kill() // fails if it has ended
	_ = c.wait()
}

func (c *child) said() string { return string(bytes.TrimSpace(c.errors.text)) }

// ended returns an error that says why a child ended.
func (c *child) ended(err error) error {
	switch text := c.said(); {
	case err == nil:
		return errors.New("journalctl has ended; it is started again")
	case text != "":
		return fmt.Errorf("journalctl: %w: %s", err, text)
	}
	return fmt.Errorf("journalctl: %w; it is started again", err)
}

// limited keeps the first 4096 bytes that are written to it.
type limited struct{ text []byte }

func (l *limited) Write(p []byte) (int, error) {
	l.text = append(l.text, p[:min(len(p), 4096-len(l.text))]...)
	return len(p), nil
}
