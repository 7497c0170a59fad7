package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// binDir is the directory with the programs of the original. Each change in it is a single rename, so that every
// program exists at every moment, and is recorded beforehand, so that it can be taken back.
type binDir struct{ path string }

// openBin opens the directory that was named, or that of the scribed in PATH, or the one into which it would be
// installed.
func openBin(named string) (binDir, error) {
	path := named
	if path == "" {
		path = "/usr/local/bin"
		if scribed, err := exec.LookPath("scribed"); err == nil {
			path = filepath.Dir(scribed)
		}
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return binDir{}, err
	}
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = errors.New("it is no directory")
	}
	if err != nil {
		return binDir{}, fmt.Errorf("look at %s (name the directory of the programs with --bin DIR): %w", path, err)
	}
	return binDir{path}, nil
}

// in returns the path of a name in the directory.
func (b binDir) in(name string) string { return filepath.Join(b.path, name) }

// plan returns what has to be done to each program.
func (b binDir) plan(program string) (steps []binStep, err error) {
	for _, name := range scribeTools {
		s := binStep{name: name, done: isLinkTo(b.in(name), program)}
		if !s.done {
			_, err := os.Lstat(b.in(name))
			s.keep = err == nil
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			if _, err := os.Lstat(b.in(name + keptSuffix)); s.keep && err == nil {
				return nil, fmt.Errorf("%s exists from an earlier migration, and %s is no link to inkwell: remove "+
					"the one that is not wanted", b.in(name+keptSuffix), b.in(name))
			}
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// apply makes the links. After an error nothing has changed.
func (b binDir) apply(steps []binStep, program string) error {
	names, err := b.recorded()
	if err != nil {
		return err
	}
	for _, s := range steps {
		if s.done {
			continue
		}
		names = withoutRepeats(append(names, s.name))
		err := b.record(names)
		if err == nil {
			err = b.link(s, program)
		}
		if err != nil {
			_, undone := b.back(program)
			return errors.Join(fmt.Errorf("put inkwell in the place of %s: %w", b.in(s.name), err), undone)
		}
	}
	return nil
}

// link replaces one program by a link and keeps the program under another name.
func (b binDir) link(s binStep, program string) error {
	if s.keep {
		if err := os.Link(b.in(s.name), b.in(s.name+keptSuffix)); err != nil {
			return fmt.Errorf("keep the old program: %w", err)
		}
	}
	temp := b.in(tempName(s.name))
	if err := os.Symlink(program, temp); err != nil {
		return err
	}
	if err := os.Rename(temp, b.in(s.name)); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}

// back gives the old programs their names again, and removes links that replaced nothing. It returns what it did.
func (b binDir) back(program string) (done []string, err error) {
	names, err := b.recorded()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		path, kept := b.in(name), b.in(name+keptSuffix)
		_, missing := os.Lstat(kept)
		switch {
		case missing == nil:
			if err := os.Rename(kept, path); err != nil {
				return done, fmt.Errorf("give %s its name back: %w", path, err)
			}
			if err := os.Remove(kept); err != nil && !errors.Is(err, fs.ErrNotExist) { // both names were of one file
				return done, err
			}
			done = append(done, path+" is the old program again")
		case isLinkTo(path, program):
			if err := os.Remove(path); err != nil {
				return done, err
			}
			done = append(done, path+", a link to inkwell, was removed")
		}
	}
	if err := os.Remove(b.in(binRecord)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return done, err
	}
	return done, nil
}

// recorded returns the names of the links that were made.
func (b binDir) recorded() ([]string, error) {
	data, err := os.ReadFile(b.in(binRecord))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, name := range strings.Fields(string(data)) {
		for _, known := range scribeTools { // other words are not names of links
			if name == known {
				names = append(names, name)
			}
		}
	}
	return names, err
}

// record writes down the names of links before they are made.
func (b binDir) record(names []string) error {
	if err := os.WriteFile(b.in(binRecord), []byte(strings.Join(names, "\n")+"\n"), 0o644); err != nil {
		return fmt.Errorf("note what is changed (run it as root?): %w", err)
	}
	return nil
}
