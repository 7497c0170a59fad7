package depot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"strings"

	"golang.org/x/sync/errgroup"

	"inkwell/internal/faultfs"
	"inkwell/store/books"
)

const (
	// Manifests is the directory in a depot of what says what is in its files.
	Manifests = "_inkwell/manifests"

	manifestSuffix = ".manifest"
)

// manifestOf is the name of the object that says what is in a file.
func manifestOf(name string) string { return path.Join(Manifests, name) + manifestSuffix }

// PutManifest stores what a file holds, which is a line of a manifest, beside the file's name in a depot.
func PutManifest(ctx context.Context, d Depot, name string, line []byte) error {
	return putBytes(ctx, d, manifestOf(name), faultfs.FormatLines(books.ManifestHeader, line))
}

// putBytes stores a small object.
func putBytes(ctx context.Context, d Depot, name string, data []byte) error {
	return d.Put(ctx, name, io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))))
}

// manifestReaders is how many manifests are read at once: each is a small request of its own.
const manifestReaders = 16

// Described returns the name of the file of which the manifest with a name tells.
func Described(manifest string) string {
	return strings.TrimSuffix(strings.TrimPrefix(manifest, Manifests+"/"), manifestSuffix)
}

// ReadManifests returns the contents of the manifests with these names, in their order. It reads several at a time.
func ReadManifests(ctx context.Context, d Depot, names []string) ([][]byte, error) {
	read := make([][]byte, len(names))
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(manifestReaders)
	for i, name := range names {
		work.Go(func() error {
			r, err := d.Open(ctx, name, Whole)
			if err != nil {
				return err
			}
			read[i], err = io.ReadAll(r)
			return errors.Join(err, r.Close())
		})
	}
	return read, work.Wait()
}
