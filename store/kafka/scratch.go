package kafka

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// clear makes an empty scratch directory. What an earlier owner of the partition left in it is thrown away: it was not
// committed, or it is in the depot.
func clear(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("empty the scratch directory %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the scratch directory %s: %w", dir, err)
	}
	return nil
}

// remove removes a scratch directory.
func remove(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove the scratch directory %s: %w", dir, err)
	}
	return nil
}

// withFile calls do with the content of a local file.
func withFile(name string, do func(*io.SectionReader) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		err = do(io.NewSectionReader(f, 0, info.Size()))
	}
	return errors.Join(err, f.Close())
}

// withNew calls do with a new local file.
func withNew(name string, do func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(do(f), f.Close())
}
