package kafka

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"inkwell/store/depot"
)

// each calls do for each of n files, for some at the same time, until one fails.
func (l *ledger) each(ctx context.Context, n int, do func(context.Context, int) error) error {
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(max(l.uploads, 1))
	for i := range n {
		work.Go(func() error {
			if err := ctx.Err(); err != nil { // another one has failed
				return err
			}
			return do(ctx, i)
		})
	}
	return work.Wait()
}

// publish gives the files of committed books their final names. It may have been done before, in part or completely.
func (l *ledger) publish(ctx context.Context, c *contents) error {
	err := l.each(ctx, len(c.Files), func(ctx context.Context, i int) error {
		s := &c.Files[i]
		if err := l.publishOne(ctx, s); err != nil {
			return fmt.Errorf("publish %s: %w", s.Name, err)
		}
		if err := depot.PutManifest(ctx, l.depot, s.Name, s.Line); err != nil {
			return fmt.Errorf("publish the manifest of %s: %w", s.Name, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return l.each(ctx, len(c.Files), func(ctx context.Context, i int) error {
		if !c.Files[i].moved {
			l.remove(ctx, c.Files[i].Stage)
		}
		return nil
	})
}

// publishOne gives a file its final name: that of the staged object is changed, where the depot can, else the file is put
// once more. The process that staged it has it on disk; another one fetches it.
func (l *ledger) publishOne(ctx context.Context, s *staged) (err error) {
	switch err := move(ctx, l.depot, s.Stage, s.Name); {
	case errors.Is(err, errors.ErrUnsupported):
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, depot.ErrTaken): // it was published before
		return l.published(ctx, s)
	default:
		s.moved = err == nil
		return err
	}
	from := s.local
	if from == "" {
		from = filepath.Join(l.scratch, path.Base(s.Stage))
		defer func() { err = errors.Join(err, remove(from)) }()
		switch err := l.fetch(ctx, s, from); {
		case errors.Is(err, fs.ErrNotExist):
			return l.published(ctx, s)
		case err != nil:
			return err
		}
	}
	return withFile(from, func(data *io.SectionReader) error { return l.depot.Put(ctx, s.Name, data) })
}

// fetch copies a staged file to a local path and checks it.
func (l *ledger) fetch(ctx context.Context, s *staged, to string) error {
	return withNew(to, func(w io.Writer) error {
		sum, size, err := l.read(ctx, s.Stage, w)
		if err == nil && (size != s.Size || sum != s.CRC) {
			err = fmt.Errorf("the staged file %s has %d bytes with checksum %08x, its books say %d and %08x (keep it, and "+
				"see why it is damaged)", s.Stage, size, sum, s.Size, s.CRC)
		}
		return err
	})
}

// published checks that a file has its final name already. A staged file is removed only after that.
func (l *ledger) published(ctx context.Context, s *staged) error {
	sum, size, err := l.read(ctx, s.Name, io.Discard)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("neither the staged file %s nor the file is in the depot: somebody has removed it (its "+
			"entries are in the topic until its retention is over)", s.Stage)
	case err == nil && (size != s.Size || sum != s.CRC):
		return depot.ErrTaken
	}
	return err
}

// read copies an object to w and returns its checksum and size.
func (l *ledger) read(ctx context.Context, name string, w io.Writer) (sum uint32, size int64, err error) {
	r, err := l.depot.Open(ctx, name, depot.Whole)
	if err != nil {
		return 0, 0, err
	}
	hash := crc32.New(castagnoli)
	size, err = io.Copy(io.MultiWriter(w, hash), r)
	return hash.Sum32(), size, errors.Join(err, r.Close())
}
