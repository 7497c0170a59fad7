package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"inkwell/internal/faultfs"
	"inkwell/rotate"
)

func (a *app) cat() *cobra.Command {
	var follow, dedupe bool
	var states []string
	cmd := &cobra.Command{
		Use:   "cat [-f | --dedupe] DIR/CATEGORY | FILE...",
		Short: "print the bytes of a category's files in order, whatever their compression",
		Long: `cat prints the bytes of the files of each category directory, oldest first, or of single files, decompressed. The file that is being
written is part of it, as far as it has got. With -f the last argument is followed: what is appended is printed, and when a file is
finished the next one of its category is gone on with.

With --dedupe an entry that stands in the files of several collectors is printed once: entries with numbers, as forwarders and pipes send
them, are known by the manifests beside the files. Directories are printed by the times of their files, single files in the order given.
Entries that cannot be told apart, because they are not lines, are printed again; that is said, and makes the exit code 1.`,
		Example: `  inkwell cat /srv/logs/apache.access | grep ' 500 '
  inkwell cat -f /srv/logs/apache.access
  inkwell cat /srv/logs/apache.access/apache.access-2026-11-23_00007.gz
  inkwell cat --dedupe /srv/a/logs/apache.access /srv/b/logs/apache.access`,
		Args: several("DIR/CATEGORY or FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dedupe && follow {
				return usagef("--dedupe and --follow do not go together")
			}
			if dedupe {
				return a.dedupe(cmd.Context(), args, states)
			}
			c := &catter{w: a.output(), every: time.Second / 4}
			for i, arg := range args {
				if err := c.argument(cmd.Context(), arg, follow && i == len(args)-1); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is appended to the last argument")
	cmd.Flags().StringArrayVar(&states, "state", nil, "with --dedupe: state directory of a collector that is not in .inkwell beside the category, for what its open files hold; can be repeated")
	cmd.Flags().BoolVar(&dedupe, "dedupe", false, "print each numbered entry once, though several collectors have it")
	return cmd
}

// piece is one file of those to print.
type piece struct {
	path  string // as it was found, a file being written under its name of the time
	codec rotate.Codec
	open  bool // being written when it was found
}

// final is the path that a file has when it is finished.
func (p piece) final() string {
	dir, name := filepath.Split(p.path)
	if bare, ok := strings.CutSuffix(name, ".open"); ok && p.open {
		name = strings.TrimPrefix(bare, ".")
	}
	return dir + name
}

// openFile opens p, which can have been finished since it was found.
func (p piece) openFile() (*os.File, error) {
	f, err := os.Open(p.path)
	if errors.Is(err, fs.ErrNotExist) && p.final() != p.path {
		return os.Open(p.final())
	}
	return f, err
}

// catter prints the bytes of files.
type catter struct {
	w     io.Writer
	every time.Duration // how often a file that is followed is looked at
}

// argument prints, and follows if asked to, a category directory or a file.
func (c *catter) argument(ctx context.Context, arg string, follow bool) error {
	st, err := os.Stat(arg)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w (want DIR/CATEGORY or a file; what is sent shows after some ten seconds)", err)
	}
	if err != nil {
		return err
	}
	list := func() ([]piece, error) { return categoryFiles(arg) }
	if !st.IsDir() {
		one, err := single(arg)
		if err != nil {
			return err
		}
		list = one.alone
	}
	if follow {
		f := &follower{w: c.w, every: c.every, list: list, wait: st.IsDir()}
		return f.run(ctx)
	}
	pieces, err := list()
	if err != nil {
		return err
	}
	if len(pieces) == 0 {
		return noFiles(arg)
	}
	for _, p := range pieces {
		if err := c.print(p); err != nil {
			return err
		}
	}
	return nil
}

func noFiles(arg string) error {
	return fmt.Errorf("%s: no files of category %s (give the directory of one category, as in DIR/CATEGORY)", arg, filepath.Base(arg))
}

// print writes the bytes of one file, as far as it has got.
func (c *catter) print(p piece) error {
	f, err := p.openFile()
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := rotate.NewReader(f, p.codec, p.open)
	if err == nil {
		_, err = io.Copy(c.w, r)
		err = errors.Join(err, r.Close())
	}
	if err != nil && !errors.Is(err, errReaderGone) {
		err = fmt.Errorf("read %s: %w", p.path, err)
	}
	return err
}

// categoryFiles lists the files of a category directory in order.
func categoryFiles(path string) ([]piece, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	return series(path, filepath.Base(abs))
}

// series lists the files of a series in order.
func series(path, base string) ([]piece, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	dir, err := faultfs.OpenDir(abs, nil)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	files, err := rotate.Files(dir, base)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", path, err)
	}
	pieces := make([]piece, len(files))
	for i, f := range files {
		pieces[i] = piece{path: filepath.Join(abs, f.Name), codec: f.Codec, open: f.Open}
	}
	return pieces, nil
}

// single is a file that was named, whose codec its first bytes tell.
func single(path string) (piece, error) {
	f, err := os.Open(path)
	if err != nil {
		return piece{}, err
	}
	defer f.Close()
	var magic [4]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return piece{}, fmt.Errorf("read %s: %w", path, err)
	}
	return piece{path: path, codec: codecOf(magic), open: strings.HasSuffix(path, ".open")}, nil
}

// alone lists p as the only file of its series, under the name that it has now.
func (p piece) alone() ([]piece, error) {
	for _, q := range []piece{p, {path: p.final(), codec: p.codec}} {
		if _, err := os.Stat(q.path); err == nil {
			return []piece{q}, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return nil, nil
}

// codecOf knows gzip members, zstd frames and zstd's skippable frames by how they begin.
func codecOf(magic [4]byte) rotate.Codec {
	switch {
	case magic[0] == 0x1f && magic[1] == 0x8b:
		return rotate.Gzip
	case magic == [4]byte{0x28, 0xb5, 0x2f, 0xfd}, magic[0]>>4 == 5 && [3]byte(magic[1:]) == [3]byte{0x2a, 0x4d, 0x18}:
		return rotate.Zstd
	}
	return rotate.None
}
