package audit

import (
	"errors"
	"fmt"
	"io/fs"

	"inkwell/internal/faultfs"
	"inkwell/proto"
	"inkwell/store/spool"
	"inkwell/store/stream"
)

// piece is a run of entries of one category and one stream in a record.
type piece struct {
	category     string
	id           stream.ID // zero: the entries have no numbers
	first, count int64
}

// Waiting adds the entries that wait in the spool of a sender.
func (a *Audit) Waiting(dir *faultfs.Dir) error {
	return a.spooled(dir, "spool", func(t *categoryStream) (*stream.Ranges, *int64) {
		return &t.waiting, &t.plainWaiting
	})
}

// Aside adds the entries that a sender has set aside because the next hop refuses them for good.
func (a *Audit) Aside(dir *faultfs.Dir) error {
	return a.spooled(dir, "refused records", func(t *categoryStream) (*stream.Ranges, *int64) {
		return &t.aside, &t.plainAside
	})
}

// sumsOf returns where entries of a stream are added up: the set of their numbers, and the count of those without.
type sumsOf func(*categoryStream) (numbers *stream.Ranges, plain *int64)

// spooled adds up the entries of a spool.
func (a *Audit) spooled(dir *faultfs.Dir, what string, sums sumsOf) error {
	return a.records(dir, what, func(p piece, _ spool.Record) {
		for _, name := range a.names(p.category) {
			numbers, plain := sums(a.categoryStream(name, p.id))
			if p.id == (stream.ID{}) {
				*plain += p.count
			} else {
				numbers.Add(p.first, p.first+p.count)
			}
		}
	})
}

// records calls take with the pieces of every unacknowledged record of the log in dir. Damaged ranges are skipped and
// noted.
func (a *Audit) records(dir *faultfs.Dir, what string, take func(piece, spool.Record)) error {
	if names, _, err := stream.ReadNames(dir); err == nil { // names are optional
		a.addSources(names)
	}
	segments, err := spool.List(dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", dir.Path(), err)
	}
	var from, end uint64
	for i, s := range segments {
		if i == 0 || s.Acked {
			from = s.Base
		}
		end = s.End
	}
	var b proto.Batch
	damaged := 0
	for rec, err := range spool.Records(dir) {
		if err == nil {
			a.o.Progress(what+" "+dir.Path(), int64(rec.End-from), int64(max(end, rec.End)-from))
			err = b.SetRecord(rec.Data)
		}
		var c *spool.CorruptError
		switch {
		case err == nil:
			for p := range b.Pieces {
				take(piece{category: string(p.Category), id: p.Span.Stream, first: p.Span.First,
					count: int64(p.Span.Count)}, rec)
			}
		case errors.As(err, &c), errors.Is(err, proto.ErrMalformed):
			damaged++
		case errors.Is(err, fs.ErrNotExist): // everything in it was acknowledged meanwhile
		default:
			return fmt.Errorf("read %s: %w", dir.Path(), err)
		}
	}
	if damaged > 0 {
		a.Notef("%s: damaged places that are passed over (inkwell spool verify names them): %d", dir.Path(),
			damaged)
	}
	return nil
}
