// Package depot uploads finished files to where their readers are: another directory, S3 or HDFS.
//
//	books ─► Shipper.Add: a note in STATE/depot ─► Put(file) ─► Put(its manifest) ─► the note is removed
//	                                                  └── Depot: Directory, S3, HDFS
//
// Objects in a depot. WHO is the name of the writer, so that no two writers use the same name:
//
//	CATEGORY/dt=DATE/CATEGORY-DATE_WHO_NNNNN.gz
//		a file
//	CATEGORY/dt=DATE/hr=HOUR/CATEGORY-DATETHOUR_WHO_NNNNN.gz
//		a file, with layout=hive and a period shorter than a day
//	CATEGORY/dt=DATE/_SUCCESS.PERIOD_WHO
//		a done marker: all files of that writer for that period are in the depot
//	_inkwell/manifests/CATEGORY/dt=DATE/CATEGORY-DATE_WHO_NNNNN.gz.manifest
//		the content of the file, for audits
//
// A note is durable before the local manifest lists the file, and is removed when the depot has the file and its
// manifest. So when a process is killed at any point, or an answer is lost, the same Put is made again, finds the
// content stored already, and succeeds. Nothing is ever replaced.
//
// Limitations: on HDFS and in a directory, checking that a name is free and renaming are two steps. A foreign program
// that takes exactly this name in between can lose its file; Inkwells never share a name.
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

// Depot is a destination for finished files. Names are paths with slashes, relative to the root of the depot. Safe for
// concurrent use.
type Depot interface {
	// Put stores data under name, atomically and durably. Nothing is replaced: if name has other content, the error is
	// ErrTaken. If it has the same content, as after a lost answer, Put succeeds.
	Put(ctx context.Context, name string, data *io.SectionReader) error
	// Open reads the range r of name, or as much of it as exists. The error is fs.ErrNotExist if there is no such name.
	Open(ctx context.Context, name string, r Range) (io.ReadCloser, error)
	// List calls each for every object in directory dir and below it ("" = everything), in no particular order, until
	// each returns an error. A missing directory is empty.
	List(ctx context.Context, dir string, each func(Object) error) error
	// Close releases connections.
	Close() error
}

// Remover is a Depot that can remove objects which Inkwell put there for a time, such as staged files. The depots of
// this package are Removers. A missing object is no error.
type Remover interface {
	Remove(ctx context.Context, name string) error
}

// Mover is a Depot that can give an object another name, whatever its size. The error is errors.ErrUnsupported if it
// cannot, after all, fs.ErrNotExist if there is no such object, and ErrTaken if there is something of the other name.
type Mover interface {
	Move(ctx context.Context, from, to string) error
}

// Range is a range of bytes of an object.
type Range struct {
	From   int64
	Length int64 // below 0: up to the end
}

// Whole is the range of a whole object.
var Whole = Range{Length: -1}

// Object describes an object that List found.
type Object struct {
	Name     string
	Size     int64
	Modified time.Time
}

// ErrTaken says that a name has other content.
var ErrTaken = errors.New("there is something else of that name, which is not replaced (move it away, or give this " +
	"collector a name of its own with who=)")

// Options configure a depot besides its address. The zero value of a field is its default.
type Options struct {
	Logger   *slog.Logger     // nil = none
	Injector faultfs.Injector // faults of a directory depot, for tests
}

// Open returns the depot at an address (see ParseAddress). It does not connect: an unreachable depot is noticed at its
// first use.
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
