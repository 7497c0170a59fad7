package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"inkwell/archive"
)

const (
	lookEvery  = 2 * time.Second // the shortest pause between two looks for finished files
	lookShare  = 50              // a pause is so many times as long as the look before it took
	againFirst = time.Minute     // until a file that could not be converted is tried again,
	againMost  = time.Hour       // twice as long each time, and at most so long
)

// conversions remembers which files need no further look, and when one that failed is tried again.
type conversions struct {
	done   map[string]bool
	failed map[string]attempt
}

// attempt is when a file is tried again, and how long that is behind the attempt before.
type attempt struct {
	at    time.Time
	pause time.Duration
}

// due says whether a file is to be converted now.
func (c *conversions) due(f archive.File, now time.Time) bool {
	again, failed := c.failed[f.Path]
	return !c.done[f.Path] && (!failed || !now.Before(again.at))
}

// note remembers what became of a file.
func (c *conversions) note(f archive.File, err error, now time.Time) {
	if err == nil {
		c.done[f.Path] = true
		delete(c.failed, f.Path)
		return
	}
	pause := min(max(againFirst, 2*c.failed[f.Path].pause), againMost)
	c.failed[f.Path] = attempt{now.Add(pause), pause}
}

// forget drops files that are not there any more.
func (c *conversions) forget(list []archive.Series) {
	there := make(map[string]bool)
	for i := range list {
		for _, f := range list[i].Files {
			there[f.Path] = true
		}
	}
	for path := range c.done {
		if !there[path] {
			delete(c.done, path)
		}
	}
	for path := range c.failed {
		if !there[path] {
			delete(c.failed, path)
		}
	}
}

// follow converts files as they are finished, until ctx ends.
func (w *converting) follow(ctx context.Context, args []string) error {
	for _, arg := range args {
		if st, err := os.Stat(arg); err == nil && !st.IsDir() {
			return usagef("%s is a file: --follow goes on with a directory", arg)
		}
	}
	known := &conversions{done: make(map[string]bool), failed: make(map[string]attempt)}
	told := ""
	for ctx.Err() == nil {
		looked, err := w.look(ctx, args, known)
		switch {
		case err == nil:
			told = ""
		case ctx.Err() == nil && err.Error() != told: // a disk or a depot that is away comes back
			told = err.Error()
			w.r.Tell("%v; it is tried again", err)
		}
		sleep(ctx, max(lookEvery, lookShare*looked))
	}
	return nil
}

// look converts what is due, and says how long it took to find out what that is.
func (w *converting) look(ctx context.Context, args []string, known *conversions) (looked time.Duration, err error) {
	ctx, release := context.WithCancel(ctx)
	defer release()
	began := time.Now()
	list, err := w.find(ctx, args)
	looked = time.Since(began)
	if err != nil {
		return looked, err
	}
	w.r.Forget() // what the books say is read again
	sum := w.round(ctx, list, func(f archive.File) bool { return known.due(f, began) },
		func(f archive.File, err error) { known.note(f, err, time.Now()) })
	known.forget(list)
	if sum.made > 0 {
		fmt.Fprintf(w.a.stdout, "%s: %s made of %s lines\n", shown(time.Now()), count(sum.made, "file"), counted(sum.rows))
	}
	return looked, nil
}

// find lists what the arguments name, for as long as ctx lasts. What is not there yet has no files.
func (w *converting) find(ctx context.Context, args []string) (all []archive.Series, err error) {
	for _, arg := range args {
		var list []archive.Series
		if archive.InDepot(arg) {
			list, err = archive.ReadDepot(ctx, arg, w.r.Tell)
		} else if _, serr := os.Stat(arg); errors.Is(serr, fs.ErrNotExist) {
			continue
		} else if list, err = archive.ReadSeries(arg); err == nil && len(list) == 0 {
			list, err = archive.Tree(arg)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}
