package main

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/nxadm/tail"
)

// plainFollower prints one plain file and what is appended to it, line by line with nxadm/tail.
//
// The bytes are counted here and a descriptor of our own stands beside the library's, so that whatever makes a Tail end (the file gets
// its final name, is removed, is cut back after a crash and written again) loses and repeats nothing: what lies behind the last line
// is copied from that descriptor and a new Tail begins there. The same happens to a line that stays unfinished for a while.
type plainFollower struct {
	*follower
	piece piece
	file  *os.File
	at    int64 // bytes printed
}

func (p *plainFollower) run(ctx context.Context) (err error) {
	if p.file, err = p.piece.openFile(); err != nil {
		return err
	}
	defer p.file.Close()
	for {
		last, err := p.finished(p.piece)
		if err != nil {
			return err
		}
		if err := p.copyRest(); err != nil || last {
			return err
		}
		if err := p.lines(ctx); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// copyRest prints what lies behind what was printed.
func (p *plainFollower) copyRest() error {
	if _, err := p.file.Seek(p.at, io.SeekStart); err != nil {
		return err
	}
	n, err := io.Copy(p.w, p.file)
	p.at += n
	return err
}

// lines prints lines as they come until something else is to be done: see plainFollower.
func (p *plainFollower) lines(ctx context.Context) error {
	path := p.piece.path
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		path = p.piece.final()
	}
	t, err := tail.TailFile(path, tail.Config{
		Follow: true, MustExist: true, CompleteLines: true, Poll: true, // polling: one file, and no watcher shared by the process
		Location: &tail.SeekInfo{Offset: p.at}, Logger: tail.DiscardingLogger,
	})
	if err != nil {
		if errors.Is(err, os.ErrNotExist) { // removed: what our descriptor holds is the rest
			sleep(ctx, p.every)
			return nil
		}
		return err
	}
	defer t.Stop() // its error is that of a file that went away, which the next round looks at
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for quiet := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case line, ok := <-t.Lines:
			if !ok || line.SeekInfo.Offset != p.at+int64(len(line.Text))+1 {
				sleep(ctx, p.every)
				return nil
			}
			quiet = 0
			if _, err := io.WriteString(p.w, line.Text+"\n"); err != nil {
				return err
			}
			p.at = line.SeekInfo.Offset
		case <-tick.C:
			quiet++
			if stop, err := p.unfinished(quiet); stop || err != nil {
				return err
			}
		}
	}
}

// unfinished says whether lines should end: nothing more comes, or bytes without a newline have stood there for some ticks.
func (p *plainFollower) unfinished(quiet int) (bool, error) {
	st, err := p.file.Stat()
	if err != nil {
		return false, err
	}
	if quiet >= 4 && st.Size() > p.at {
		return true, nil
	}
	return p.finished(p.piece)
}
