// Package depot brings finished files to where their readers are: another directory, S3 or HDFS.
//
//	books ─► Shipper.Add: a note in STATE/depot ─► Put(file) ─► Put(its manifest) ─► the note is removed
//	                                                  └── Depot: Directory, S3, HDFS
//
//	CATEGORY/dt=DATE/CATEGORY-DATE_WHO_NNNNN.gz                              the file; WHO is the writer, so no two writers share a name
//	CATEGORY/dt=DATE/_SUCCESS.PERIOD_WHO                                     all files of that writer for that period are there
//	_inkwell/manifests/CATEGORY/dt=DATE/CATEGORY-DATE_WHO_NNNNN.gz.manifest  what is in the file, for audits
//
// A note is durable before the file is listed in the local manifest, and goes when the depot has file and manifest. So
// a process that is killed anywhere, or an answer that is lost, is followed by the same Put, which finds its own bytes
// there and is done. Nothing is replaced: a name is given once.
//
// Limitations: on HDFS and in a directory, "is the name free?" and the rename are two steps, so that a foreign program
// that takes exactly this name at this moment can lose its file; no Inkwell has a name of another one.
package depot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"inkwell/internal/faultfs"
)

// Depot is where finished files go. Names are paths with slashes below its root. Safe for concurrent use.
type Depot interface {
	// Put gives name to data, at once, whole and durably. Nothing is replaced: when other bytes have the name, the
	// error is ErrTaken; when the same bytes have it, as after an answer that was lost, Put is done.
	Put(ctx context.Context, name string, data *io.SectionReader) error
	// Open reads length bytes of name from an offset on, or as many as there are; all of them with a length below 0.
	// The error is fs.ErrNotExist when there is no such name.
	Open(ctx context.Context, name string, r Range) (io.ReadCloser, error)
	// List calls each for what lies in directory dir and beneath it ("" = everything), in no particular order, until
	// that returns an error. A directory that is missing is empty.
	List(ctx context.Context, dir string, each func(Object) error) error
	// Close releases connections.
	Close() error
}

// Range is a part of an object.
type Range struct {
	From   int64
	Length int64 // below 0: up to the end
}

// Whole is all of an object.
var Whole = Range{Length: -1}

// Object is what List finds.
type Object struct {
	Name     string
	Size     int64
	Modified time.Time
}

// ErrTaken says that other bytes have a name.
var ErrTaken = errors.New("there is something else of that name, which is not replaced (move it away, or give this collector a name of its own with who=)")

// Options are what a depot needs beside its address. The zero value of a field is its default.
type Options struct {
	Logger   *slog.Logger     // nil = none
	Injector faultfs.Injector // faults of a directory, for tests
}

// Open returns the depot at an address (ParseAddress). It opens no connection: a depot that is away shows at the first
// use.
func Open(address string, o Options) (Depot, error) {
	a, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	var d Depot
	switch a.Scheme {
	case "s3":
		d, err = openS3(a)
	case "hdfs":
		d, err = openHDFS(a)
	default:
		d, err = openDirectory(a.Path, o.Injector)
	}
	if err != nil {
		return nil, fmt.Errorf("open depot %s: %w", a, err)
	}
	return d, nil
}
