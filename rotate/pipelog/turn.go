package pipelog

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// openFirst makes the first file before there is a line for it.
func (l *logger) openFirst() error { return l.begin(time.Now()) }

// begin opens a file while none is open. That the very first cannot be opened is a mistake of whoever named it, and the
// error, unless it is a lack that can pass; later the file of before takes the lines until another can be opened.
// Without an error and without a file it is tried again.
func (l *logger) begin(now time.Time) error {
	err := l.turn(now, false)
	if err == nil || l.file != nil {
		return nil
	}
	if l.name == "" && !passing(err) {
		return fmt.Errorf("%w: %w", ErrOpen, err)
	}
	if l.name != "" {
		if f, err := l.o.Open(l.name, os.O_WRONLY|os.O_APPEND); err == nil {
			l.file, l.until = f, now // the change is still to come
			return nil
		}
	}
	l.pause = now.Add(again)
	return nil
}

// passing says whether an error of opening is a lack that can pass.
func passing(err error) bool {
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM,
		syscall.EINTR, syscall.ETIMEDOUT, syscall.ESTALE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// intervalOver closes the file whose interval is over; the next is opened by the next line, or now if there is one or
// every interval has a file.
func (l *logger) intervalOver(now time.Time) {
	if l.until.IsZero() || now.Before(l.until) || l.midLine || now.Before(l.nextTry) {
		return
	}
	if l.ready() > 0 || l.o.Empty {
		_ = l.turn(now, false) // told there; the old file goes on
		return
	}
	if l.file != nil {
		if err := l.close(); err != nil {
			l.o.Logger.Error("cannot close a file properly", "file", l.name, "error", err)
		}
		l.until = time.Time{}
	}
}

// turn changes to the file for the lines to come; full says that the one before has no room for the next line. On error
// the old file stays in use, and no change is tried for a while.
func (l *logger) turn(now time.Time, full bool) error {
	room := int64(0)
	if full {
		room = int64(lineEnd(l.pending))
	}
	c := l.names.next(l.at(now, full), full, room)
	if !c.change && l.file != nil {
		l.look(now)
		return nil
	}
	f, err := l.openFile(c)
	if err != nil {
		l.nextTry = now.Add(again)
		if l.name == "" && !passing(err) {
			return err // the end
		}
		l.open.begin(l.o.Logger, err,
			"cannot open the next file: it is tried again, meanwhile the one before is used if there is one", "file",
			c.name, "before", l.name)
		return err
	}
	l.open.over(l.o.Logger, "opened the next file", "file", c.name)
	before := l.name
	if l.file != nil {
		if err := l.close(); err != nil {
			l.o.Logger.Error("cannot close a file properly", "file", before, "error", err)
		}
	}
	l.names, l.file, l.name, l.nextTry = c.namer, f, c.name, time.Time{}
	l.look(now)
	l.link()
	l.program(before)
	return nil
}

// look sets the end of the interval of the file that is open.
func (l *logger) look(now time.Time) {
	l.until = time.Time{}
	if l.when.every > 0 {
		l.until = l.when.end(now)
	}
}

func (l *logger) openFile(c choice) (File, error) {
	if l.o.MakeDirs {
		if err := os.MkdirAll(filepath.Dir(c.name), 0o777); err != nil {
			return nil, err
		}
	}
	flag := os.O_WRONLY | os.O_APPEND | os.O_CREATE
	if c.empty {
		flag |= os.O_TRUNC
	}
	l.o.Logger.Info("opening file", "file", c.name)
	return l.o.Open(c.name, flag)
}

// link makes the hard link lead to the file that is open, in one step: there is no moment without it.
func (l *logger) link() {
	if l.o.Link == "" {
		return
	}
	dir, base := filepath.Split(l.o.Link)
	tmp := fmt.Sprintf("%s.%s.%d.tmp", dir, base, os.Getpid())
	l.o.Logger.Info("linking", "file", l.name, "link", l.o.Link)
	err := os.Link(l.name, tmp)
	if errors.Is(err, os.ErrExist) { // left by a process of this number that died
		if err = os.Remove(tmp); err == nil {
			err = os.Link(l.name, tmp)
		}
	}
	if err == nil {
		err = os.Rename(tmp, l.o.Link)
		if gone := os.Remove(tmp); err == nil && !errors.Is(gone, os.ErrNotExist) {
			err = gone // rename leaves both names when they are one file already
		}
	}
	if err != nil {
		l.o.Logger.Error("cannot link the file; continuing without a link", "file", l.name, "link", l.o.Link,
			"error", err)
	}
}

// program starts the program that is run after a change. It has the streams of this process but for standard input,
// whose lines are not its own.
func (l *logger) program(before string) {
	if l.o.Program == "" {
		return
	}
	args := []string{l.name}
	if before != "" {
		args = append(args, before)
	}
	cmd := exec.Command(l.o.Program, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	l.o.Logger.Info("calling program", "program", l.o.Program, "file", l.name)
	if err := cmd.Start(); err != nil {
		l.o.Logger.Error("cannot run the program", "program", l.o.Program, "error", err)
		return
	}
	go func() { _ = cmd.Wait() }() // so that it does not stay as a zombie; how it ends is its own affair
}
