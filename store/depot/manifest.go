package depot

import (
	"context"
	"errors"
	"io"
	"path"
	"strings"

	"golang.org/x/sync/errgroup"
)

const (
	// Manifests is the directory in a depot of what says what is in its files.
	Manifests = "_inkwell/manifests"

	manifestSuffix = ".manifest"
)

// manifestOf is the name of the object that says what is in a file.
func manifestOf(name string) string { return path.Join(Manifests, name) + manifestSuffix }

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
