package journal

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"inkwell/internal/killpoint"
	"inkwell/proto"
	"inkwell/store"
	"inkwell/store/spool"
)

// A move brings entries from a journal to a topic, or back, while no collector uses the journal. It is recorded in the
// state directory before the first entry is moved, until the last one is: until then only the same move opens the
// journal. So a move that was interrupted is repeated as a whole, and its entries are recognized by their numbers.

// moveName is the name of the file in the state directory that records a move.
const moveName = "move"

// move is what the file contains.
type move struct {
	What string `json:"what"` // Options.Move
	ID   string `json:"id"`   // at random: the same until the move is complete
}

// moveBatch is how many bytes of entries are handed over at once.
const moveBatch = 4 << 20

// batchBytes is moveBatch, or what a test asks for.
func batchBytes() int { return int(killpoint.Tuned(killpoint.MoveBatch, moveBatch)) }

// beginMove records the move that Options.Move names, unless it is recorded already. If another move is, or any without
// Options.Move, that is an error.
func (j *Journal) beginMove() error {
	found, err := j.moveFile().Load(&j.move)
	if err != nil {
		return fmt.Errorf("read which move is not complete: %w", err)
	}
	if found && j.move.What != j.o.Move {
		return fmt.Errorf("a move is not complete in %s: %s (run the same inkwell journal move again; to give it up, "+
			"remove %[1]s/%[3]s*: what it has brought there then is there as well)", j.o.StateDir, j.move.What, moveName)
	}
	if found || j.o.Move == "" {
		return nil
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	j.move = move{What: j.o.Move, ID: hex.EncodeToString(id)}
	if err := j.moveFile().Save(j.move); err != nil {
		return fmt.Errorf("record the move in %s: %w", j.o.StateDir, err)
	}
	killpoint.Reach("move.recorded")
	return nil
}

func (j *Journal) moveFile() store.StateFile {
	return store.StateFile{Dir: j.state, Name: moveName, Log: j.log}
}

// MoveID identifies the move for which the journal was opened. A move that is repeated has the same.
func (j *Journal) MoveID() string { return j.move.ID }

// EndMove records that the move is complete.
func (j *Journal) EndMove() error {
	if err := j.moveFile().Remove(); err != nil {
		return fmt.Errorf("record the end of the move in %s: %w", j.o.StateDir, err)
	}
	return nil
}

// Merge adds the numbers of a table of streams, given the content of its file, to those that the journal has taken.
func (j *Journal) Merge(streams []byte) error {
	if len(streams) == 0 {
		return nil
	}
	if err := j.streams.Merge(streams); err != nil {
		return err
	}
	return j.streams.Save()
}

// Rest calls take with the entries that the outlets of former runs had to deliver and did not, in their order, and then
// records that they are delivered. take must not retain the batch. After an error of take nothing is recorded. Files
// that are open stay as they are: the next run continues them. Damaged places are passed over, as by every run, and
// counted. Rest must be called instead of Start.
func (j *Journal) Rest(ctx context.Context, take func(*proto.Batch) error) (damaged int, err error) {
	s := j.saver.saved
	if s.older != nil {
		return 0, fmt.Errorf("the checkpoint in %s is that of an older version (start and stop this collector once, "+
			"which converts it)", j.o.StateDir)
	}
	_, end := j.spool.Bounds()
	r := &rest{j: j, run: &run{j: j, past: s.history(), portions: make(map[string][]portion)}, take: take,
		most: batchBytes(), target: &Target{Outlets: []*Outlet{{key: "\x00" + moveName}}}}
	from := j.spool.Reader(s.start(r.run.past))
	for err == nil && ctx.Err() == nil {
		rec, ok, failed := from.TryNext()
		var corrupt *spool.CorruptError
		if err = failed; errors.As(failed, &corrupt) {
			damaged++
			r.run.damaged("damaged place in the journal is passed over", failed)
			err = nil
			continue
		}
		if err != nil || !ok {
			break
		}
		err = r.record(rec)
	}
	if err == nil {
		err = r.flush()
	}
	if err = errors.Join(err, ctx.Err(), from.Close()); err != nil {
		return damaged, err
	}
	return damaged, j.settleRest(end)
}

// rest gathers the entries that are to be delivered.
type rest struct {
	j      *Journal
	run    *run
	target *Target
	take   func(*proto.Batch) error
	most   int         // bytes that are handed over at once
	batch  proto.Batch // the record
	due    proto.Batch
	runs   []proto.Run
}

// record adds what is due of a record.
func (r *rest) record(rec spool.Record) error {
	if err := r.batch.SetRecord(rec.Data); err != nil {
		r.run.damaged("record in the journal holds no entries, passed over", err)
	}
	r.j.streams.Drained(&r.batch)
	r.runs = r.batch.AppendRuns(r.runs[:0]) // empty after an error
	for s := range stretches(rec, &r.batch, r.runs) {
		for part := range r.run.due(s, r.target.Outlets[0].key, r.target) {
			r.due.AppendRun(part.batch, part.run)
		}
		if r.due.Size() >= r.most {
			if err := r.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *rest) flush() error {
	if r.due.Count() == 0 {
		return nil
	}
	defer r.due.Reset()
	if err := r.take(&r.due); err != nil {
		return err
	}
	r.j.streams.Forget(&r.due)
	return nil
}

// settleRest records that everything below an offset is delivered. The table of streams goes first: entries that were
// handed over are not in it any more, so that they can come back.
func (j *Journal) settleRest(end uint64) error {
	s := j.saver.saved
	next := &checkpoint{Version: checkpointVersion, Low: end, Drained: end, Read: end, Patterns: s.Patterns,
		Outlets: make(map[string]position), Home: s.Home}
	for key, p := range s.Outlets {
		p.Through, p.Floors = max(p.Through, end), nil
		next.Outlets[key] = p
	}
	if err := j.streams.Save(); err != nil {
		return fmt.Errorf("save the table of streams in %s: %w", j.o.StateDir, err)
	}
	if err := next.save(j.state); err != nil {
		return fmt.Errorf("save checkpoint in %s: %w", j.o.StateDir, err)
	}
	j.saver.saved = next
	killpoint.Reach("move.settled")
	if err := j.spool.Ack(end); err != nil {
		return fmt.Errorf("acknowledge the journal in %s: %w", j.o.StateDir, err)
	}
	killpoint.Reach("move.acked")
	return nil
}
