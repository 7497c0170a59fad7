package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"inkwell/rotate"
)

// Verify reads every published file whose hours are reported, and adds findings on files whose content is not what the
// manifest says. It must be called after the last Collector.
func (a *Audit) Verify(ctx context.Context) error {
	var done, total int64
	each := func(visit func(category string, f *File) error) error {
		for category, files := range a.files {
			for i := range files {
				if f := &files[i]; f.State == Published && a.recent(f.Last.Unix()/3600) {
					if err := visit(category, f); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}
	if err := each(func(_ string, f *File) error { total += f.Bytes; return nil }); err != nil {
		return err
	}
	return each(func(category string, f *File) error {
		path := filepath.Join(f.Directory, f.Name)
		wrong, err := a.check(ctx, path, f, func(n int64) {
			done += n
			a.o.Progress("verifying", done, total)
		})
		if errors.Is(err, fs.ErrNotExist) {
			f.State = Removed
			return nil
		}
		if err == nil && wrong != "" {
			a.notes = append(a.notes, Finding{Kind: Damaged, Fault: true, Category: category, Entries: f.Entries,
				Directories: []string{f.Directory}, File: f.Name, Text: wrong})
		}
		return err
	})
}

// check reads a file and returns what is wrong with it. The error says why it could not be read at all.
func (a *Audit) check(ctx context.Context, path string, f *File, read func(int64)) (wrong string, err error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		path = filepath.Join(f.Directory, rotate.Partition(f.Name), f.Name)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return "", err
	}
	if st.Size() != f.Bytes {
		return fmt.Sprintf("it has %d bytes, the manifest says %d", st.Size(), f.Bytes), nil
	}
	codec := rotate.None
	for _, c := range []rotate.Codec{rotate.Gzip, rotate.Zstd} {
		if strings.HasSuffix(f.Name, c.Suffix()) {
			codec = c
		}
	}
	r, err := rotate.NewReader(&progressReader{ctx: ctx, r: file, read: read}, codec, false)
	raw := int64(0)
	if err == nil {
		raw, err = io.Copy(io.Discard, r)
		err = errors.Join(err, r.Close())
	}
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return err.Error(), nil
	case raw != f.Start+f.Raw:
		return fmt.Sprintf("it has %d bytes uncompressed, the manifest says %d", raw, f.Start+f.Raw), nil
	}
	spans := int64(0)
	for _, s := range f.Spans {
		spans += s.Bytes
	}
	if spans != f.Raw {
		return fmt.Sprintf("its spans are %d bytes, the file has %d", spans, f.Raw), nil
	}
	return "", nil
}

// progressReader reports the bytes read, and fails when ctx ends.
type progressReader struct {
	ctx  context.Context
	r    io.Reader
	read func(int64)
}

func (c *progressReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.read(int64(n))
	return n, err
}
